/**
 * The inspector: a page that shows the sockets of this process while they work. It is off unless `inspect` is called.
 * @module inspector
 */

import { randomBytes } from "node:crypto";
import { isLoopback, listenOn } from "./server.js";
import { Watcher } from "./watcher.js";

/** The options of `inspect`. */
export interface InspectOptions {
  /** The port of the page. @default 0: any that is free */
  port?: number | undefined;
  /** The address to listen on, which must be one of this machine alone. @default "127.0.0.1" */
  host?: string | undefined;
  /** How often the page is told anew, in milliseconds, from 50 on. @default 500 */
  intervalMs?: number | undefined;
}

/** An inspector that runs. */
export interface Inspector extends AsyncDisposable {
  /** The address of the page. It holds a secret: who knows it can see the names and addresses of all sockets. */
  readonly url: string;
  /** Closes the page and everything that belongs to it. Calls after the first give the same promise. */
  close(): Promise<void>;
}

const NAMES = ["port", "host", "intervalMs"];

function checkOptions(options: unknown): Required<{ [K in keyof InspectOptions]: NonNullable<InspectOptions[K]> }> {
  if (options !== undefined && (typeof options !== "object" || options === null)) {
    throw new TypeError(`Expected options to be an object, got ${options === null ? "null" : typeof options}`);
  }
  const given = (options ?? {}) as Record<string, unknown>;
  const unknownName = Object.keys(given).find((name) => !NAMES.includes(name));
  if (unknownName !== undefined) {
    throw new TypeError(`Expected options of inspect (${NAMES.join(", ")}), got ${JSON.stringify(unknownName)}`);
  }
  const { port = 0, host = "127.0.0.1", intervalMs = 500 } = given;
  if (typeof port !== "number" || typeof intervalMs !== "number") {
    throw new TypeError("Expected port and intervalMs to be numbers");
  }
  if (!(intervalMs >= 50) || intervalMs > 60_000) {
    throw new RangeError(`Expected intervalMs to be from 50 to 60000, got ${intervalMs}`);
  }
  if (typeof host !== "string") throw new TypeError(`Expected host to be a string, got ${typeof host}`);
  if (!isLoopback(host)) throw new RangeError(`Expected host to be a loopback address, got ${JSON.stringify(host)}`);
  return { port, host, intervalMs };
}

/**
 * Serves a page that shows all sockets, listeners and run loops of this process, live. The page is there for this
 * machine alone, under an address that holds a secret. The inspector does not keep the process alive, and its own
 * sockets are not shown.
 *
 * While a page is open, each interval takes a snapshot of all sockets (1000 of each thread at most), and reads and
 * writes are noted. Without one, only closes are noted.
 * @throws TypeError, RangeError for wrong options; LISTEN if the port is taken
 */
export async function inspect(options?: InspectOptions): Promise<Inspector> {
  const { port, host, intervalMs } = checkOptions(options);
  const token = randomBytes(24).toString("base64url");
  const watcher = new Watcher(intervalMs);
  try {
    const { listener, url } = await listenOn({ host, port, token, watcher });
    const closeOnce = async (): Promise<void> => {
      watcher.stop();
      await listener.shutdown({ graceMs: 100 });
    };
    let closing: Promise<void> | undefined;
    const close = (): Promise<void> => (closing ??= closeOnce());
    return { url, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    watcher.stop();
    throw error;
  }
}
