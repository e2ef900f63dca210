/** What the conformance tests listen with: delegates that note every call, and failures that are awaited. */

import assert from "node:assert/strict";
import { type AsyncSocket, type AsyncSocketDelegate, AsyncSocketError, type CloseReason } from "asyncsocket";
import { turn } from "./transports.js";

/** One call of a delegate's method: its name, and its arguments but for the socket. */
export type Call = readonly [method: string, ...args: unknown[]];

/** Notes what it is told. Partial reports and questions about timeouts are left to those tests that are about them. */
export class Recorder implements AsyncSocketDelegate {
  readonly calls: Call[] = [];

  /** The names of the methods called so far. */
  get names(): string[] {
    return this.calls.map(([name]) => name);
  }

  /** The arguments of every call of one method. */
  of(method: string): unknown[][] {
    return this.calls.filter(([name]) => name === method).map(([, ...args]) => args);
  }

  /** The tags handed to one method, which are its last arguments. */
  tags(method: string): unknown[] {
    return this.of(method).map((args) => args.at(-1));
  }

  didConnect(): void {
    this.calls.push(["didConnect"]);
  }

  didRead(_socket: AsyncSocket, data: Buffer, tag: unknown): void {
    this.calls.push(["didRead", data.toString(), tag]);
  }

  didReadText(_socket: AsyncSocket, text: string, tag: unknown): void {
    this.calls.push(["didReadText", text, tag]);
  }

  didWrite(_socket: AsyncSocket, tag: unknown): void {
    this.calls.push(["didWrite", tag]);
  }

  didFailRead(_socket: AsyncSocket, error: AsyncSocketError, tag: unknown): void {
    this.calls.push(["didFailRead", shortCode(error), tag]);
  }

  didFailWrite(_socket: AsyncSocket, error: AsyncSocketError, tag: unknown): void {
    this.calls.push(["didFailWrite", shortCode(error), tag]);
  }

  didEndReading(): void {
    this.calls.push(["didEndReading"]);
  }

  willDisconnect(_socket: AsyncSocket, reason: CloseReason): void {
    this.calls.push(["willDisconnect", reason]);
  }

  didDisconnect(_socket: AsyncSocket, reason: CloseReason): void {
    this.calls.push(["didDisconnect", reason]);
  }
}

/** The part of a code that differs: `"READ_TIMEOUT"`. */
export function shortCode(error: unknown): string {
  assert.ok(error instanceof AsyncSocketError, `an AsyncSocketError, not ${String(error)}`);
  assert.ok(error instanceof Error);
  return error.code.replace(/^ERR_ASYNCSOCKET_/, "");
}

/** What was thrown, checked by its code. */
export function thrown(error: unknown, code: string): AsyncSocketError {
  assert.equal(shortCode(error), code);
  return error as AsyncSocketError;
}

/** Waits for a failure, and checks its code. */
export async function failure(request: PromiseLike<unknown>, code?: string): Promise<AsyncSocketError> {
  let value: unknown;
  try {
    value = await request;
  } catch (error) {
    const short = shortCode(error);
    if (code !== undefined) assert.equal(short, code);
    return error as AsyncSocketError;
  }
  assert.fail(`Expected a failure (${code ?? "of any kind"}), got ${String(value)}`);
}

/** Some turns of the event loop: whatever could happen without further bytes or time has happened. */
export async function settled(turns = 20): Promise<void> {
  for (let i = 0; i < turns; i++) await turn();
}

const DEADLINE_MS = 60_000;

/** Turns of the event loop until something is so. The deadline is a safety net. */
export async function until(isSo: () => boolean, what: string): Promise<void> {
  const endAt = Date.now() + DEADLINE_MS;
  while (!isSo()) {
    if (Date.now() > endAt) assert.fail(`It never happened: ${what}`);
    await turn();
  }
}

/** Waits until so many bytes are unread. */
export function arrived(socket: AsyncSocket, count: number): Promise<void> {
  return until(() => socket.unreadBytes >= count, `${count} bytes unread, there are ${socket.unreadBytes}`);
}

/** All that comes until the stream or the connection ends, as text or bytes. */
export async function readToEnd(socket: AsyncSocket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (;;) {
    try {
      chunks.push(await socket.read());
    } catch {
      return Buffer.concat(chunks);
    }
  }
}

/** Bytes that tell their place, so that one lost or moved is seen. */
export function pattern(length: number, seed = 0): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8) * 7 + seed) & 0xff;
  return bytes;
}
