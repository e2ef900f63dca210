/** The streams of the program, and how it speaks on them. */

import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import type { Address } from "../index.js";

/** The streams of a process, or those of a test. */
export interface Terminal {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable & { readonly isTTY?: boolean };
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted when the user, or the system, wants the program to end. */
  readonly interrupted: AbortSignal;
}

const STYLES = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39] } as const;

/** A text in a style, if the stream is a terminal whose user has not set NO_COLOR (no-color.org). */
export function painted(
  stream: Writable & { isTTY?: boolean },
  { env }: Terminal,
  style: keyof typeof STYLES,
  text: string,
): string {
  const isPlain = stream.isTTY !== true || (env["NO_COLOR"] ?? "") !== "" || env["TERM"] === "dumb";
  const [on, off] = STYLES[style];
  return isPlain ? text : `\u001b[${on}m${text}\u001b[${off}m`;
}

/** Writes, and waits while the reader of the stream is slower. */
export async function print(stream: Writable, data: string | Uint8Array): Promise<void> {
  if (!stream.write(data) && !stream.destroyed) await once(stream, "drain");
}

/** Where a socket is connected, in words. The path of a Unix-domain socket is that of the user. */
export function addressInWords(address: Address | undefined): string {
  if (address === undefined) return "an unknown address";
  if (address.family === "unix") return address.path === "" ? "a nameless path" : address.path.replace("\0", "@");
  return `${address.address} port ${address.port}`;
}

export function bytesInWords(count: number): string {
  return count === 1 ? "1 byte" : `${count} bytes`;
}

/** A duration as people read it: `0.4 ms`, `23 ms`, `1.2 s`. */
export function duration(ms: number): string {
  if (ms >= 10_000) return `${Math.round(ms / 1000)} s`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}
