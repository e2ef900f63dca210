/** Connections of the hostile process, on bare `node:net`: they are not to be as polite as the library would be. */
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { seededRandom } from "asyncsocket/testing";
import type { Ports } from "./requests.js";

/** What an attack has at hand. What it does is counted by name. */
export class Attack {
  readonly done: Record<string, number> = {};
  readonly #sockets = new Set<Socket>();
  readonly #endsAt: number;
  readonly random: () => number;

  constructor(
    readonly ports: Ports,
    readonly connections: number,
    ms: number,
    seed: number,
  ) {
    this.#endsAt = performance.now() + ms;
    this.random = seededRandom(seed);
  }

  get isOver(): boolean {
    return performance.now() >= this.#endsAt;
  }

  get open(): number {
    return this.#sockets.size;
  }

  count(what: string, times = 1): void {
    this.done[what] = (this.done[what] ?? 0) + times;
  }

  below(end: number): number {
    return Math.floor(this.random() * end);
  }

  dial(port: number, onConnect: (socket: Socket) => void = () => undefined): Socket {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    this.#sockets.add(socket);
    socket.once("connect", () => {
      this.count("connected");
      onConnect(socket);
    });
    socket.on("error", () => this.count("errors"));
    socket.once("close", () => this.#sockets.delete(socket));
    return socket;
  }

  /** Sees to it, until the end, that so many are open. Several at a time, so that the server's backlog is not all of it. */
  async keepOpen(count: number, dial: () => void): Promise<void> {
    while (!this.isOver) {
      for (let i = 0; i < 500 && this.open < count; i++) dial();
      await delay(5);
    }
  }

  /** Calls again and again until the end, letting the event loop turn. */
  async repeat(everyMs: number, step: () => void): Promise<void> {
    while (!this.isOver) {
      step();
      await delay(everyMs);
    }
  }

  /** Closes whatever is open, with a RST. One that still connects would wait for that first. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) {
      if (socket.connecting) socket.destroy();
      else socket.resetAndDestroy();
    }
    while (this.#sockets.size > 0) await delay(5);
  }

  get sockets(): readonly Socket[] {
    return [...this.#sockets];
  }
}
