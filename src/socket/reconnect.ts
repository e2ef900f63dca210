import {
  checkFunction,
  checkInteger,
  checkMs,
  checkOptions,
  checkSignal,
  wrongRange,
  wrongType,
} from "../base/checks.js";
import type { AsyncValues } from "../base/async-values.js";
import { type Clock, realClock } from "../base/clock.js";
import { isCode } from "../base/errors.js";
import { checkNames, named, type OptionNames } from "../base/option-names.js";
import { onAbort, SocketRequest } from "../base/request.js";
import { surface } from "../base/uncaught.js";
import { THE_SYSTEM } from "../transport/kernel-settings.js";
import { checkConnect, CONNECT_OPTIONS, type ConnectOptions } from "../connect/options.js";
import type { CloseReason } from "../connection/close-reason.js";
import { AsyncSocket, type AsyncSocketOptions } from "./async-socket.js";
import { SOCKET_OPTIONS } from "./options.js";

/** The options of `reconnect`. All times are in milliseconds. */
export interface ReconnectOptions {
  /** The delay before the second attempt. The first attempt is made at once. @default 250 */
  delayMs?: number | undefined;
  /** The factor by which each delay is longer than the one before; at least 1. @default 2 */
  factor?: number | undefined;
  /**
   * The part of each delay that is random, from 0 (nothing) to 1 (all of it), so that a thousand clients of a server
   * that was down do not all return at the same moment. With 0.5, the actual delay is between half of the delay and all
   * of it.
   * @default 0.5
   */
  jitter?: number | undefined;
  /** The longest delay. `Infinity` sets no bound. @default 30 000 */
  maxDelayMs?: number | undefined;
  /**
   * The number of failed attempts in a row after which the loop throws the last one's error; at least 1.
   * @default Infinity
   */
  attempts?: number | undefined;
  /**
   * Aborting this signal ends the loop at once, without an error, whether it waits or connects; an open socket stays
   * open.
   * @default none
   */
  signal?: AbortSignal | undefined;
  /**
   * Called before each delay, to log it or to show that the connection is down.
   *
   * `error` is what the attempt has failed with, or the error that closed the connection: null if it was closed without
   * an error, by either side. `waitMs` is the delay that follows. `attempt` is the number of the attempt after it,
   * counted from 1 since the last connection; the very first attempt of the loop does not count. What this function
   * throws becomes an uncaught exception, and the loop goes on.
   * @default none
   */
  onRetry?: ((error: unknown, waitMs: number, attempt: number) => void) | undefined;
  /**
   * The clock for the delays.
   * @default the clock of the `transport` in the connect options, if that is a factory; else the real clock
   */
  clock?: Clock | undefined;
  /** A function that returns a number from 0 to 1, for the jitter. @default Math.random */
  random?: (() => number) | undefined;
}

const RECONNECT_OPTIONS: OptionNames<ReconnectOptions> = {
  delayMs: true,
  factor: true,
  jitter: true,
  maxDelayMs: true,
  attempts: true,
  signal: true,
  onRetry: true,
  clock: true,
  random: true,
};

/**
 * A function that connects. It is given the signal, if there is one. If its socket arrives after the loop has ended,
 * the socket is disconnected.
 */
export type Connector<Tag = unknown, UserData = unknown> = (
  signal: AbortSignal | undefined,
) => PromiseLike<AsyncSocket<Tag, UserData>>;

/**
 * Connects again whenever the connection has closed: an endless sequence of connected sockets, one after the other.
 *
 * ```ts
 * for await (const socket of reconnect({ host, port, timeout: 5_000 }, { signal })) {
 *   socket.write("HELLO\n");
 *   for await (const line of socket.lines()) handle(line);
 * }
 * ```
 *
 * The loop never closes a socket. When the current socket has closed, whichever side closed it, the loop waits and
 * connects the next one; if the next one is asked for earlier, it comes when that has happened. Leaving the loop leaves
 * the socket open. Nothing carries over from one connection to the next: writes that were not done are not sent again.
 *
 * Each delay is longer than the one before (`factor`). The delays start anew after a connection that lasted at least as
 * long as the next delay would be, so a server that accepts and drops connections at once is asked less and less often,
 * too. `attempts` counts only failed attempts: any connection, however short, sets that count back to 0.
 *
 * The loop throws `TypeError`, `RangeError`, `BAD_STATE` and `CANCELED` at once, without another attempt.
 *
 * @param connect options as for `AsyncSocket.connect`, or a function that connects, and may also do a handshake that each
 * connection needs
 * @throws TypeError, RangeError at the call, for wrong options of `reconnect` and of `connect`
 */
export function reconnect<Tag = unknown, UserData = unknown>(
  connect: (ConnectOptions & AsyncSocketOptions<Tag, UserData>) | Connector<Tag, UserData>,
  options?: ReconnectOptions,
): AsyncValues<AsyncSocket<Tag, UserData>> {
  const given = checkOptions(options) ?? {};
  checkNames("options of reconnect", given, RECONNECT_OPTIONS);
  checkFunction("onRetry", given.onRetry);
  const connector = connectorOf(connect);
  return new Reconnecting<Tag, UserData>(connector, checkBackoff(given), {
    clock: checkClock(given.clock) ?? clockOf(connect),
    attempts: checkAttempts(given.attempts),
    signal: checkSignal(given.signal),
    onRetry: given.onRetry,
  });
}

// -------------------------------------------------------------------- options

function connectorOf<Tag, UserData>(
  connect: (ConnectOptions & AsyncSocketOptions<Tag, UserData>) | Connector<Tag, UserData>,
): Connector<Tag, UserData> {
  if (typeof connect === "function") return connect;
  if (checkOptions(connect, "connect") === undefined) throw wrongType("connect", "options or a function", connect);
  // Wrong options throw now, not at the first attempt.
  checkNames("options of connect", connect, CONNECT_OPTIONS, SOCKET_OPTIONS);
  new AsyncSocket<Tag, UserData>(named(connect, SOCKET_OPTIONS));
  const { transport } = connect;
  checkConnect(named(connect, CONNECT_OPTIONS), typeof transport === "object" ? transport : THE_SYSTEM);
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

/** Computes the delays between attempts. */
class Backoff {
  readonly #first: number;
  readonly #factor: number;
  readonly #max: number;
  readonly #jitter: number;
  readonly #random: () => number;
  /** The next delay in ms, before the jitter is applied. */
  nextMs: number;

  constructor(delayMs: number, factor: number, maxDelayMs: number, jitter: number, random: () => number) {
    this.#first = Math.min(delayMs, maxDelayMs);
    this.#factor = factor;
    this.#max = maxDelayMs;
    this.#jitter = jitter;
    this.#random = random;
    this.nextMs = this.#first;
  }

  /** Returns the delay to wait now, and makes the next one longer. */
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

/** The result of a wait that ends because the loop was left, or because its signal was aborted. */
const LEFT = Symbol("left");

interface Conditions {
  readonly clock: Clock;
  readonly attempts: number;
  readonly signal: AbortSignal | undefined;
  readonly onRetry: ReconnectOptions["onRetry"];
}

/**
 * This is a class and no generator, because `return` must end what `next` waits for; a generator would queue `return`
 * behind `next`.
 */
class Reconnecting<Tag, UserData> implements AsyncValues<AsyncSocket<Tag, UserData>> {
  readonly #connect: Connector<Tag, UserData>;
  readonly #backoff: Backoff;
  readonly #conditions: Conditions;
  #socket: AsyncSocket<Tag, UserData> | null = null;
  #connectedAt = 0;
  /** The number of failed attempts in a row. */
  #failures = 0;
  /** The number of delays since the last connection. */
  #retries = 0;
  #isFirst = true;
  #isOver = false;
  /** Ends the present wait; null if there is none. */
  #leave: (() => void) | null = null;
  /** The last result asked for: several that are asked for at once are served one after the other. */
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
    let why: unknown = null;
    if (this.#socket !== null) {
      const reason = await this.#untilClosed(this.#socket);
      if (reason === LEFT) return LEFT;
      why = reason.error;
    }
    for (;;) {
      if (!this.#isFirst && (await this.#delay(why)) === LEFT) return LEFT;
      this.#isFirst = false;
      try {
        return await this.#try();
      } catch (error) {
        if (this.#isLeft) return LEFT;
        if (!isWorthAnother(error) || ++this.#failures >= this.#conditions.attempts) throw error;
        why = error;
      }
    }
  }

  async #untilClosed(socket: AsyncSocket<Tag, UserData>): Promise<CloseReason | typeof LEFT> {
    const outcome = await this.#unlessLeft<CloseReason>((done) => void socket.closed.then(done));
    this.#socket = null;
    const { clock } = this.#conditions;
    if (clock.now() - this.#connectedAt >= this.#backoff.nextMs) this.#backoff.reset();
    return outcome;
  }

  /** @param why what the last attempt failed with, or the error that closed the connection */
  #delay(why: unknown): Promise<unknown> {
    const { clock } = this.#conditions;
    const waitMs = this.#backoff.take();
    const dueAt = clock.now() + waitMs;
    this.#tell(why, waitMs);
    return this.#unlessLeft((done) => {
      let timer: object;
      const wait = (): void => {
        timer = clock.setTimer(check, Math.max(0, dueAt - clock.now()), true);
      };
      // Timers can be early by a fraction of a millisecond.
      const check = (): void => (clock.now() < dueAt ? wait() : done(undefined));
      wait();
      return () => clock.clearTimer(timer);
    });
  }

  #tell(why: unknown, waitMs: number): void {
    this.#retries++;
    if (this.#isLeft) return;
    try {
      this.#conditions.onRetry?.(why, waitMs, this.#retries);
    } catch (error) {
      surface(error);
    }
  }

  async #try(): Promise<AsyncSocket<Tag, UserData> | typeof LEFT> {
    const socket = await this.#unlessLeft<AsyncSocket<Tag, UserData>>((done, fail) => {
      const request = this.#connect(this.#conditions.signal);
      let isLeft = false;
      request.then((connected) => {
        // The loop was left, so nothing else would ever close this socket.
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
    this.#failures = this.#retries = 0;
    return socket;
  }

  /**
   * Gives the result of `start`, or LEFT as soon as the loop is left. In that case the function that `start` returned
   * is called, to stop the work.
   */
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

/**
 * Whether another attempt may succeed. It cannot if the call itself is wrong, and must not be made if somebody
 * cancelled the connect.
 */
function isWorthAnother(error: unknown): boolean {
  if (error instanceof TypeError || error instanceof RangeError) return false;
  return !isCode(error, "CANCELED") && !isCode(error, "BAD_STATE");
}
