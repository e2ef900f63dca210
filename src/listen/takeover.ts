/**
 * One process at a time takes the place of a stale socket file. A lock in the form of a file would be left behind by a
 * process that is killed; so each makes a socket beside the path at which it really listens, and looks for those of others:
 *
 * - Whoever sees no other living one is alone, since the one that comes later sees the one that came before.
 * - Of those that see each other, the one whose name comes first stays; the others hide theirs for a while.
 * - One at which nobody listens is a dead process's. Names are never used twice, so anybody may remove it.
 */

import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdirSync, renameSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { basename, join } from "node:path";
import { realClock } from "../base/clock.js";
import { reasonOf } from "../base/errno.js";
import { socketError } from "../base/errors.js";

/** How long to wait for another process, which may be stopped in the middle of its turn. */
const PATIENCE_MS = 10_000;
const PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 80;

/** Makes a name that no other process has. */
export function randomName(kind: string): string {
  return `.${kind}${randomBytes(6).toString("base64url")}`;
}

/** Connects to a path. @returns an errno code, or "connected" */
export function probe(path: string): Promise<string> {
  return new Promise((done) => {
    const socket = connect({ path });
    socket.once("error", (error) => done(reasonOf(error)));
    socket.once("connect", () => {
      socket.destroy();
      done("connected");
    });
  });
}

/** Runs a task while no other process runs one for the same path. @throws LISTEN if its turn does not come in time */
export async function inTurns(folder: string, target: string, shown: string, task: () => Promise<void>): Promise<void> {
  const claim = await Claim.make(folder, basename(target));
  try {
    await claim.waitForTurn(shown);
    await task();
  } finally {
    claim.close();
  }
}

class Claim {
  readonly #folder: string;
  /** What the names of all claims to one path begin with. */
  readonly #prefix: string;
  readonly #shown: string;
  readonly #hidden: string;
  readonly #server: Server;

  private constructor(folder: string, of: string, server: Server, hidden: string) {
    this.#folder = folder;
    this.#prefix = `.${createHash("sha256").update(of).digest("hex").slice(0, 5)}`;
    this.#shown = randomName(this.#prefix.slice(1));
    this.#server = server;
    this.#hidden = hidden;
  }

  /** Makes the claim. Its socket listens before its name can be seen. */
  static async make(folder: string, of: string): Promise<Claim> {
    const hidden = randomName("new");
    const server = createServer((socket) => socket.destroy());
    server.listen({ path: join(folder, hidden), exclusive: true });
    await once(server, "listening");
    return new Claim(folder, of, server, hidden);
  }

  async waitForTurn(path: string): Promise<void> {
    const givenUpAt = realClock.now() + PATIENCE_MS;
    for (let pauseMs = PAUSE_MS; realClock.now() < givenUpAt;) {
      this.#rename(this.#hidden, this.#shown);
      const others = await this.#others();
      if (others.length === 0) return;
      if (others.some((name) => name < this.#shown)) {
        this.#rename(this.#shown, this.#hidden);
        pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
      }
      await pause(pauseMs);
    }
    const words = `Cannot listen on ${path}: other processes have been about to listen there for ${PATIENCE_MS} ms`;
    throw socketError("LISTEN", "listen", words, Object.assign(new Error("listen EADDRINUSE"), { code: "EADDRINUSE" }));
  }

  #rename(from: string, to: string): void {
    try {
      renameSync(join(this.#folder, from), join(this.#folder, to));
    } catch (error) {
      if (reasonOf(error) !== "ENOENT") throw error; // The claim has that name already.
    }
  }

  /** Finds the claims of other living processes, and removes those of dead ones. */
  async #others(): Promise<string[]> {
    const names = readdirSync(this.#folder).filter((name) => name.startsWith(this.#prefix) && name !== this.#shown);
    const answers = await Promise.all(names.map((name) => probe(join(this.#folder, name))));
    const isDead = (answer: string | undefined): boolean => answer === "ECONNREFUSED" || answer === "ENOENT";
    names.filter((_, i) => answers[i] === "ECONNREFUSED").forEach((name) => this.#remove(name));
    return names.filter((_, i) => !isDead(answers[i]));
  }

  #remove(name: string): void {
    try {
      unlinkSync(join(this.#folder, name));
    } catch {
      // The file is gone, or another user's; its process is dead in any case.
    }
  }

  /** Ends the claim. The name is removed first, because a claim whose name can be seen must be alive. */
  close(): void {
    this.#remove(this.#shown);
    this.#remove(this.#hidden);
    this.#server.close();
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => realClock.setTimer(resolve, ms, true));
}
