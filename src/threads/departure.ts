import { realClock } from "../base/clock.js";
import { inWords } from "../base/errno.js";
import { type AsyncSocketError, badState, socketError } from "../base/errors.js";
import { nobody, settle, SocketRequest } from "../base/request.js";
import { type CloseReason, withoutPayload } from "../connection/close-reason.js";
import { closeReason } from "../connection/closing.js";
import type { Connection } from "../connection/connection.js";
import { publishMove } from "../connection/diagnostics.js";
import { obstacle } from "../connection/permissions.js";
import type { AcceptedTransport, TransportSink } from "../transport/transport.js";
import type { Sender } from "./link.js";
import type { Loop } from "./loop.js";
import { chosenLoop } from "./pool.js";
import { drop, type TransferHandle, joined, stateOf, pack, whyStuck } from "./transfer.js";

/**
 * Moves a connection to another thread.
 * @throws BAD_STATE if it cannot leave in its present state, TypeError if the destination is no run loop
 */
export function depart(
  connection: Connection,
  state: string,
  destination: unknown,
  userData: unknown,
): SocketRequest<void> {
  const { transport, origin } = connection;
  const info = { local: transport?.local, remote: transport?.remote, proxied: origin.proxied ?? undefined };
  const loop = chosenLoop(destination, info);
  const why = obstacle(connection, state) ?? (loop.isCurrent ? "the socket is on that run loop already" : null);
  if (why !== null) throw badState("moveTo", why);
  const request = new SocketRequest<void>("moveTo", undefined, nobody);
  const leaving = transport as AcceptedTransport;
  const stuck = loop._refusal ?? whyStuck(leaving);
  if (stuck === null) new Departure(connection, leaving, loop, structuredClone(userData), request).begin();
  else settle(request, "failed", socketError("TRANSFER", "moveTo", `The socket cannot be moved: ${stuck}`));
  return request;
}

/** A connection that is leaving for another thread. It may receive bytes until it has left. */
export class Departure implements TransportSink, Sender {
  readonly #connection: Connection;
  readonly #transport: AcceptedTransport;
  readonly #loop: Loop;
  readonly #userData: unknown;
  readonly #request: SocketRequest<void>;
  #ahead: Buffer[] = [];
  /** How many bytes of `#ahead` the connection has counted as received. */
  #counted = 0;
  #error: Error | null = null;

  constructor(
    connection: Connection,
    transport: AcceptedTransport,
    loop: Loop,
    userData: unknown,
    request: SocketRequest<void>,
  ) {
    this.#connection = connection;
    this.#transport = transport;
    this.#loop = loop;
    this.#userData = userData;
    this.#request = request;
    request._state = "current";
  }

  begin(): void {
    const connection = this.#connection;
    const { buffer } = connection.reading.queue;
    this.#counted = buffer.length;
    this.#ahead.push(buffer.copyOut(buffer.length));
    buffer.drop(buffer.length);
    const reason = closeReason(connection, "local", null) as Extract<CloseReason, { error: null }>;
    connection.depart(withoutPayload({ ...reason, unread: reason.unread, movedTo: this.#loop }));
    this.#transport.adopt(this);
    // The transport may be in the middle of reporting a batch of events, some of them for this connection.
    realClock.soon(leave, this);
  }

  leave(): void {
    const connection = this.#connection;
    const refusal = this.#loop._refusal;
    if (refusal !== null) this.#error ??= new Error(refusal);
    if (this.#error !== null) {
      this.#lose(this.#error);
      return;
    }
    let handle: TransferHandle | null = null;
    try {
      const packed = pack(this.#transport);
      handle = packed.handle;
      this.#ahead.push(...packed.surplus);
      const state = stateOf(connection, joined(this.#ahead), this.#counted, this.#userData);
      connection.moved = this.#loop._send(handle, state, this);
      publishMove(connection, "out", this.#loop.name);
    } catch (error) {
      if (handle !== null) drop(handle);
      this.#lose(error);
    }
    this.#ahead = [];
  }

  /** Fails the move before the connection has left: bytes received meanwhile become unread bytes of the old socket. */
  #lose(error: unknown): void {
    this.#transport.destroy(true);
    const connection = this.#connection;
    connection.bytesRead -= this.#counted;
    connection.takeAhead(Buffer.concat(this.#ahead));
    this.lost(socketError("TRANSFER", "moveTo", `The socket was lost while it was moved: ${inWords(error)}`, error));
  }

  // ------------------------------------------------------------------ told by the transport, until it has left

  didReceive(chunk: Buffer, start: number, length: number): void {
    this.#ahead.push(Buffer.from(chunk.subarray(start, start + length)));
  }

  didFail(error: Error): void {
    this.#error ??= error;
  }

  didEnd(): void {
    // Nothing to do: the system reports the FIN again on the other thread.
  }

  didWrite(): void {
    // Nothing is written during a move.
  }

  didFinish(): void {
    // Nothing is ended during a move.
  }

  didClose(): void {
    // Nothing to do: the descriptor belongs to the other thread.
  }

  // ------------------------------------------------------------------ told by the link

  arrived(): void {
    settle(this.#request, "done", undefined);
    this.#close();
  }

  lost(error: AsyncSocketError): void {
    this.#connection.loseOnTheWay(error);
    settle(this.#request, "failed", error);
    this.#close();
  }

  ended(): void {
    // Nothing to do: the socket on this thread has closed already.
  }

  /** Closes the old socket, which reports it in a later turn. */
  #close(): void {
    this.#connection.descriptors--;
    this.#connection.drain();
  }
}

function leave(departure: Departure): void {
  departure.leave();
}
