import { subscribe, unsubscribe } from "node:diagnostics_channel";
import {
  AsyncSocket,
  type CloseMessage,
  type EntryMessage,
  openSockets,
  RunLoop,
  snapshot,
  type SocketSnapshot,
} from "../index.js";
import { own } from "./own.js";

/** How many sockets of a thread a page is told of, how many closes, and how many served entries in one interval. */
const SOCKETS = 1000;
const CLOSES = 100;
const ENTRIES = 500;

interface LoopView {
  readonly name: string;
  readonly threadId: number;
  readonly state: string;
  /** How long the thread took to answer; of this thread, by how much the interval was late. Null without an answer. */
  readonly delayMs: number | null;
  /** The share of time in which the thread was busy since the last interval; null where that is not known. */
  readonly load: number | null;
  readonly total: number;
  readonly sockets: readonly SocketSnapshot[];
}

interface CloseView {
  readonly id: number;
  readonly at: number;
  readonly by: string;
  readonly code: string | null;
  readonly message: string | null;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly openMs: number | null;
}

interface EntryView {
  readonly id: number;
  readonly side: "read" | "write";
  readonly kind: string;
  readonly bytes: number;
  readonly ms: number | null;
  readonly code: string | null;
}

/** Describes a socket. Its class may have getters of its own that throw: then the page shows all sockets but this one. */
function describe(socket: AsyncSocket): SocketSnapshot[] {
  try {
    return snapshot([socket]);
  } catch {
    return [];
  }
}

/** A page that looks. It is told JSON on one line. */
export type Viewer = (json: string) => void;

/** Collects what pages show. Reads and writes are noted only while a page looks. */
export class Watcher {
  readonly #intervalMs: number;
  readonly #viewers = new Set<Viewer>();
  readonly #closes: CloseView[] = [];
  readonly #counts = new Map<string, number>();
  readonly #loads = new Map<RunLoop, ReturnType<typeof performance.eventLoopUtilization>>();
  #entries: EntryView[] = [];
  #dropped = 0;
  #timer: NodeJS.Timeout | null = null;
  #lastAt = 0;
  #isLooking = false;

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
    subscribe("asyncsocket:close", this.#didClose);
  }

  /** @returns a function that ends it */
  watch(viewer: Viewer): () => void {
    if (this.#viewers.size === 0) this.#begin();
    this.#viewers.add(viewer);
    void this.#look();
    return () => {
      if (this.#viewers.delete(viewer) && this.#viewers.size === 0) this.#pause();
    };
  }

  stop(): void {
    unsubscribe("asyncsocket:close", this.#didClose);
    if (this.#viewers.size > 0) this.#pause();
    this.#viewers.clear();
  }

  #begin(): void {
    subscribe("asyncsocket:read", this.#didRead);
    subscribe("asyncsocket:write", this.#didWrite);
    this.#lastAt = performance.now();
    this.#timer = setInterval(() => void this.#look(), this.#intervalMs);
    this.#timer.unref();
  }

  #pause(): void {
    unsubscribe("asyncsocket:read", this.#didRead);
    unsubscribe("asyncsocket:write", this.#didWrite);
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#entries = [];
  }

  readonly #didClose = (told: unknown): void => {
    const { socket, by, error, bytesRead, bytesWritten, openMs, movedTo } = told as CloseMessage<AsyncSocket>;
    if (own.has(socket)) return;
    const reason = movedTo === undefined ? (error?.code ?? by) : "moved";
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
    const [code, message] = [error?.code ?? null, error?.message ?? null];
    const at = Date.now();
    this.#closes.push({ id: socket.id, at, by, code, message, bytesRead, bytesWritten, openMs: openMs ?? null });
    if (this.#closes.length > CLOSES) this.#closes.shift();
  };

  readonly #didRead = (told: unknown): void => this.#didSettle("read", told as EntryMessage<AsyncSocket>);
  readonly #didWrite = (told: unknown): void => this.#didSettle("write", told as EntryMessage<AsyncSocket>);

  #didSettle(side: EntryView["side"], { socket, kind, bytes, currentMs, error }: EntryMessage<AsyncSocket>): void {
    if (own.has(socket)) return;
    if (this.#entries.length >= ENTRIES) this.#dropped++;
    else this.#entries.push({ id: socket.id, side, kind, bytes, ms: currentMs ?? null, code: error?.code ?? null });
  }

  /** Tells all pages anew. A thread that does not answer within an interval is shown without its sockets. */
  async #look(): Promise<void> {
    if (this.#isLooking || this.#viewers.size === 0) return;
    this.#isLooking = true;
    try {
      const now = performance.now();
      const lateMs = Math.max(0, now - this.#lastAt - this.#intervalMs);
      this.#lastAt = now;
      this.#tell(await Promise.all(RunLoop.all.map((loop) => this.#describe(loop, lateMs))));
    } catch {
      // What fails here must not harm the process that is looked at. The next interval tries again.
    } finally {
      this.#isLooking = false;
    }
  }

  #tell(loops: readonly LoopView[]): void {
    const [served, dropped] = [this.#entries, this.#dropped];
    this.#entries = [];
    this.#dropped = 0;
    const counts = Object.fromEntries(this.#counts);
    const json = JSON.stringify({ at: Date.now(), loops, closes: this.#closes, counts, served, dropped });
    for (const viewer of this.#viewers) viewer(json);
  }

  async #describe(loop: RunLoop, lateMs: number): Promise<LoopView> {
    const { name, threadId, state } = loop;
    const facts = { name, threadId, state, load: this.#loadOf(loop) };
    if (loop.isCurrent) {
      const all = openSockets().filter((socket) => !own.has(socket));
      return { ...facts, delayMs: lateMs, total: all.length, sockets: all.slice(0, SOCKETS).flatMap(describe) };
    }
    const answer = await this.#answerOf(loop);
    if (answer === null) return { ...facts, delayMs: null, total: loop.sockets, sockets: [] };
    const { sockets, answerMs } = answer;
    return { ...facts, delayMs: answerMs, total: sockets.length, sockets: sockets.slice(0, SOCKETS) };
  }

  async #answerOf(loop: RunLoop): Promise<Awaited<ReturnType<RunLoop["snapshot"]>> | null> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<null>((resolve) => {
      timer = setTimeout(resolve, this.#intervalMs, null);
    });
    const answer = await Promise.race([loop.snapshot().catch(() => null), late]);
    clearTimeout(timer);
    return answer;
  }

  /** Some runtimes have no such measure. */
  #loadOf(loop: RunLoop): number | null {
    try {
      const source = loop.isCurrent ? performance : loop.worker?.performance;
      const now = source?.eventLoopUtilization();
      if (source === undefined || now === undefined) return null;
      const before = this.#loads.get(loop);
      this.#loads.set(loop, now);
      return before === undefined ? null : source.eventLoopUtilization(now, before).utilization;
    } catch {
      return null;
    }
  }
}
