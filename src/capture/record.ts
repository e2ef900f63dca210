import { closeSync, fchmodSync, fstatSync, openSync, writeSync } from "node:fs";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { addressText } from "../base/address.js";
import {
  ACCEPT,
  type AcceptMessage,
  BYTES,
  type BytesMessage,
  CLOSE,
  type CloseMessage,
  CONNECT,
  type ConnectMessage,
} from "../base/channels.js";
import { checkString, wrongType } from "../base/checks.js";
import { asError } from "../base/errors.js";
import { AsyncSocket } from "../socket/async-socket.js";
import { Conversation, type Direction } from "./conversation.js";
import { fileHeader, packetBlock } from "./pcapng.js";

/** Only the user may read a file that holds what was said in confidence. */
const FILE_MODE = 0o600;

/** A recording under way. It ends by `stop`, when the recorded socket is closed, or when the file cannot be written. */
export interface Recording extends Disposable {
  /** How many packets are in the file, those that were made up included. */
  readonly packets: number;
  /** How many bytes of the connections are in the file, of both directions. */
  readonly bytes: number;
  /** Whether the recording goes on. */
  readonly isActive: boolean;
  /** Why the file could not be written; null if it could. */
  readonly error: Error | null;
  /** Ends the recording, and closes the file. What was recorded is in the file already. */
  stop(): void;
}

/**
 * Writes what a socket sends and receives to a file in the format pcapng, which Wireshark and `tshark` open. Of a
 * listener, the connections are recorded that are open, and those that it accepts on this thread while the recording goes
 * on.
 *
 * The bytes are those of the clear side of TLS: the handshake and the records are not in the file. The TCP and IP headers
 * are made up: each connection begins with a handshake, each chunk is a segment (or several, of which the last one has a
 * PSH) that is acknowledged at once, and a connection that is cut off ends with a RST. Of a connection that is open
 * already, what comes from then on is recorded. Unix-domain sockets and streams get addresses of 192.0.2.0/24.
 *
 * A chunk is in the file before the call that delivers it returns, so a program that crashes leaves a whole file; each
 * costs a write to the file, during which the thread waits. While any recording goes on, all sockets of the thread tell
 * of their chunks. The file holds everything that was said, passwords included, so only its owner may read it.
 * @param target a socket, in whatever state, or a listener
 * @param file the path of the file, which is overwritten
 * @throws the error of the system if the file cannot be opened; TypeError for wrong arguments
 */
export function record<Tag, UserData>(target: AsyncSocket<Tag, UserData>, file: string): Recording {
  if (!((target as unknown) instanceof AsyncSocket)) throw wrongType("target", "an AsyncSocket", target);
  return new FileRecording(target as AsyncSocket, checkString("file", file));
}

/** A file that was there before keeps its permissions when it is opened. What is no file, such as a pipe, may refuse. */
function secure(descriptor: number): void {
  if (fstatSync(descriptor).isFile()) fchmodSync(descriptor, FILE_MODE);
}

class FileRecording implements Recording {
  packets = 0;
  bytes = 0;
  error: Error | null = null;
  readonly #target: AsyncSocket;
  readonly #conversations = new Map<AsyncSocket, Conversation>();
  /** Accepted sockets of the listener that is recorded. */
  readonly #accepted = new WeakSet<AsyncSocket>();
  /** The time since 1970 at which the clock of the sockets shows 0. */
  readonly #originMs: number;
  #descriptor: number | null;

  constructor(target: AsyncSocket, file: string) {
    this.#target = target;
    this.#originMs = Date.now() - target._connection.clock.now();
    this.#descriptor = openSync(file, "w", FILE_MODE);
    secure(this.#descriptor);
    this.#write(fileHeader());
    if (!this.isActive) return; // The disk is full already.
    for (const [channel, listener] of this.#subscriptions) subscribe(channel, listener);
    if (target.state === "listening") for (const socket of target.sockets) this.#accept(socket);
    else if (target.state === "open") this.#conversationOf(target);
  }

  get isActive(): boolean {
    return this.#descriptor !== null;
  }

  stop(): void {
    if (this.#descriptor === null) return;
    for (const [channel, listener] of this.#subscriptions) unsubscribe(channel, listener);
    this.#conversations.clear();
    const descriptor = this.#descriptor;
    this.#descriptor = null;
    closeSync(descriptor);
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  // ------------------------------------------------------------------ what sockets tell

  readonly #subscriptions: readonly (readonly [string | symbol, (message: unknown) => void])[] = [
    [BYTES.name, (message) => this.#didPass(message as BytesMessage<AsyncSocket>)],
    [ACCEPT.name, (message) => this.#didAccept(message as AcceptMessage<AsyncSocket>)],
    [CONNECT.asyncEnd.name, (message) => this.#didConnect(message as ConnectMessage<AsyncSocket>)],
    [CLOSE.name, (message) => this.#didClose(message as CloseMessage<AsyncSocket>)],
  ];

  #didPass({ socket, direction, bytes, isEnd }: BytesMessage<AsyncSocket>): void {
    if (!this.#isRecorded(socket)) return;
    const conversation = this.#conversationOf(socket);
    this.bytes += bytes.length;
    if (isEnd) conversation.end(direction);
    else conversation.data(direction, bytes);
  }

  #didAccept({ listener, socket }: AcceptMessage<AsyncSocket>): void {
    if (listener === this.#target) this.#accept(socket);
  }

  #didConnect({ socket, error }: ConnectMessage<AsyncSocket>): void {
    if (error === undefined && socket === this.#target && socket.state === "open") this.#conversationOf(socket);
  }

  #didClose({ socket, error, movedTo }: CloseMessage<AsyncSocket>): void {
    const conversation = this.#conversations.get(socket);
    this.#conversations.delete(socket);
    if (socket._connection.writing.wasReset) conversation?.reset("sent");
    else if (error?.code === "ERR_ASYNCSOCKET_CONNECTION_LOST") conversation?.reset("received");
    else if (movedTo === undefined) conversation?.end("sent");
    if (socket === this.#target) this.stop();
  }

  #isRecorded(socket: AsyncSocket): boolean {
    return socket === this.#target || this.#accepted.has(socket);
  }

  #accept(socket: AsyncSocket): void {
    this.#accepted.add(socket);
    this.#conversationOf(socket);
  }

  #conversationOf(socket: AsyncSocket): Conversation {
    const known = this.#conversations.get(socket);
    if (known !== undefined) return known;
    const { local, remote, id } = socket;
    const conversation = new Conversation(local, remote, id, (packet, direction, comment) => {
      const timeMs = this.#originMs + socket._connection.clock.now();
      this.packets++;
      this.#write(packetBlock(packet, timeMs, direction === "sent", comment));
    });
    this.#conversations.set(socket, conversation);
    const begins: Direction = socket._connection.origin.isAccepted ? "received" : "sent";
    conversation.open(begins, `socket ${id}, ${addressText(local)} to ${addressText(remote)}`);
    return conversation;
  }

  #write(bytes: Buffer): void {
    if (this.#descriptor === null) return;
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(this.#descriptor, bytes, at);
    } catch (error) {
      this.error = asError(error);
      this.stop();
    }
  }
}
