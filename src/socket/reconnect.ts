import {
  checkFunction,
  checkInteger,
  checkMs,
  checkOptions,
  checkSignal,
  wrongRange,
  wrongType,
} from "../base/checks.js";
import { type Clock, realClock } from "../base/clock.js";
import { isCode } from "../base/errors.js";
import { checkNames, named, type OptionNames } from "../base/option-names.js";
import { onAbort, SocketRequest } from "../base/request.js";
import { checkConnect, CONNECT_OPTIONS, type ConnectOptions } from "../connect/options.js";
import { AsyncSocket, type AsyncSocketOptions } from "./async-socket.js";
import { SOCKET_OPTIONS } from "./options.js";

/** What `reconnect` takes. Times are milliseconds. */
export interface ReconnectOptions {
  /** The wait before the first new try; the first try of all is made at once. @default 250 */
  delayMs?: number | undefined;
  /** By how much each wait is longer than the one before: at least 1. @default 2 */
  factor?: number | undefined;
  /**
   * The part of each wait that is left to chance, from 0 (none) to 1 (all of it): so that a thousand clients of a server
   * that was away do not come back at the same moment. 0.5: between half of the wait and all of it. @default 0.5
   */
  jitter?: number | undefined;
  /** No wait is longer; `Infinity`: no bound. @default 30 000 */
  maxDelayMs?: number | undefined;
  /** After so many failed tries in a row the last one's error is thrown; at least 1. @default Infinity */
  attempts?: number | undefined;
  /** Aborting it ends the waiting, the connecting and the loop at once, without an error; an open socket stays open. */
  signal?: AbortSignal | undefined;
  /** The time to live by. @default that of `transport`, where connect options have one of their own, else the real one */
  clock?: Clock | undefined;
  /** A number from 0 to 1, for the jitter. @default Math.random */
  random?: (() => number) | undefined;
}

const RECONNECT_OPTIONS: OptionNames<ReconnectOptions> = {
  delayMs: true,
  factor: true,
  jitter: true,
  maxDelayMs: true,
  attempts: true,
  signal: true,
  clock: true,
  random: true,
};

/** What connects: told the signal, if there is one. A socket that comes after the loop has ended is disconnected. */
export type Connector<Tag = unknown, UserData = unknown> = (
  signal: AbortSignal | undefined,
) => PromiseLike<AsyncSocket<Tag, UserData>>;

/**
 * Connects, and connects again: an endless sequence of connected sockets, one after the other.
 *
 * ```ts
 * for await (const socket of reconnect({ host, port, timeout: 5_000 }, { signal })) {
 *   socket.write("HELLO\n");
 *   for await (const line of socket.lines()) handle(line);
 * }
 * ```
 *
 * The next one is connected when the one before is closed, whoever closed it, and the wait is over. Asked for earlier, it
 * comes when that has happened: the loop never closes a socket. Leaving the loop leaves the socket as it is. Nothing of
 * one connection goes over to the next: writes that were not done are not sent again.
 *
 * A wait is longer than the one before (`factor`) until a connection has held: for at least as long as the next wait would
 * be. Then they begin anew. So a server that accepts and drops at once is asked ever less often, too. `attempts` counts
 * failed tries alone: any connection, short as it may be, ends the row.
 *
 * `TypeError` and `RangeError` are thrown at once, not tried again; so are `BAD_STATE` and `CANCELED`.
 *
 * @param connect options as `AsyncSocket.connect` takes them, or a function: for a handshake, say, that belongs to it
 * @throws TypeError, RangeError for wrong options, and wrong connect options, at the call
 */
export function reconnect<Tag = unknown, UserData = unknown>(
  connect: (ConnectOptions & AsyncSocketOptions<Tag, UserData>) | Connector<Tag, UserData>,
  options?: ReconnectOptions,
): AsyncIterableIterator<AsyncSocket<Tag, UserData>, undefined> {
  const given = checkOptions(options) ?? {};
  checkNames("options of reconnect", given, RECONNECT_OPTIONS);
  const connector = connectorOf(connect);
  return new Reconnecting<Tag, UserData>(connector, checkBackoff(given), {
    clock: checkClock(given.clock) ?? clockOf(connect),
    attempts: checkAttempts(given.attempts),
    signal: checkSignal(given.signal),
  });
}

// -------------------------------------------------------------------- options

function connectorOf<Tag, UserData>(
  connect: (ConnectOptions & AsyncSocketOptions<Tag, UserData>) | Connector<Tag, UserData>,
): Connector<Tag, UserData> {
  if (typeof connect === "function") return connect;
  if (checkOptions(connect, "connect") === undefined) throw wrongType("connect", "options or a function", connect);
  // What is wrong with them is wrong now, not at the first try.
  checkNames("options of connect", connect, CONNECT_OPTIONS, SOCKET_OPTIONS);
  new AsyncSocket<Tag, UserData>(named(connect, SOCKET_OPTIONS));
  checkConnect(named(connect, CONNECT_OPTIONS));
  return () => AsyncSocket.connect<Tag, UserData>(connect);
}

function clockOf(connect: AsyncSocketOptions | ((signal: AbortSignal | undefined) => unknown)): Clock {
  const transport = typeof connect === "object" ? connect.transport : undefined;
  return typeof transport === "object" ? transport.clock : realClock;
}

function checkClock(value: unknown): Clock | undefined {
  if (value === undefined || typeof (value as Clock | null)?.setTimer === "function") return value as Clock | undefined;
  throw wrongType("clock", "a Clock", value);
}

function checkAttempts(value: unknown): number {
  if (value === undefined || value === Infinity) return Infinity;
  return checkInteger("attempts", value, 1, Number.MAX_SAFE_INTEGER);
}

function checkFrom(name: string, value: unknown, min: number, max: number, fallback: number): number {
  if (value === undefined) return fallback;
  if (typeof value !== "number") throw wrongType(name, "a number", value);
  if (!(value >= min && value <= max)) throw wrongRange(name, `a number from ${min} to ${max}`, value);
  return value;
}

function checkBackoff(options: ReconnectOptions): Backoff {
  const { maxDelayMs, random } = options;
  checkFunction("random", random);
  return new Backoff(
    checkFrom("delayMs", options.delayMs, 0, Number.MAX_VALUE, 250),
    checkFrom("factor", options.factor, 1, Number.MAX_VALUE, 2),
    maxDelayMs === undefined ? 30_000 : checkMs("maxDelayMs", maxDelayMs),
    checkFrom("jitter", options.jitter, 0, 1, 0.5),
    random ?? Math.random,
  );
}

// -------------------------------------------------------------------- the waits

/** How long to wait, from one time to the next. */
class Backoff {
  readonly #first: number;
  readonly #factor: number;
  readonly #max: number;
  readonly #jitter: number;
  readonly #random: () => number;
  /** The next wait, in ms, before chance has its part of it. */
  nextMs: number;

  constructor(delayMs: number, factor: number, maxDelayMs: number, jitter: number, random: () => number) {
    this.#first = Math.min(delayMs, maxDelayMs);
    this.#factor = factor;
    this.#max = maxDelayMs;
    this.#jitter = jitter;
    this.#random = random;
    this.nextMs = this.#first;
  }

  /** The wait that is due now; the one after it is longer. */
  take(): number {
    const ms = this.nextMs;
    this.nextMs = Math.min(this.#max, ms * this.#factor);
    return ms * (1 - this.#jitter * this.#random());
  }

  reset(): void {
    this.nextMs = this.#first;
  }
}

// -------------------------------------------------------------------- the loop

/** What a wait ends with when the loop is left, or its signal aborted. */
const LEFT = Symbol("left");

interface Conditions {
  readonly clock: Clock;
  readonly attempts: number;
  readonly signal: AbortSignal | undefined;
}

/** A class, and no generator: `return` must end what `next` waits for, and a generator would queue it up behind. */
class Reconnecting<Tag, UserData> implements AsyncIterableIterator<AsyncSocket<Tag, UserData>, undefined> {
  readonly #connect: Connector<Tag, UserData>;
  readonly #backoff: Backoff;
  readonly #conditions: Conditions;
  #socket: AsyncSocket<Tag, UserData> | null = null;
  #connectedAt = 0;
  /** Failed tries in a row. */
  #failures = 0;
  #isFirst = true;
  #isOver = false;
  /** Ends the present wait, if there is one. */
  #leave: (() => void) | null = null;
  /** The last of several that were asked for at once: they are served one by one. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(connect: Connector<Tag, UserData>, backoff: Backoff, conditions: Conditions) {
    this.#connect = connect;
    this.#backoff = backoff;
    this.#conditions = conditions;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  get #isLeft(): boolean {
    return this.#isOver || this.#conditions.signal?.aborted === true;
  }

  next(): Promise<IteratorResult<AsyncSocket<Tag, UserData>, undefined>> {
    const take = (): Promise<IteratorResult<AsyncSocket<Tag, UserData>, undefined>> => this.#take();
    const result = this.#last.then(take, take);
    this.#last = result;
    return result;
  }

  return(): Promise<IteratorResult<AsyncSocket<Tag, UserData>, undefined>> {
    this.#isOver = true;
    this.#leave?.();
    return Promise.resolve({ done: true, value: undefined });
  }

  async #take(): Promise<IteratorResult<AsyncSocket<Tag, UserData>, undefined>> {
    try {
      const socket = await this.#nextSocket();
      if (socket !== LEFT) return { done: false, value: socket };
    } catch (error) {
      this.#isOver = true;
      throw error;
    }
    this.#isOver = true;
    return { done: true, value: undefined };
  }

  async #nextSocket(): Promise<AsyncSocket<Tag, UserData> | typeof LEFT> {
    if (this.#socket !== null && (await this.#untilClosed(this.#socket)) === LEFT) return LEFT;
    for (;;) {
      if (!this.#isFirst && (await this.#delay()) === LEFT) return LEFT;
      this.#isFirst = false;
      try {
        return await this.#try();
      } catch (error) {
        if (this.#isLeft) return LEFT;
        if (!isWorthAnother(error) || ++this.#failures >= this.#conditions.attempts) throw error;
      }
    }
  }

  async #untilClosed(socket: AsyncSocket<Tag, UserData>): Promise<unknown> {
    const outcome = await this.#unlessLeft((done) => void socket.closed.then(done));
    this.#socket = null;
    const { clock } = this.#conditions;
    if (clock.now() - this.#connectedAt >= this.#backoff.nextMs) this.#backoff.reset();
    return outcome;
  }

  #delay(): Promise<unknown> {
    const { clock } = this.#conditions;
    const dueAt = clock.now() + this.#backoff.take();
    return this.#unlessLeft((done) => {
      let timer: object;
      const wait = (): void => {
        timer = clock.setTimer(check, Math.max(0, dueAt - clock.now()), true);
      };
      // A timer may have been cut (the runtime's longest has 24 days), or be a trifle early.
      const check = (): void => (clock.now() < dueAt ? wait() : done(undefined));
      wait();
      return () => clock.clearTimer(timer);
    });
  }

  async #try(): Promise<AsyncSocket<Tag, UserData> | typeof LEFT> {
    const socket = await this.#unlessLeft<AsyncSocket<Tag, UserData>>((done, fail) => {
      const request = this.#connect(this.#conditions.signal);
      let isLeft = false;
      request.then((connected) => {
        // Nobody would ever close it.
        if (isLeft) connected.disconnect();
        else done(connected);
      }, fail);
      return () => {
        isLeft = true;
        if (request instanceof SocketRequest) request.cancel();
      };
    });
    if (socket === LEFT) return LEFT;
    this.#socket = socket;
    this.#connectedAt = this.#conditions.clock.now();
    this.#failures = 0;
    return socket;
  }

  /** What `start` waits for, or LEFT as soon as the loop is: then what `start` gave is called, to stop it. */
  #unlessLeft<T>(
    start: (done: (value: T) => void, fail: (error: unknown) => void) => (() => void) | undefined,
  ): Promise<T | typeof LEFT> {
    if (this.#isLeft) return Promise.resolve(LEFT);
    const { signal } = this.#conditions;
    let stopListening: (() => void) | null = null;
    const result = new Promise<T | typeof LEFT>((resolve, reject) => {
      const stop = start(resolve, reject);
      this.#leave = () => {
        stop?.();
        resolve(LEFT);
      };
      if (signal !== undefined) stopListening = onAbort(signal, this.#leave);
    });
    return result.finally(() => {
      this.#leave = null;
      stopListening?.();
    });
  }
}

/** Whether it may go better next time: not where the call itself is wrong, nor where somebody has taken it back. */
function isWorthAnother(error: unknown): boolean {
  if (error instanceof TypeError || error instanceof RangeError) return false;
  return !isCode(error, "CANCELED") && !isCode(error, "BAD_STATE");
}
