import { inspect } from "node:util";
import { type MessagePort, threadId, type Worker } from "node:worker_threads";
import type { Address } from "../base/address.js";
import { checkInteger, checkOneOf, checkOptions, wrongType } from "../base/checks.js";
import { checkNames, type OptionNames } from "../base/option-names.js";
import { realClock } from "../base/clock.js";
import { inWords } from "../base/errno.js";
import { type AsyncSocketError, badState, socketError } from "../base/errors.js";
import { nobody, settle, SocketRequest } from "../base/request.js";
import { onOpenCount, openSocketsHere } from "../connection/live-sockets.js";
import { checkGrace, type GraceOptions, type ShutdownResult } from "../listen/options.js";
import { endLate } from "../connection/closing.js";
import type { Sending } from "../listen/dispatcher.js";
import { depart } from "./departure.js";
import { LoopDispatcher } from "./dispatcher.js";
import { inbox, type SocketHandler } from "./inbox.js";
import { Looks, type RunLoopSnapshot } from "./looks.js";
import { Link, type LinkOwner, type Sent, type Sender } from "./link.js";
import { snapshot } from "../socket/snapshot.js";
import type { Message, SharedOptions, SharedPortOwner } from "./messages.js";
import { Loop, type RunLoopState } from "./loop.js";
import { type Chooser, type Policy, Pool } from "./pool.js";
import type { PortableTLS } from "./portable-tls.js";
import type { TransferHandle, TransferState } from "./transfer.js";
import { checkModule, LOOP_OPTIONS, type RunLoopOptions, startWorker } from "./worker.js";

/** The options of `RunLoop.pool`. */
export interface RunLoopPoolOptions extends RunLoopOptions {
  /** How the pool chooses a loop for a new socket. @default "round-robin" */
  policy?: PoolPolicy | undefined;
  /**
   * Whether a loop that ends by itself is replaced by a new one. If the new one cannot start, it is not tried again.
   * @default false
   */
  respawn?: boolean | undefined;
}

const POOL_OPTIONS: OptionNames<RunLoopPoolOptions> = { ...LOOP_OPTIONS, policy: true, respawn: true };

/** How a run loop ended. */
export interface RunLoopEnd {
  /**
   * Null if the loop was closed. Otherwise a `TRANSFER` error: its thread exited, or crashed; then `error.cause` is
   * what was thrown.
   */
  readonly error: AsyncSocketError | null;
}

/** An exception that has ended a thread. The value is wrapped, since anything can be thrown, even `undefined`. */
interface Crash {
  readonly thrown: unknown;
}

let spawned = 0;

/** The loops that this thread has started, until they end. */
const started = new Set<RunLoop>();

/**
 * The event loop of one thread, on which sockets live. `RunLoop.spawn` starts a thread for sockets. Sockets that are
 * sent to it (by `wantsRunLoopForNewSocket`, `listen({ loops })` or `moveTo`) are given to the handler that the thread
 * has set with `RunLoop.current.onSocket`.
 *
 * A spawned loop keeps the process alive while it has sockets, or sockets are on their way to it.
 */
export class RunLoop extends Loop {
  /** The name with which the loop was spawned; `"main"` for the main thread. */
  override readonly name: string;
  /** The `threadId` that Node gives the thread. */
  readonly threadId: number;
  /** The worker of the loop; null for the current loop, and for the loop that spawned it. */
  readonly worker: Worker | null;
  /** For the current loop: the loop that spawned it, to which sockets can be sent back; null if there is none. */
  readonly parent: RunLoop | null;
  #state: RunLoopState = "running";
  #link: Link | null;
  #isHeld = true;
  #error: AsyncSocketError | null = null;
  #result: ShutdownResult | null = null;
  #closing: SocketRequest<ShutdownResult> | null = null;
  readonly #closedRequest = new SocketRequest<RunLoopEnd>("closed", undefined, nobody);
  readonly #watchers = new Set<() => void>();
  #whenReady: (() => void) | null = null;

  readonly #looks = new Looks();
  static #current: RunLoop | null = null;

  /** @internal */
  constructor(name: string, thread: number, worker: Worker | null, port: MessagePort | null, parent: RunLoop | null) {
    super();
    this.name = name;
    this.threadId = thread;
    this.worker = worker;
    this.parent = parent;
    this.#link = port === null ? null : new Link(port, this.#owner);
  }

  /** The loop of the current thread. */
  static get current(): RunLoop {
    RunLoop.#current ??= new RunLoop(threadId === 0 ? "main" : `thread ${threadId}`, threadId, null, null, null);
    return RunLoop.#current;
  }

  /** The loop of the current thread, and those that this thread has started and that have not ended. */
  static get all(): readonly RunLoop[] {
    return [RunLoop.current, ...started];
  }

  /**
   * Starts a thread and runs a module on it, given by an absolute URL or path. The module should call
   * `RunLoop.current.onSocket`. `workerData` is available as in any worker. The promise settles when the module has
   * been evaluated. It rejects with `TRANSFER` if the module cannot be evaluated to its end; `error.cause` is what the
   * module threw.
   */
  static async spawn(moduleUrl: URL | string, options?: RunLoopOptions): Promise<RunLoop> {
    const module = checkModule(moduleUrl);
    const given = checkOptions(options) ?? {};
    checkNames("options of RunLoop.spawn", given, LOOP_OPTIONS);
    const { name = `run loop ${++spawned}`, ...rest } = given;
    const { worker, port } = startWorker(name, module, rest);
    const loop = new RunLoop(name, worker.threadId, worker, port, null);
    started.add(loop);
    await loop.#start(worker);
    return loop;
  }

  /**
   * Starts `size` threads that run the same module, as `spawn` does. Each loop's name is `name` and a number. If one of
   * them cannot start, the others are closed and the promise rejects.
   */
  static async pool(moduleUrl: URL | string, size: number, options?: RunLoopPoolOptions): Promise<RunLoopPool> {
    checkInteger("size", size, 1, 1024);
    const given = checkOptions(options) ?? {};
    checkNames("options of RunLoop.pool", given, POOL_OPTIONS);
    const { policy = "round-robin", respawn = false, name = "run loop", ...rest } = given;
    if (typeof policy !== "function") checkOneOf("policy", policy, ["round-robin", "least-connections"], undefined);
    const spawn = (whose: string): Promise<RunLoop> => RunLoop.spawn(moduleUrl, { ...rest, name: whose });
    const starts = Array.from({ length: size }, (_, i) => spawn(`${name} ${i + 1}`));
    const loops = await allOrNone(starts);
    return new RunLoopPool(loops, policy, respawn ? spawn : null);
  }

  // ------------------------------------------------------------------ what can be seen

  get #owner(): LinkOwner {
    return {
      name: this.name,
      didReceive: (message) => this.#didReceive(message),
      didChange: () => this.#didChange(),
    };
  }

  override get state(): RunLoopState {
    return this.#state;
  }

  /** Whether this is the loop of the current thread. */
  override get isCurrent(): boolean {
    return this === RunLoop.#current;
  }

  /**
   * How many connections the loop has, those on their way to it included. For another thread it is the number that it
   * last reported.
   */
  override get sockets(): number {
    return this.isCurrent ? openSocketsHere() : (this.#link?.sockets ?? 0);
  }

  /**
   * A request that is done when the thread has ended, for whatever reason. It never fails, and for the main thread it
   * never settles.
   */
  get closed(): SocketRequest<RunLoopEnd> {
    return this.#closedRequest;
  }

  /**
   * Describes the sockets of the loop, as `snapshot()` does on its own thread. `answerMs` is how long its thread took to
   * answer: a thread that is busy takes long, and one that has ended answers at once, with no sockets.
   * @throws BAD_STATE for the loop of the parent thread
   */
  async snapshot(): Promise<RunLoopSnapshot> {
    const { name, threadId: thread } = this;
    if (!this.isCurrent && this.worker === null)
      throw badState("snapshot", "it is for loops that this thread has started");
    const startedAt = realClock.now();
    const link = this.#state === "closed" ? null : this.#link;
    const sockets = this.isCurrent ? snapshot() : link === null ? [] : await this.#looks.ask(link);
    return { name, threadId: thread, state: this.#state, sockets, answerMs: realClock.now() - startedAt };
  }

  [inspect.custom](): string {
    return `RunLoop ${JSON.stringify(this.name)} ${this.#state}: ${this.sockets} sockets`;
  }

  // ------------------------------------------------------------------ asked for

  /**
   * Sets the function that receives sockets from other threads; it replaces an earlier one. Sockets that arrive before
   * there is a handler wait. Set `socket.delegate` or queue reads within the handler: no event and no byte is lost
   * before the handler has returned.
   * @throws BAD_STATE unless this is the loop of the current thread
   */
  onSocket(handler: SocketHandler): void {
    if (typeof handler !== "function") throw wrongType("handler", "a function", handler);
    if (!this.isCurrent) throw badState("onSocket", "sockets are told of on their own thread, by RunLoop.current");
    inbox.setHandler(handler);
  }

  /**
   * Takes no more sockets, gives the sockets that were sent to the loop `graceMs` to finish, closes the others, and
   * ends the thread. The request gives how many sockets finished by themselves after this call, and how many were
   * closed. A second call returns the request of the first. Fails with `TRANSFER` if the thread ends by itself
   * meanwhile.
   * @throws BAD_STATE for a thread that was not started by `RunLoop.spawn`
   */
  override close(options?: GraceOptions): SocketRequest<ShutdownResult> {
    const graceMs = checkGrace(options);
    if (this.#closing !== null) return this.#closing;
    const request = new SocketRequest<ShutdownResult>("close", undefined, nobody);
    this.#closing = request;
    if (this.#state === "closed") settle(request, "done", { finished: 0, forced: 0 });
    else if (this.worker !== null) {
      this.#state = "closing";
      this.worker.ref();
      this.#link?.flush();
      this.#link?.post({ kind: "close", graceMs });
    } else if (this.isCurrent && this.parent !== null) this.#drain(graceMs);
    else {
      this.#closing = null;
      throw badState("close", "this thread was not started by RunLoop.spawn");
    }
    return request;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // ------------------------------------------------------------------ for sockets and listeners

  /** @internal */
  override get _sending(): Sending {
    return sending;
  }

  /** @internal The reason why the loop takes no sockets; null if it does. */
  override get _refusal(): string | null {
    if (this.#state === "running" && this.#link !== null) return null;
    return `the run loop ${JSON.stringify(this.name)} is ${this.#state === "running" ? "no other thread's" : this.#state}`;
  }

  /** @internal */
  override _send(handle: TransferHandle, state: TransferState, sender: Sender): Sent {
    return (this.#link as Link).send(handle, state, sender);
  }

  /** @internal Lets the loop listen by itself, on a shared port. */
  override _listen(
    options: SharedOptions,
    owner: SharedPortOwner,
  ): Promise<{ id: number; local: Address | undefined }> {
    if (this._refusal !== null) return Promise.reject(new Error(this._refusal));
    return (this.#link as Link).ports.listen(options, owner);
  }

  /** @internal */
  override _unlisten(id: number): void {
    if (this.#state === "running") this.#link?.post({ kind: "unlisten", id });
  }

  /** @internal Replaces the TLS options of a shared port. */
  override _resecure(id: number, tls: PortableTLS): void {
    const link = this.#link;
    if (this.#state === "running") link?.post({ kind: "resecure", id, tlsId: link.sendTLS(tls) });
  }

  /** @internal Makes the sender's record of a socket that the loop has accepted by itself. */
  override _sentBy(id: number, sender: Sender): Sent {
    return (this.#link as Link).sentBy(id, sender);
  }

  /** @internal Sends TLS options. @returns the number by which the other thread knows them */
  override _sendTLS(tls: PortableTLS): number {
    return (this.#link as Link).sendTLS(tls);
  }

  /** @internal */
  override _forgetTLS(tls: PortableTLS): void {
    if (this.#state === "running") this.#link?.forgetTLS(tls);
  }

  /** @internal The error with which the loop ended by itself; null if it has not, or was closed. */
  override get _wasLost(): AsyncSocketError | null {
    return this.#error;
  }

  /** @internal Calls `told` when the loop has ended. @returns a function that takes this back */
  override _whenEnded(told: () => void): () => void {
    this.#watchers.add(told);
    return () => this.#watchers.delete(told);
  }

  // ------------------------------------------------------------------ the thread, seen from outside

  #start(worker: Worker): Promise<void> {
    let crash: Crash | null = null;
    this.#link?.hold(false);
    return new Promise((ready, failed) => {
      this.#whenReady = () => {
        this.#whenReady = null;
        ready();
        this.#didChange();
      };
      worker.on("error", (thrown: unknown) => (crash = { thrown }));
      worker.on("exit", (code) => {
        this.#didExit(code, crash);
        if (this.#whenReady !== null) failed(this.#error ?? closedTooEarly(this.name));
      });
    });
  }

  #didReceive(message: Extract<Message, { kind: "look" | "seen" | "ready" | "close" | "closed" }>): void {
    if (message.kind === "look") this.#link?.post({ kind: "seen", id: message.id, sockets: snapshot() });
    else if (message.kind === "seen") this.#looks.answer(message.id, message.sockets);
    else if (message.kind === "ready") this.#whenReady?.();
    else if (message.kind === "closed") {
      this.#state = "closing";
      this.#result = message.result;
    } else RunLoop.current.#drain(message.graceMs);
  }

  #didChange(): void {
    const { worker } = this;
    if (worker === null || this.#whenReady !== null || this.#state !== "running") return;
    const holds = this.sockets > 0;
    if (holds === this.#isHeld) return;
    this.#isHeld = holds;
    if (holds) worker.ref();
    else worker.unref();
  }

  #didExit(code: number, crash: Crash | null): void {
    // The last messages of the thread, which `lose` handles, may say that the loop was closed.
    const why = crash === null ? `its thread exited with ${code}` : inWords(crash.thrown);
    const words = `The run loop ${JSON.stringify(this.name)} ended: ${why}`;
    const error = socketError("TRANSFER", "run loop", words, crash?.thrown);
    this.#link?.lose(error);
    const result = this.#result;
    this.#error = result === null ? error : null;
    this.#state = "closed";
    for (const told of [...this.#watchers]) told();
    this.#looks.end();
    started.delete(this);
    const closing = this.#closing;
    if (closing !== null) settle(closing, result === null ? "failed" : "done", result ?? error);
    settle(this.#closedRequest, "done", { error: this.#error });
    // The exception is emitted as a warning, since nothing else may report it.
    if (crash !== null && this.#whenReady === null) process.emitWarning(error);
  }

  // ------------------------------------------------------------------ the thread, seen from inside

  /** @internal */
  static _enter(name: string, port: MessagePort): () => void {
    const parent = new RunLoop("parent", -1, null, port, null);
    RunLoop.#current = new RunLoop(name, threadId, null, null, parent);
    onOpenCount(() => parent.#link?.noteNews());
    return () => parent.#link?.post({ kind: "ready" });
  }

  #drain(graceMs: number): void {
    const link = this.parent === null ? null : this.parent.#link;
    if (link === null || this.#state !== "running") return;
    this.#state = "closing";
    const { received } = link;
    const count = received.size;
    let forced = 0;
    const force = (): void => {
      for (const connection of received.values()) endLate(connection, () => forced++);
    };
    if (graceMs !== Infinity) realClock.setTimer(force, Math.max(1, graceMs), true);
    link.drain(`the run loop ${JSON.stringify(this.name)} is closing`, () => {
      link.tellNews();
      link.post({ kind: "closed", result: { finished: count - forced, forced } });
      process.exit();
    });
  }
}

const sending: Sending = {
  dispatcher: (owner, loops) => new LoopDispatcher(owner, loops),
  move: depart,
};

/** A function that chooses the loop of a pool for a new socket. It returns the loop, or its index in `loops`. */
export type PoolChooser = Chooser<RunLoop>;

/**
 * How a pool chooses a loop for a new socket. `"round-robin"`: each loop in turn; `"least-connections"`: the loop with
 * the fewest sockets.
 */
export type PoolPolicy = Policy<RunLoop>;

/** Several run loops that run the same module. Wherever a socket can be sent to a loop, it can be sent to a pool. */
export class RunLoopPool extends Pool<RunLoop> {}

/**
 * @internal Makes this thread the thread of a run loop.
 * @returns a function that reports that the module has been evaluated
 */
export function enterRunLoop(name: string, port: MessagePort): () => void {
  return RunLoop._enter(name, port);
}

function closedTooEarly(name: string): AsyncSocketError {
  const words = `The run loop ${JSON.stringify(name)} was closed before its module had run to its end`;
  return socketError("TRANSFER", "spawn", words);
}

async function allOrNone(starts: readonly Promise<RunLoop>[]): Promise<RunLoop[]> {
  const results = await Promise.allSettled(starts);
  const loops = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const failed = results.find((result) => result.status === "rejected");
  if (failed === undefined) return loops;
  await Promise.all(loops.map((loop) => loop.close({ graceMs: 0 })));
  throw failed.reason;
}
