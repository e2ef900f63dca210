/**
 * TLS options that can be sent to another thread. They go over the private port between the two threads as exact
 * copies, never through the environment, `workerData` or anything that is visible elsewhere.
 */

import { randomBytes } from "node:crypto";
import { types } from "node:util";
import type { TLSOptions } from "../tls/options.js";

/** TLS options that share no memory with the thread they come from. */
export type PackedTLS = Readonly<Record<string, unknown>>;

/** The TLS options of one listener. The same object is used for as long as the options stay the same. */
export class PortableTLS {
  readonly #options: TLSOptions;
  #packed: PackedTLS | null = null;

  constructor(options: TLSOptions) {
    this.#options = { ...options };
  }

  /** Checks the options. @throws TypeError for an option that cannot go to another thread */
  check(): void {
    this.#pack();
  }

  get packed(): PackedTLS {
    return this.#pack();
  }

  #pack(): PackedTLS {
    // With the same ticket keys, threads can resume each other's sessions.
    this.#packed ??= packed("tls", {
      ticketKeys: randomBytes(48),
      ...withoutUndefined(this.#options),
    }) as PackedTLS;
    return this.#packed;
  }
}

function withoutUndefined(options: object): object {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** Copies a value. Bytes are copied because a view would bring the whole memory behind it along. */
function packed(name: string, value: unknown): unknown {
  if (ArrayBuffer.isView(value)) return Uint8Array.from(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
  if (Array.isArray(value)) return value.map((one) => packed(name, one));
  if (typeof value === "function") throw cannotCross(name, "a function");
  if (typeof value !== "object" || value === null) return value;
  if ("context" in value) throw cannotCross(name, "a SecureContext");
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, packed(`${name}.${key}`, one)]));
}

function cannotCross(name: string, what: string): TypeError {
  return new TypeError(
    `Expected ${name} to be keys and certificates as such, got ${what}: that cannot go to another thread, where the handshake takes place`,
  );
}

/** Restores the options on the other thread: bytes become Buffers again. */
export function unpackTLS(value: PackedTLS): TLSOptions {
  return unpacked(value) as TLSOptions;
}

function unpacked(value: unknown): unknown {
  if (types.isUint8Array(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (Array.isArray(value)) return value.map(unpacked);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, unpacked(one)]));
}
