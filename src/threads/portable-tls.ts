/**
 * TLS options on their way to another thread: over the private port between the two, as exact copies, never by the
 * environment, `workerData` or anything that is shown.
 */

import { randomBytes } from "node:crypto";
import { types } from "node:util";
import type { TLSOptions } from "../tls/options.js";

/** TLS options of which nothing is shared with the thread they come from. */
export type PackedTLS = Readonly<Record<string, unknown>>;

/** The options of one listener. One object for as long as they stay the same. */
export class PortableTLS {
  readonly #options: TLSOptions;
  #packed: PackedTLS | null = null;

  constructor(options: TLSOptions) {
    this.#options = { ...options };
  }

  /** @throws TypeError for what cannot cross */
  check(): void {
    this.#pack();
  }

  get packed(): PackedTLS {
    return this.#pack();
  }

  #pack(): PackedTLS {
    // Threads with the same ticket keys resume each other's sessions.
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

/** A view of a larger memory would take all of that along: bytes are copied. */
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

/** On the other side: bytes are Buffers again. */
export function unpackTLS(value: PackedTLS): TLSOptions {
  return unpacked(value) as TLSOptions;
}

function unpacked(value: unknown): unknown {
  if (types.isUint8Array(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (Array.isArray(value)) return value.map(unpacked);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, unpacked(one)]));
}
