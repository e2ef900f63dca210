import type { SocketSnapshot } from "../socket/snapshot.js";
import type { Message } from "./messages.js";
import type { RunLoopState } from "./loop.js";

/** The sockets of a run loop, as plain data. */
export interface RunLoopSnapshot {
  readonly name: string;
  readonly threadId: number;
  readonly state: RunLoopState;
  readonly sockets: readonly SocketSnapshot[];
  /** How long the thread took to answer, in ms. */
  readonly answerMs: number;
}

/** The questions to another thread for a snapshot of its sockets, until they are answered. */
export class Looks {
  readonly #waiting = new Map<number, (sockets: readonly SocketSnapshot[]) => void>();
  #lastId = 0;

  ask(link: { post(message: Message): void }): Promise<readonly SocketSnapshot[]> {
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      link.post({ kind: "look", id });
    });
  }

  answer(id: number, sockets: readonly SocketSnapshot[]): void {
    this.#waiting.get(id)?.(sockets);
    this.#waiting.delete(id);
  }

  /** The thread has ended, and so have its sockets. */
  end(): void {
    for (const resolve of this.#waiting.values()) resolve([]);
    this.#waiting.clear();
  }
}
