import { readFileSync } from "node:fs";
import { checkInteger, checkOneOf, checkOptions, wrongRange, wrongType } from "../base/checks.js";
import type { Clock } from "../base/clock.js";
import { checkNames, type OptionNames } from "../base/option-names.js";
import { AsyncSocket } from "../socket/async-socket.js";
import { type CapturedConnection, other, readConnections, type Side, type Step } from "./captured-streams.js";

/** The options of `replay`. */
export interface ReplayOptions {
  /** Which connection of the capture, in the order in which they began. @default 0 */
  connection?: number | undefined;
  /**
   * The side of the captured connection that the socket plays: `"client"` is the one that had connected.
   * @default the peer of the socket that was recorded, or the client, where the capture does not say who recorded it
   */
  side?: Side | undefined;
  /** How many times as fast as it was captured. `Infinity` waits for nothing but the code under test. @default 1 */
  speed?: number | undefined;
}

/** A replay under way. */
export interface Replay {
  /**
   * Settles when everything has been sent: done when the last chunk, or the end, is out; rejected with the socket's error
   * if it could not be sent.
   */
  readonly done: Promise<void>;
  /** What the code under test has sent so far. */
  readonly received: Buffer;
  /** What had been sent there when the capture was made. */
  readonly expected: Buffer;
}

const REPLAY_OPTIONS: OptionNames<ReplayOptions> = { connection: true, side: true, speed: true };

/**
 * Plays one side of a captured connection: a bug report becomes a test. The socket sends what that side has sent, in the
 * same chunks and at the same times, counted from this call on its own clock (of a `MemoryNetwork`, for example), and
 * ends or resets the connection where that side did. What the code under test answers is read and kept. Give it a socket
 * with `allowHalfOpen: true`, or it is closed when the code under test ends its side.
 *
 * Over a `MemoryNetwork` without latency each chunk arrives by itself, as far as the reader has room.
 *
 * ```ts
 * const peer = new AsyncSocket({ transport, allowHalfOpen: true });
 * await clock.run(peer.connect({ host: "server.test", port: 7 }));
 * const { done } = replay("bug.pcapng", peer);
 * await clock.run(done);
 * ```
 * @param capture a file of `record`, or any other one in the format pcapng with whole packets of TCP: its path, or its
 * bytes. What TLS has encrypted stays encrypted.
 * @param socket a connected socket of which nothing is being read
 * @throws Error if the capture cannot be read, has no such connection, or lacks a segment
 */
export function replay(capture: string | Uint8Array, socket: AsyncSocket, options?: ReplayOptions): Replay {
  if (!((socket as unknown) instanceof AsyncSocket)) throw wrongType("socket", "an AsyncSocket", socket);
  const given = checkOptions(options) ?? {};
  checkNames("options of replay", given, REPLAY_OPTIONS);
  const number = checkInteger("connection", given.connection ?? 0, 0, Number.MAX_SAFE_INTEGER);
  const speed = given.speed ?? 1;
  if (typeof speed !== "number" || !(speed > 0)) throw wrongRange("speed", "a positive number", speed);
  const connection = readConnections(bytesOf(capture))[number];
  if (connection === undefined) throw new RangeError(`The capture has no connection ${number}`);
  const side = checkOneOf("side", given.side, ["client", "server"] as const, peerIn(connection));
  return new Player(connection, side, socket, speed);
}

function bytesOf(capture: string | Uint8Array): Buffer {
  if (typeof capture === "string") return readFileSync(capture);
  if (!((capture as unknown) instanceof Uint8Array)) throw wrongType("capture", "a path or bytes", capture);
  return Buffer.from(capture.buffer, capture.byteOffset, capture.length);
}

function peerIn({ recorded }: CapturedConnection): Side {
  return recorded === undefined ? "client" : other(recorded);
}

/** So many turns a chunk on a network without latency has to be taken by its reader, before the next one follows. */
const TURNS = 4;

class Player implements Replay {
  readonly done: Promise<void>;
  readonly expected: Buffer;
  readonly #socket: AsyncSocket;
  readonly #clock: Clock;
  readonly #speed: number;
  readonly #answers: Buffer[] = [];

  constructor({ steps }: CapturedConnection, side: Side, socket: AsyncSocket, speed: number) {
    this.#socket = socket;
    this.#clock = socket._connection.clock;
    this.#speed = speed;
    this.expected = Buffer.concat(steps.flatMap((step) => (step.side === side ? [] : [step.bytes ?? Buffer.alloc(0)])));
    void this.#readAnswers();
    this.done = this.#play(steps.filter((step) => step.side === side));
    this.done.catch(() => undefined); // Whoever does not wait for it looks at what was received.
  }

  get received(): Buffer {
    return Buffer.concat(this.#answers);
  }

  async #readAnswers(): Promise<void> {
    try {
      for await (const answer of this.#socket) this.#answers.push(answer);
    } catch {
      // The end of the socket is told by `closed`, and by `done`.
    }
  }

  async #play(steps: readonly Step[]): Promise<void> {
    const startMs = this.#clock.now();
    for (const { atMs, bytes, end } of steps) {
      await this.#until(startMs + atMs / this.#speed);
      if (bytes !== undefined) await this.#socket.write(bytes);
      else if (end === "FIN") await this.#socket.end();
      else await this.#socket.reset();
      await this.#untilTaken();
    }
  }

  #until(timeMs: number): Promise<void> | undefined {
    const waitMs = timeMs - this.#clock.now();
    if (waitMs <= 0) return undefined;
    return new Promise((resolve) => void this.#clock.setTimer(resolve, waitMs, true));
  }

  /** Chunks that are under way together would arrive as one. */
  async #untilTaken(): Promise<void> {
    for (let turn = 0; turn < TURNS && (this.#socket._connection.transport?.underWayBytes ?? 0) > 0; turn++) {
      await new Promise<void>((resolve) => this.#clock.later(resolve, undefined));
    }
  }
}
