/** Checks of arguments. Each throws `Expected …, got …` at once, before any state has changed. */

import { Buffer, constants } from "node:buffer";
import { types } from "node:util";
import { asciiName } from "./host-name.js";

const { MAX_LENGTH } = constants;

export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (value === null || value === undefined || typeof value === "boolean") return String(value);
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  if (typeof value === "object") return `an instance of ${nameOf(value)}`;
  return `a ${typeof value}`;
}

function nameOf(value: object): string {
  const { constructor } = value as { constructor?: unknown };
  return typeof constructor === "function" && constructor.name !== "" ? constructor.name : "an unnamed class";
}

export function wrongType(name: string, expected: string, value: unknown): TypeError {
  return new TypeError(`Expected ${name} to be ${expected}, got ${show(value)}`);
}

export function wrongRange(name: string, expected: string, value: unknown): RangeError {
  return new RangeError(`Expected ${name} to be ${expected}, got ${show(value)}`);
}

export function checkOptions<T extends object>(options: T | undefined, name = "options"): T | undefined {
  if (options === undefined) return undefined;
  if (typeof options !== "object" || (options as unknown) === null) throw wrongType(name, "an object", options);
  return options;
}

/** Like `checkOptions`, where options are required. */
export function needOptions<T extends object>(options: T | undefined): T {
  const given = checkOptions(options);
  if (given === undefined) throw wrongType("options", "an object", options);
  return given;
}

/** Checks for a whole number from `min` to `max`. */
export function checkInteger(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== "number") throw wrongType(name, "a number", value);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw wrongRange(name, `a whole number from ${min} to ${max}`, value);
  }
  return value;
}

export function checkLength(name: string, value: unknown, min = 0): number {
  return checkInteger(name, value, min, MAX_LENGTH);
}

/** Checks a number of bytes that need not fit into memory at once. */
export function checkDistance(name: string, value: unknown): number {
  return checkInteger(name, value, 0, Number.MAX_SAFE_INTEGER);
}

/** Checks a bound in bytes: at least 1, or `Infinity` for no bound. */
export function checkMaxLength(name: string, value: unknown, fallback: number): number {
  if (value === undefined) return fallback;
  if (value === Infinity) return Infinity;
  return checkInteger(name, value, 1, Number.MAX_SAFE_INTEGER);
}

/** Checks a number of milliseconds. `Infinity`, which undefined becomes, means that there is no bound. */
export function checkMs(name: string, value: unknown): number {
  if (value === undefined) return Infinity;
  if (typeof value !== "number") throw wrongType(name, "a number of milliseconds", value);
  if (!(value >= 0)) throw wrongRange(name, "a non-negative number of milliseconds", value);
  return value;
}

export function checkBoolean(name: string, value: unknown, fallback: boolean): boolean {
  if (value === undefined) return fallback;
  if (typeof value !== "boolean") throw wrongType(name, "a boolean", value);
  return value;
}

export function checkString(name: string, value: unknown): string {
  if (typeof value !== "string") throw wrongType(name, "a string", value);
  if (value === "") throw wrongRange(name, "a non-empty string", value);
  return value;
}

/** Checks a host name or an address. @returns the name in ASCII */
export function checkHostName(name: string, value: unknown): string {
  const text = checkString(name, value);
  const ascii = asciiName(text);
  if (ascii === undefined) throw wrongRange(name, "a host name or an address", text);
  return ascii;
}

export function checkFunction(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== "function") throw wrongType(name, "a function", value);
}

/** Whether a value is a promise, or has a method `then` like one. A getter `then` may throw. */
export function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}

export function checkOneOf<T>(name: string, value: unknown, allowed: readonly T[], fallback: T): T {
  if (value === undefined) return fallback;
  if (!allowed.includes(value as T)) throw wrongRange(name, allowed.map(show).join(" or "), value);
  return value as T;
}

export function checkSignal(value: unknown): AbortSignal | undefined {
  if (value === undefined) return undefined;
  // `instanceof` would refuse the signals of another realm (a vm context, Jest), so the signal is known by its members.
  const { aborted, addEventListener } = (value ?? {}) as Partial<AbortSignal>;
  const isSignal = typeof aborted === "boolean" && typeof addEventListener === "function";
  if (!isSignal) throw wrongType("signal", "an AbortSignal", value);
  return value as AbortSignal;
}

export function checkEncoding(value: unknown): BufferEncoding | null {
  if (value === undefined) return null;
  if (typeof value !== "string" || !Buffer.isEncoding(value)) throw wrongType("encoding", "a known encoding", value);
  return value.toLowerCase() as BufferEncoding;
}

export function checkInto(value: unknown): Uint8Array {
  if (!types.isUint8Array(value)) throw wrongType("into", "a Uint8Array", value);
  if (value.length === 0) throw wrongRange("into", "longer than 0 bytes", value);
  return value;
}

/** The value as bytes: strings are encoded as UTF-8, everything else becomes a view without a copy. */
export function toBytes(name: string, value: unknown): Uint8Array {
  if (typeof value === "string") return Buffer.from(value);
  // `instanceof` comes first because it is fast, and because nearly every write passes a Uint8Array.
  if (value instanceof Uint8Array || types.isUint8Array(value)) return value;
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (types.isArrayBuffer(value)) return new Uint8Array(value);
  throw wrongType(name, "a string, bytes, or a list of them", value);
}

/**
 * The list given to `write` as texts and bytes, without its empty parts. Strings that follow each other become one text:
 * encoding them one by one would take longer than everything else.
 */
export function toParts(data: readonly unknown[]): (string | Uint8Array)[] {
  const parts: (string | Uint8Array)[] = [];
  let text = "";
  for (const one of data) {
    if (typeof one === "string") {
      text += one;
      continue;
    }
    if (text !== "") parts.push(text);
    text = "";
    const bytes = toBytes("data[]", one);
    if (bytes.length > 0) parts.push(bytes);
  }
  if (text !== "") parts.push(text);
  return parts;
}

/** What counts as bytes in a call such as `write`. A string stands for its UTF-8 bytes. */
export type Bytes = string | ArrayBufferView | ArrayBuffer;
