import { isAbsolute } from "node:path";
import { pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { MessageChannel, type MessagePort, threadId, Worker, type WorkerOptions } from "node:worker_threads";
import type { Address } from "../base/address.js";
import { checkInteger, checkOneOf, checkOptions, checkString, wrongRange, wrongType } from "../base/checks.js";
import { checkNames, type OptionNames } from "../base/option-names.js";
import { realClock } from "../base/clock.js";
import { inWords } from "../base/errno.js";
import { type AsyncSocketError, badState, socketError } from "../base/errors.js";
import { nobody, settle, SocketRequest } from "../base/request.js";
import { onOpenCount, openSocketsHere } from "../connection/open-count.js";
import { checkGrace, type ShutdownOptions, type ShutdownResult } from "../listen/options.js";
import { endAtOnce } from "../connection/closing.js";
import type { Sending } from "../listen/dispatcher.js";
import { depart } from "./departure.js";
import { LoopDispatcher } from "./dispatcher.js";
import { inbox, type SocketHandler } from "./inbox.js";
import { Link, type LinkOwner, type Sent, type Sender } from "./link.js";
import type { Message, SharedOptions, SharedPortOwner, Start } from "./messages.js";
import { Loop, type RunLoopState } from "./loop.js";
import { type Chooser, type Policy, Pool } from "./pool.js";
import type { PortableTLS } from "./portable-tls.js";
import type { TransferHandle, TransferState } from "./transfer.js";

/** What `RunLoop.spawn` takes: what `new Worker` does (`workerData`, `env`, `execArgv`, `resourceLimits` …). */
export interface RunLoopOptions extends Omit<WorkerOptions, "eval"> {
  /** For messages, and for whoever looks at threads. @default "run loop N" */
  name?: string | undefined;
}

/** What `RunLoop.pool` takes besides. */
export interface RunLoopPoolOptions extends RunLoopOptions {
  /** Which of them a new socket goes to. @default "round-robin" */
  policy?: PoolPolicy | undefined;
  /** Whether a loop that ends by itself is replaced. One that cannot start is not tried again. @default false */
  respawn?: boolean | undefined;
}

const LOOP_OPTIONS: OptionNames<RunLoopOptions> = {
  name: true,
  argv: true,
  env: true,
  workerData: true,
  stdin: true,
  stdout: true,
  stderr: true,
  execArgv: true,
  resourceLimits: true,
  transferList: true,
  trackUnmanagedFds: true,
};

const POOL_OPTIONS: OptionNames<RunLoopPoolOptions> = { ...LOOP_OPTIONS, policy: true, respawn: true };

/** How a run loop ended. */
export interface RunLoopEnd {
  /** Null: it was closed. Else `TRANSFER`: its thread crashed (the cause is what was thrown there), or exited. */
  readonly error: AsyncSocketError | null;
}

/** An exception that has ended a thread. Anything can be thrown, `undefined` too. */
interface Crash {
  readonly thrown: unknown;
}

let spawned = 0;

/**
 * The event loop of a thread, on which sockets live. `RunLoop.spawn` starts a thread for sockets; those that are sent to
 * it (`wantsRunLoopForNewSocket`, `listen({ loops })`, `moveTo`) are told there to `RunLoop.current.onSocket`.
 *
 * A loop that was spawned keeps the process alive while it has sockets, or some are on their way to it.
 */
export class RunLoop extends Loop {
  /** As it was spawned; `"main"` of the first thread. */
  override readonly name: string;
  /** Node's number of its thread. */
  readonly threadId: number;
  /** Its thread; null of the loop that one is on, and of the one that spawned it. */
  readonly worker: Worker | null;
  /** Of the current loop: the one that spawned it, to send sockets back to; null where there is none. */
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

  /** The loop of this thread. */
  static get current(): RunLoop {
    RunLoop.#current ??= new RunLoop(threadId === 0 ? "main" : `thread ${threadId}`, threadId, null, null, null);
    return RunLoop.#current;
  }

  /**
   * Starts a thread, and on it this module (an absolute URL, or path), which is to call `RunLoop.current.onSocket`.
   * `workerData` is there as in any worker. Fails with `TRANSFER` where the module cannot be run to its end; what it
   * threw is the cause.
   */
  static async spawn(moduleUrl: URL | string, options?: RunLoopOptions): Promise<RunLoop> {
    const module = checkModule(moduleUrl);
    const given = checkOptions(options) ?? {};
    checkNames("options of RunLoop.spawn", given, LOOP_OPTIONS);
    const { name = `run loop ${++spawned}`, transferList = [], ...rest } = given;
    const workerData: unknown = rest.workerData;
    const { port1, port2 } = new MessageChannel();
    const start: Start = { name: checkString("name", name), port: port2, module, workerData };
    const worker = new Worker(bootstrapUrl(), {
      ...inherited(),
      ...rest,
      name,
      workerData: start,
      transferList: [...transferList, port2],
    });
    const loop = new RunLoop(name, worker.threadId, worker, port1, null);
    await loop.#start(worker);
    return loop;
  }

  /** Starts so many threads of one module, as `spawn` does; `name` gets a number. */
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

  /** Whether it is the loop of this thread. */
  override get isCurrent(): boolean {
    return this === RunLoop.#current;
  }

  /** How many connections it has, those on their way to it included. Of another thread: as it told last. */
  override get sockets(): number {
    return this.isCurrent ? openSocketsHere() : (this.#link?.sockets ?? 0);
  }

  /** Settles when its thread has ended, however that came; of the first thread never. Never fails. */
  get closed(): SocketRequest<RunLoopEnd> {
    return this.#closedRequest;
  }

  [inspect.custom](): string {
    return `RunLoop ${JSON.stringify(this.name)} ${this.#state}: ${this.sockets} sockets`;
  }

  // ------------------------------------------------------------------ asked for

  /**
   * Who is told of sockets that come from other threads; the last one counts. They wait until there is one. Set
   * `socket.delegate` there, or queue reads: nothing is lost before the call returns.
   * @throws BAD_STATE unless it is the loop of this thread
   */
  onSocket(handler: SocketHandler): void {
    if (typeof handler !== "function") throw wrongType("handler", "a function", handler);
    if (!this.isCurrent) throw badState("onSocket", "sockets are told of on their own thread, by RunLoop.current");
    inbox.setHandler(handler);
  }

  /**
   * Takes no more sockets, lets those that were sent to it finish, closes what has not within `graceMs`, and ends the
   * thread. Gives how many of them finished by themselves from now on, and how many were closed; a second call gives the
   * first one's. Fails with `TRANSFER` where the thread ends by itself meanwhile.
   * @throws BAD_STATE of a thread that no run loop was spawned for
   */
  override close(options?: ShutdownOptions): SocketRequest<ShutdownResult> {
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

  /** @internal Why it takes no sockets; null: it does. */
  override get _refusal(): string | null {
    if (this.#state === "running" && this.#link !== null) return null;
    return `the run loop ${JSON.stringify(this.name)} is ${this.#state === "running" ? "no other thread's" : this.#state}`;
  }

  /** @internal */
  override _send(handle: TransferHandle, state: TransferState, sender: Sender): Sent {
    return (this.#link as Link).send(handle, state, sender);
  }

  /** @internal Has it listen by itself, on a port that is shared. */
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

  /** @internal What it listens to by itself is secured by these from now on. */
  override _resecure(id: number, secrets: PortableTLS): void {
    const link = this.#link;
    if (this.#state === "running") link?.post({ kind: "resecure", id, secrets: link.sendTLS(secrets) });
  }

  /** @internal Of a socket that it has accepted by itself. */
  override _sentBy(id: number, sender: Sender): Sent {
    return (this.#link as Link).sentBy(id, sender);
  }

  /** @internal By which number the secrets are known there. */
  override _sendTLS(secrets: PortableTLS): number {
    return (this.#link as Link).sendTLS(secrets);
  }

  /** @internal */
  override _forgetTLS(secrets: PortableTLS): void {
    if (this.#state === "running") this.#link?.forgetTLS(secrets);
  }

  /** @internal Why it ended, where nobody had asked for it. */
  override get _wasLost(): AsyncSocketError | null {
    return this.#error;
  }

  /** @internal Called when it has ended. @returns what stops that */
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

  #didReceive(message: Extract<Message, { kind: "ready" | "close" | "closed" }>): void {
    if (message.kind === "ready") this.#whenReady?.();
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
    // What it said last may say that it was closed.
    const why = crash === null ? `its thread exited with ${code}` : inWords(crash.thrown);
    const words = `The run loop ${JSON.stringify(this.name)} ended: ${why}`;
    const error = socketError("TRANSFER", "run loop", words, crash?.thrown);
    this.#link?.lose(error);
    const result = this.#result;
    this.#error = result === null ? error : null;
    this.#state = "closed";
    for (const told of [...this.#watchers]) told();
    const closing = this.#closing;
    if (closing !== null) settle(closing, result === null ? "failed" : "done", result ?? error);
    settle(this.#closedRequest, "done", { error: this.#error });
    // Nobody else may be there to hear of an exception.
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
      forced = received.size;
      for (const connection of received.values()) endAtOnce(connection);
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

/** Which loop of a pool a new socket goes to: by the loop itself, or its place in `loops`. */
export type PoolChooser = Chooser<RunLoop>;

/** `"round-robin"`: in turns; `"least-connections"`: to the one with the fewest sockets. */
export type PoolPolicy = Policy<RunLoop>;

/** Several run loops of one module. Wherever a socket can be sent to a loop, it can be sent to a pool. */
export class RunLoopPool extends Pool<RunLoop> {}

/** @internal Makes this thread a run loop's. @returns what tells that its module has run */
export function enterRunLoop(name: string, port: MessagePort): () => void {
  return RunLoop._enter(name, port);
}

function closedTooEarly(name: string): AsyncSocketError {
  const words = `The run loop ${JSON.stringify(name)} was closed before its module had run to its end`;
  return socketError("TRANSFER", "spawn", words);
}

/** @throws TRANSFER in a bundle of CommonJS, which does not know where this file was */
function bootstrapUrl(): URL {
  const here = import.meta.url as string | undefined;
  if (here !== undefined) return new URL("./bootstrap.js", here);
  const words =
    "A run loop cannot be started: asyncsocket is part of a CommonJS bundle, and its file for threads is not. Leave asyncsocket out of the bundle (esbuild: --external:asyncsocket), so that it is loaded from node_modules";
  throw socketError("TRANSFER", "spawn", words);
}

/** A program given by `--eval` and its kind are no module's: a worker refuses to start with them. */
function inherited(): WorkerOptions {
  const { execArgv } = process;
  if (!execArgv.some((one) => one.startsWith("--input-type"))) return {};
  const start = execArgv.findIndex((one) => ["-e", "--eval", "-p", "--print", "-pe"].includes(one));
  const own = start < 0 ? execArgv : execArgv.slice(0, start);
  return { execArgv: own.filter((one) => !one.startsWith("--input-type")) };
}

function checkModule(given: unknown): string {
  const { href } = (given ?? {}) as Partial<URL>;
  if (typeof href === "string") return href;
  const text = checkString("moduleUrl", given);
  if (isAbsolute(text)) return pathToFileURL(text).href;
  if (URL.canParse(text)) return text;
  throw wrongRange("moduleUrl", "an absolute URL, or an absolute path", text);
}

async function allOrNone(starts: readonly Promise<RunLoop>[]): Promise<RunLoop[]> {
  const results = await Promise.allSettled(starts);
  const loops = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const failed = results.find((result) => result.status === "rejected");
  if (failed === undefined) return loops;
  await Promise.all(loops.map((loop) => loop.close({ graceMs: 0 })));
  throw failed.reason;
}
