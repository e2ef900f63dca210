import { existsSync } from "node:fs";
import { isAbsolute } from "node:path";
import { pathToFileURL } from "node:url";
import { MessageChannel, type MessagePort, Worker, type WorkerOptions } from "node:worker_threads";
import { checkString, wrongRange } from "../base/checks.js";
import { socketError } from "../base/errors.js";
import { here } from "../base/here.js";
import type { OptionNames } from "../base/option-names.js";
import type { Start } from "./messages.js";

/** The options of `RunLoop.spawn`: those of `new Worker` (`workerData`, `env`, `execArgv`, `resourceLimits` …). */
export interface RunLoopOptions extends Omit<WorkerOptions, "eval"> {
  /** The name of the loop and of its thread, for error messages and debuggers. @default "run loop N" */
  name?: string | undefined;
}

/** The names of the options of `RunLoop.spawn`. */
export const LOOP_OPTIONS: OptionNames<RunLoopOptions> = {
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

/**
 * Starts the thread of a run loop, which begins with run-loop-thread.ts.
 * @param module an absolute URL, as `checkModule` gives it
 * @returns the worker, and this thread's end of the link to it
 */
export function startWorker(
  name: string,
  module: string,
  options: RunLoopOptions,
): { worker: Worker; port: MessagePort } {
  const { transferList = [], ...rest } = options;
  const workerData: unknown = rest.workerData;
  const { port1, port2 } = new MessageChannel();
  const start: Start = { name: checkString("name", name), port: port2, module, workerData };
  const worker = new Worker(threadFile(), {
    ...inherited(),
    ...rest,
    name,
    workerData: start,
    transferList: [...transferList, port2],
  });
  return { worker, port: port1 };
}

/** Finds the file that a thread starts with. @throws TRANSFER in a bundle that lacks it */
function threadFile(): URL {
  // Beside the bundle that this code is in, or among the modules, where `here` is that of another folder.
  for (const file of here === undefined ? [] : ["./run-loop-thread.js", "../threads/run-loop-thread.js"]) {
    const url = new URL(file, here);
    if (url.protocol !== "file:" || existsSync(url)) return url;
  }
  const words =
    "A run loop cannot be started: asyncsocket is part of a bundle that lacks its file for threads. Bundle asyncsocket/run-loop-thread with it, or leave asyncsocket out of the bundle (docs/runtimes.md)";
  throw socketError("TRANSFER", "spawn", words);
}

/** The Node options to pass on to a worker: without `--eval` and similar ones, with which a worker refuses to start. */
function inherited(): WorkerOptions {
  const { execArgv } = process;
  if (!execArgv.some((one) => one.startsWith("--input-type"))) return {};
  const start = execArgv.findIndex((one) => ["-e", "--eval", "-p", "--print", "-pe"].includes(one));
  const own = start < 0 ? execArgv : execArgv.slice(0, start);
  return { execArgv: own.filter((one) => !one.startsWith("--input-type")) };
}

/** Checks the module that a thread is to run. @returns its URL */
export function checkModule(given: unknown): string {
  const { href } = (given ?? {}) as Partial<URL>;
  if (typeof href === "string") return href;
  const text = checkString("moduleUrl", given);
  if (isAbsolute(text)) return pathToFileURL(text).href;
  if (URL.canParse(text)) return text;
  throw wrongRange("moduleUrl", "an absolute URL, or an absolute path", text);
}
