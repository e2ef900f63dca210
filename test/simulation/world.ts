/** Runs a program: both sides, the network between them, and what is held against the model at every step. */

import { getEventListeners } from "node:events";
import {
  AsyncSocket,
  AsyncSocketError,
  type AsyncSocketDelegate,
  type ShutdownResult,
  type SocketRequest,
} from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";
import { close, POOL, read, TurnClock } from "./calls.js";
import { Lateness } from "./lateness.js";
import { isPending, isUntold, Life, trackedOf, type Judge, type Tracked } from "./life.js";
import { replaceable } from "./replaceable.js";
import {
  LAST_OP_MS,
  LINGER_MS,
  READ_LENGTH,
  type Act,
  type Closing,
  type Op,
  type Program,
  type Side,
} from "./program.js";

const SERVER = "192.0.2.1";
/** When all faults are healed, when all must have gone where it can, and the end. */
const HEAL_MS = LAST_OP_MS + 200;
const END_MS = HEAL_MS + 100_000;
/** More than any program of this size takes. */
const MOST_TURNS = 200_000;

/** What is asked of a socket. */
type Asked = Extract<
  Act,
  { do: "read" | "write" | "sendAndReset" | "end" | "close" | "cancelReads" | "cancel" | "extend" | "replace" }
>;

/** What a delegate throws when it is told to. */
class Thrown extends Error {}

export class World implements Judge {
  /** The first thing that was wrong. */
  failure: string | null = null;
  /** What was told, in its order: the callback, or the code of a failure; when; of what. */
  readonly log: [what: string, atMs: number, of: string][] = [];
  readonly #program: Program;
  readonly #clock: TurnClock;
  readonly #endMs: number;
  readonly #network: MemoryNetwork;
  readonly #client: AsyncSocket;
  readonly #listener: AsyncSocket;
  readonly #lives: Life[] = [];
  readonly #current: [Life | null, Life | null] = [null, null];
  readonly #byPort = new Map<number, Life>();
  readonly #callOps = [new Map<number, Op[]>(), new Map<number, Op[]>()] as const;
  readonly #callCount: [number, number] = [0, 0];
  readonly #mustThrow: [number, number] = [0, 0];
  readonly #grants: [number, number] = [0, 0];
  readonly #signals: AbortSignal[] = [];
  /** Timers of its own. */
  #timersDue = 0;
  #isCalling = false;
  #thrown = 0;
  #surfaced = 0;
  readonly #lateness: Lateness;
  /** Until when the thread was last busy. */
  #busyUntil = -1;

  constructor(program: Program) {
    this.#program = program;
    const { seed, network, ops } = program;
    this.#endMs = program.isCutShort ? LAST_OP_MS : END_MS;
    this.#clock = new TurnClock(ops.some(({ act }) => act.do === "throw"));
    this.#network = new MemoryNetwork({ ...network, seed, clock: this.#clock });
    this.#lateness = new Lateness(program, (what) => this.fail(what));
    this.#client = new AsyncSocket(this.#options(0));
    this.#listener = new AsyncSocket(this.#options(1));
  }

  #limits(side: Side): { readAhead: number; writeQueue: number; idleMs: number; readLength: number; lingerMs: number } {
    const { readAhead, writeQueue, idleMs } = this.#program;
    const limits = { readAhead: readAhead[side], writeQueue: writeQueue[side], idleMs: idleMs[side] };
    return { ...limits, readLength: READ_LENGTH, lingerMs: LINGER_MS };
  }

  #options(side: Side): ConstructorParameters<typeof AsyncSocket>[0] {
    const limits = this.#limits(side);
    const allowHalfOpen = this.#program.allowHalfOpen[side];
    return { transport: this.#network, delegate: this.#delegate(side), limits, allowHalfOpen };
  }

  now(): number {
    return this.#clock.now();
  }

  turn(): number {
    return this.#clock.turn;
  }

  fail(what: string): void {
    this.failure ??= `at ${this.now()} ms: ${what}`;
  }

  // ------------------------------------------------------------------ the run

  async run(): Promise<string | null> {
    process.setUncaughtExceptionCaptureCallback((error) => {
      if (error instanceof Thrown) this.#surfaced++;
      else this.fail(`uncaught: ${error.stack}`);
    });
    try {
      await this.#play();
      this.#checkEnd();
    } catch (error) {
      this.fail(error instanceof Error ? String(error.stack) : String(error));
    } finally {
      process.setUncaughtExceptionCaptureCallback(null);
    }
    return this.failure;
  }

  async #play(): Promise<void> {
    const clock = this.#clock;
    await clock.run(this.#listener.listen({ port: 7, host: SERVER }));
    for (const op of this.#program.ops) {
      if (op.call === undefined) clock.setTimer(() => this.#perform(op), op.atMs);
      else {
        const ops = this.#callOps[op.side];
        ops.set(op.call, [...(ops.get(op.call) ?? []), op]);
      }
    }
    clock.setTimer(() => this.#connect(), 0);
    if (this.#endMs > HEAL_MS) clock.setTimer(() => this.#heal(), HEAL_MS);
    clock.setTimer(() => this.#end(), this.#endMs);
    let turns = 0;
    await clock.run(() => this.#isOver() || ++turns > MOST_TURNS);
    if (turns > MOST_TURNS) return this.fail("it never ends");
    // No time has passed since the end, so none that was forgotten has gone off; and no connect is on its way.
    const isStill = clock.now() === this.#endMs && this.#network.connections.length === 0;
    const wasInTime = isStill && this.#lives.every(({ begunAtMs }) => begunAtMs < this.#endMs - 100);
    if (wasInTime && clock.size > this.#timersDue) this.fail(`${clock.size} timers are left`);
    await clock.run(() => clock.size === 0 || ++turns > MOST_TURNS);
    if (turns > MOST_TURNS) this.fail("a timer is set for ever");
    await clock.run();
  }

  #isOver(): boolean {
    return this.#listener.state === "closed" && this.#lives.every((life) => life.isOver);
  }

  #heal(): void {
    this.#network.heal(SERVER);
    for (const connection of this.#network.connections) connection.resume();
  }

  /** Where nothing holds anything up any more, whoever has room has what was sent. */
  #end(): void {
    if (this.now() > HEAL_MS) for (const life of this.#lives) this.#checkDelivery(life);
    const { shutdown } = this.#program;
    if (shutdown === undefined) {
      this.#leave(() => true);
      this.#listener.disconnect();
    } else {
      this.#shutDown(shutdown.graceMs);
      this.#timersDue++;
      this.#clock.setTimer(() => {
        this.#timersDue--;
        this.#leave(({ isClient }) => isClient);
      }, shutdown.leaveMs);
    }
  }

  #leave(who: (life: Life) => boolean): void {
    for (const life of this.#lives) if (!life.isOver && who(life)) this.#close(life, "disconnect");
  }

  #shutDown(graceMs: number): void {
    const left = this.#lives.filter(({ isClient, isOver }) => !isClient && !isOver);
    // Of one that is closing the descriptor may be closed: that is no connection any more.
    const open = left.filter(({ socket: { state } }) => state === "open").length;
    const check = ({ finished, forced }: ShutdownResult): void => {
      this.log.push(["shutdown", this.now(), `${finished} ${forced}`]);
      const count = finished + forced;
      if (count < open || count > left.length) this.fail(`shutdown told of ${count} connections, not of ${open}`);
      if (left.some(({ socket: { state } }) => state === "open")) this.fail("shutdown left a connection open");
      if (forced > 0 && this.now() < this.#endMs + graceMs) this.fail("shutdown forced before its grace was over");
    };
    const request = this.#call(null, "shutdown", false, () => this.#listener.shutdown({ graceMs }));
    request?.then(check, () => this.fail("shutdown failed"));
  }

  #checkDelivery(life: Life): void {
    const { peer, socket } = life;
    life.checkQuiet();
    if (peer === null || life.isOver || peer.isOver || socket.state !== "open" || peer.socket.state !== "open") return;
    if (socket.unreadBytes >= this.#limits(life.isClient ? 0 : 1).readAhead) return;
    const { unsentBytes, bytesWritten } = peer.socket;
    if (unsentBytes > 0) this.fail(`${peer.name}: ${unsentBytes} bytes were never sent`);
    if (socket.bytesRead !== bytesWritten) this.fail(`${life.name}: ${socket.bytesRead} of ${bytesWritten} bytes came`);
  }

  #checkEnd(): void {
    if (this.failure !== null) return;
    const { size } = this.#clock;
    const open = this.#network.connections.length;
    if (size > 0) this.fail(`${size} timers are left`);
    if (open > 0) this.fail(`${open} connections are left`);
    if (this.#thrown !== this.#surfaced) this.fail(`${this.#thrown} thrown, ${this.#surfaced} surfaced`);
    for (const signal of this.#signals) {
      if (getEventListeners(signal, "abort").length > 0) this.fail("a signal is still listened to");
    }
    for (const life of this.#lives) {
      if (!life.isOver) this.fail(`${life.name} was never told didDisconnect`);
      for (const one of life.asked) if (isPending(one)) this.fail(`${one.name} was never settled`);
      life.checkGiven();
    }
  }

  // ------------------------------------------------------------------ acting

  #perform({ side, act }: Op): void {
    const isBusy = this.now() <= this.#busyUntil;
    for (const life of this.#lives) {
      if (!isBusy) life.checkQuiet();
      life.noteWritten();
    }
    if (act.do === "busy") this.#beBusy(act.ms);
    else this.#act(side, act);
    this.#checkStep();
  }

  /** Other timers, of ops too, fall due in it, as they do late and all at once where a thread was busy. */
  #beBusy(ms: number): void {
    const now = this.now();
    if (now < this.#busyUntil || now + ms > LAST_OP_MS) return;
    this.#busyUntil = now + ms;
    this.#clock.advance(ms);
  }

  #checkStep(): void {
    for (const life of this.#current) life?.check();
  }

  #act(side: Side, act: Act): void {
    const life = this.#current[side];
    // Once healed, the network stays so.
    const [connection] = this.now() < HEAL_MS ? this.#network.connections : [];
    switch (act.do) {
      case "connect":
        return this.#connect();
      case "throw":
        this.#mustThrow[side]++;
        return;
      case "busy":
        return; // not from inside a callback: no timer is due in there
      case "grant":
        this.#grants[side] = act.ms;
        return;
      case "stall":
      case "resume":
        return connection?.[act.up ? "up" : "down"][act.do]();
      case "break":
        return connection?.[act.up ? "up" : "down"].breakAfter(act.after);
      case "breakNow":
        return connection?.reset();
      case "partition":
      case "heal":
        return this.now() < HEAL_MS ? this.#network[act.do](SERVER) : undefined;
      default:
        if (life !== null) this.#ask(life, act);
    }
  }

  #ask(life: Life, act: Asked): void {
    switch (act.do) {
      case "read":
        return this.#read(life, act);
      case "write":
        return this.#write(life, act);
      case "sendAndReset":
        this.#write(life, { do: "write", from: act.from, sizes: [act.size], awaits: false });
        return this.#close(life, "reset");
      case "end":
        return this.#endWriting(life);
      case "close":
        return this.#close(life, act.how);
      case "cancelReads":
        return this.#cancelReads(life);
      case "replace":
        life.socket.delegate = this.#delegate(life.isClient ? 0 : 1);
        return;
      default: {
        const tracked = life.asked.at(-1 - act.back);
        if (tracked === undefined) return;
        if (act.do === "cancel") this.#cancel(tracked);
        else if (this.#call(life, "extend", false, () => tracked.request.extend(act.ms)) === true)
          tracked.timeoutMs += act.ms;
      }
    }
  }

  /** Any call of the library's: nothing may be told from inside of it, and it throws BAD_STATE exactly when it has to. */
  #call<T>(life: Life | null, what: string, mustThrow: boolean, call: () => T): T | undefined {
    const wasCalling = this.#isCalling;
    this.#isCalling = true;
    try {
      const result = call();
      if (mustThrow) this.fail(`${life?.name ?? "client"}: ${what} did not throw`);
      return result;
    } catch (error) {
      const isBadState = error instanceof AsyncSocketError && error.code === "ERR_ASYNCSOCKET_BAD_STATE";
      if (!isBadState || !mustThrow) this.fail(`${life?.name ?? "client"}: ${what} threw ${String(error)}`);
      return undefined;
    } finally {
      this.#isCalling = wasCalling;
    }
  }

  #connect(): void {
    const socket = this.#client;
    const old = this.#current[0];
    const mustThrow = socket.state !== "idle" && socket.state !== "closed";
    const target = { host: SERVER, port: 7, timeout: 150 };
    const request = this.#call(old, "connect", mustThrow, () => socket.connect(target));
    if (request === undefined) return;
    const life = new Life(this, socket, true, this.#limits(0));
    this.#begin(0, life);
    this.#follow(life, request);
  }

  #begin(side: Side, life: Life): void {
    this.#lives.push(life);
    this.#current[side] = life;
  }

  #follow(life: Life, connecting: SocketRequest<unknown>): void {
    connecting.then(
      () => (life.isConnected ? undefined : this.fail("connected before didConnect")),
      () =>
        life.isConnected || life.isOver ? this.fail("connect failed, and the socket was told otherwise") : undefined,
    );
  }

  #asked(tracked: Tracked, request: SocketRequest<unknown> | undefined, controller: AbortController | null): void {
    if (request === undefined) return;
    const { life } = tracked;
    tracked.request = request;
    tracked.isAsked = true;
    life.add(tracked);
    if (!isPending(tracked)) {
      if (request.state === "canceled") tracked.isCanceled = true;
      tracked.isRemoved = true;
    }
    if (controller !== null) this.#signals.push(controller.signal);
    if (!tracked.awaits) return;
    const settle = (value?: unknown): void => {
      tracked.settled++;
      if (isPending(tracked)) this.fail(`${tracked.name} is settled, and pending`);
      if (tracked.told !== 1 && !isUntold(tracked)) this.fail(`who awaits ${tracked.name} is told first`);
      const isCount = !tracked.repeats || request.state !== "done" || value === tracked.messages;
      if (!isCount) this.fail(`${tracked.name} gave ${String(value)} at its end, not ${tracked.messages}`);
      if (life.isOver && !tracked.isLate) this.fail(`who awaits ${tracked.name} is told after didDisconnect`);
    };
    request.then(settle, settle);
  }

  #signal(abortMs: number | undefined, tracked: Tracked): AbortController | null {
    if (abortMs === undefined) return null;
    const controller = new AbortController();
    if (abortMs === 0) controller.abort();
    else {
      this.#timersDue++;
      this.#clock.setTimer(() => {
        this.#timersDue--;
        const wasPending = tracked.isAsked && isPending(tracked);
        controller.abort();
        if (wasPending && !isPending(tracked)) tracked.life.cancel(tracked);
      }, abortMs);
    }
    return controller;
  }

  #read(life: Life, { spec, alone, repeats, timeout, awaits, abortMs }: Extract<Act, { do: "read" }>): void {
    const tracked = trackedOf(life, this.now(), spec.kind, { isRead: true, spec, awaits, timeout, repeats });
    const controller = this.#signal(abortMs, tracked);
    const options = {
      tag: tracked,
      timeout,
      signal: controller?.signal,
      onFailure: alone === true ? ("continue" as const) : undefined,
      repeat: repeats,
    };
    const mustThrow = life.isAfterReading && !isEnding(life);
    this.#asked(
      tracked,
      this.#call(life, spec.kind, mustThrow, () => read(life.socket, spec, options)),
      controller,
    );
  }

  #write(life: Life, { from, sizes, timeout, awaits, abortMs }: Extract<Act, { do: "write" }>): void {
    const parts: Buffer[] = [];
    let at = from;
    for (const size of sizes) parts.push(POOL.subarray(at, (at += size)));
    const tracked = trackedOf(life, this.now(), "write", { bytes: Buffer.concat(parts), awaits, timeout });
    const controller = this.#signal(abortMs, tracked);
    const mustThrow = (life.isEndAsked || life.isAfterWriting) && !isEnding(life);
    const [only] = parts;
    const data = parts.length === 1 && only !== undefined ? only : parts;
    const options = { tag: tracked, timeout, signal: controller?.signal };
    this.#asked(
      tracked,
      this.#call(life, "write", mustThrow, () => life.socket.write(data, options)),
      controller,
    );
  }

  #endWriting(life: Life): void {
    if (life.isEndAsked) return;
    const tracked = trackedOf(life, this.now(), "end", {});
    this.#asked(
      tracked,
      this.#call(life, "end", false, () => life.socket.end()),
      null,
    );
    life.isEndAsked = isPending(tracked);
  }

  #cancel(tracked: Tracked): void {
    const { life, request, name } = tracked;
    const wasPending = isPending(tracked);
    const wasCanceled = this.#call(life, "cancel", false, () => request.cancel());
    if (wasCanceled !== true) {
      const { isRead, bytes } = tracked;
      const isOut = !isRead && bytes.length > 0 && request.bytesDone === bytes.length;
      if (wasPending && !isOut && !name.startsWith("end")) this.fail(`${name} could not be canceled`);
      return;
    }
    life.cancel(tracked);
    if (name.startsWith("end")) life.isEndAsked = false;
  }

  #cancelReads(life: Life): void {
    const pending = life.asked.filter((one) => one.isRead && isPending(one));
    const count = this.#call(life, "cancelReads", false, () => life.socket.cancelReads());
    if (count !== pending.length) this.fail(`${life.name}: cancelReads gave ${count} for ${pending.length}`);
    for (const one of pending) life.cancel(one);
  }

  #close(life: Life, how: Closing): void {
    if (!isEnding(life)) {
      if (how === "afterReading" || how === "afterBoth") life.isAfterReading = true;
      if (how === "afterWriting" || how === "afterBoth" || how === "dispose") life.isAfterWriting = true;
    }
    const closing = this.#call(life, how, false, () => close(life.socket, how));
    const told = (reason: unknown): void => {
      life.closedTold++;
      if (!life.isOver) this.fail(`${life.name}: ${how} was settled before didDisconnect`);
      if (how !== "dispose" && reason !== life.reason) this.fail(`${life.name}: ${how} gave another reason`);
    };
    closing?.then(told, () => this.fail(`${how} failed`));
  }

  // ------------------------------------------------------------------ told

  /** Notes a callback, has the program's ops for it done, and throws if it has to. */
  #told(side: Side, note: () => void): void {
    if (this.#isCalling) this.fail("a callback from inside a call");
    note();
    const ops = this.#callOps[side].get(this.#callCount[side]++);
    if (ops !== undefined) for (const { act } of ops) this.#act(side, act);
    if (this.#mustThrow[side] === 0) return;
    this.#mustThrow[side]--;
    this.#thrown++;
    throw new Thrown("as told");
  }

  #lifeOf(socket: AsyncSocket, what: string): Life | null {
    for (const life of this.#current) if (life?.socket === socket) return life;
    for (let i = this.#lives.length - 1; i >= 0; i--)
      if (this.#lives[i]?.socket === socket) return this.#lives[i] ?? null;
    this.fail(`${what} of an unknown socket`);
    return null;
  }

  #grant(side: Side, tracked: Tracked, elapsed: number, bytesDone: number): number {
    const ms = this.#grants[side];
    this.#told(side, () => {
      tracked.life.shouldExtend(tracked, elapsed, bytesDone);
      this.#lateness.shouldExtend(tracked, this.now() - elapsed);
      this.#grants[side] = 0;
    });
    // An answer given after the entry was settled from inside counts for nobody.
    if (isPending(tracked)) tracked.timeoutMs += ms;
    return ms;
  }

  #didAccept(socket: AsyncSocket): void {
    const life = new Life(this, socket, false, this.#limits(1));
    const { remote } = socket;
    const peer = remote?.family === "IPv4" ? this.#byPort.get(remote.port) : undefined;
    if (peer === undefined) this.fail("accepted from nowhere");
    else [peer.peer, life.peer] = [life, peer];
    this.#begin(1, life);
  }

  /** Told of a life. */
  #toldOf(side: Side, what: string, socket: AsyncSocket, note: (life: Life) => void): void {
    this.#told(side, () => {
      const life = this.#lifeOf(socket, what);
      if (life === null) return;
      this.log.push([what, this.now(), life.name]);
      note(life);
      life.check();
    });
  }

  /** Told of a request. */
  #toldTagged(side: Side, what: string, tag: unknown, note: (tracked: Tracked) => void): void {
    const tracked = tag as Tracked;
    this.#told(side, () => {
      this.log.push([what, this.now(), tracked.name]);
      note(tracked);
      if (!tracked.isLate) tracked.life.check();
    });
  }

  #noteCode({ code }: AsyncSocketError): void {
    this.log.push([code.replace("ERR_ASYNCSOCKET_", ""), this.now(), ""]);
  }

  #delegate(side: Side): AsyncSocketDelegate {
    return replaceable({ ...this.#connectionDelegate(side), ...this.#entryDelegate(side) }, (what) => this.fail(what));
  }

  #connectionDelegate(side: Side): AsyncSocketDelegate {
    return {
      didAccept: (_, socket) =>
        this.#told(side, () => {
          this.log.push(["didAccept", this.now(), ""]);
          this.#didAccept(socket);
        }),
      didFailAccept: (_, error) => this.fail(`didFailAccept: ${error.message}`),
      didConnect: (socket) =>
        this.#toldOf(side, "didConnect", socket, (life) => {
          const { local } = socket;
          if (local?.family === "IPv4") this.#byPort.set(local.port, life);
          life.didConnect();
        }),
      didEndReading: (socket) => this.#toldOf(side, "didEndReading", socket, (life) => life.didEndReading()),
      willDisconnect: (socket, reason) =>
        this.#toldOf(side, "willDisconnect", socket, (life) => life.willDisconnect(reason)),
      didDisconnect: (socket, reason) => {
        if (socket === this.#listener) return;
        if (reason.error !== null) this.#noteCode(reason.error);
        this.#toldOf(side, "didDisconnect", socket, (life) => {
          life.didDisconnect(reason);
          this.#lateness.didClose(reason);
        });
      },
    };
  }

  #entryDelegate(side: Side): AsyncSocketDelegate {
    const grant = (what: string, tag: unknown, elapsed: number, bytesDone: number): number => {
      this.log.push([what, this.now(), ""]);
      return this.#grant(side, tag as Tracked, elapsed, bytesDone);
    };
    return {
      didRead: (_, data, tag) => this.#toldTagged(side, "didRead", tag, (one) => one.life.didRead(one, data)),
      didReadText: (_, text, tag) => this.#toldTagged(side, "didReadText", tag, (one) => one.life.didRead(one, text)),
      didReadPartial: (_, count, tag) =>
        this.#toldTagged(side, "didReadPartial", tag, (one) => one.life.didReport(one, count)),
      didWrite: (_, tag) => this.#toldTagged(side, "didWrite", tag, (one) => one.life.didWrite(one)),
      didWritePartial: (_, count, tag) =>
        this.#toldTagged(side, "didWritePartial", tag, (one) => one.life.didReport(one, count)),
      shouldExtendReadTimeout: (_, ...asked) => grant("shouldExtendReadTimeout", ...asked),
      shouldExtendWriteTimeout: (_, ...asked) => grant("shouldExtendWriteTimeout", ...asked),
      didFailRead: (_, error, tag) => {
        this.#noteCode(error);
        this.#toldTagged(side, "didFailRead", tag, (one) => one.life.didFailRead(one, error));
      },
      didFailWrite: (_, error, tag) => {
        this.#noteCode(error);
        this.#toldTagged(side, "didFailWrite", tag, (one) => one.life.didFailWrite(one, error));
      },
    };
  }
}

function isEnding({ socket: { state } }: Life): boolean {
  return state === "closing" || state === "closed";
}
