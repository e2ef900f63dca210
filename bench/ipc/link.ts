/**
 * The parent's end of the channel: a child process that is asked, and must answer by a deadline. A child that dies, or
 * is late, fails what is asked of it: a benchmark that hangs measures nothing.
 */
import { fork, type ChildProcess, type StdioOptions } from "node:child_process";
import { isReply, type Exchanges, type Request } from "./exchange.js";

interface Waiting {
  resolve(answer: unknown): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout;
}

const STOP_MS = 15_000;

export class Link<R extends Exchanges<R>> {
  readonly #child: ChildProcess;
  readonly #label: string;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;

  /** @param execPath what is started, with `execArgv` before the file */
  constructor(
    label: string,
    file: URL,
    args: readonly string[],
    execArgv: readonly string[],
    execPath = process.execPath,
  ) {
    this.#label = label;
    const stdio: StdioOptions = ["ignore", "inherit", "inherit", "ipc"];
    this.#child = fork(file, args, { execPath, execArgv: [...execArgv], stdio });
    this.#child.on("message", (message) => this.#take(message));
    this.#child.on("error", (error) => this.#failAll(error.message));
    this.#child.on("exit", (code, signal) => this.#failAll(`ended (${signal ?? code ?? "?"})`));
  }

  ask<K extends keyof R & string>(name: K, ask: R[K]["ask"], deadlineMs: number): Promise<R[K]["answer"]> {
    const request: Request = { id: ++this.#lastId, name, ask };
    return new Promise<unknown>((resolve, reject) => {
      const late = (): void =>
        this.#settle(request.id, new Error(`${this.#label}: no answer to ${name} in ${deadlineMs} ms`));
      this.#waiting.set(request.id, { resolve, reject, timer: setTimeout(late, deadlineMs) });
      this.#child.send(request, (error) => {
        if (error) this.#settle(request.id, new Error(`${this.#label}: ${name}: ${error.message}`));
      });
    });
  }

  /** Done when the process has ended: by itself, or by force when it takes too long. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    await new Promise<void>((resolve) => {
      const force = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      child.once("exit", () => {
        clearTimeout(force);
        resolve();
      });
      if (child.connected) child.disconnect();
    });
  }

  #take(message: unknown): void {
    if (!isReply(message)) return;
    if ("failure" in message) this.#settle(message.id, new Error(`${this.#label}: ${message.failure}`));
    else this.#settle(message.id, null, message.answer);
  }

  #settle(id: number, error: Error | null, answer?: unknown): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    clearTimeout(waiting.timer);
    if (error === null) waiting.resolve(answer);
    else waiting.reject(error);
  }

  #failAll(what: string): void {
    for (const id of [...this.#waiting.keys()]) this.#settle(id, new Error(`${this.#label} ${what}`));
  }
}
