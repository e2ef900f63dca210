/** A loop of a test's own beside the library's. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { until } from "../support/delegates.js";
import { assertNothingLeft } from "../support/transports.js";

type Loop = Record<string, (...args: unknown[]) => unknown> & { records: ArrayBuffer; memory: ArrayBuffer };

export const DATA = 0;
export const END = 1;
export const FAILED = 2;
export const OPENED = 3;
export const WRITABLE = 4;
export const ACCEPTED = 5;

interface Addon {
  open(deliver: unknown): Loop | number;
}

export function addonPath(): string {
  return createRequire(import.meta.url).resolve(
    process.env["ASYNCSOCKET_ADDON"] ?? "../../../native/build/Release/asyncsocket.node",
  );
}

export function addon(): Addon {
  return createRequire(import.meta.url)(addonPath()) as Addon;
}

/** A loop of the test's own beside the library's, and what it has told. */
export class Told {
  readonly loop: Loop;
  readonly records: number[][] = [];
  /** Called with each record. */
  onRecord: (record: readonly number[]) => void = () => undefined;

  constructor() {
    const opened = addon().open((count: number) => {
      for (let i = 0; i < count; i++) {
        const record = [...new Int32Array(this.loop.records, i * 16, 4)];
        this.records.push(record);
        this.onRecord(record);
      }
    });
    assert.ok(typeof opened === "object");
    this.loop = opened;
  }

  call(name: string, ...args: unknown[]): unknown {
    return this.loop[name]?.(...args);
  }

  number(name: string, ...args: unknown[]): number {
    const result = this.call(name, ...args);
    assert.ok(typeof result === "number", `${name} gave ${String(result)}`);
    return result;
  }

  bytes([, , start, length]: readonly number[]): string {
    return Buffer.from(this.loop.memory, start, length).toString("latin1");
  }

  kinds(socket: number): number[] {
    return this.records.filter(([, of]) => of === socket).map(([kind]) => kind as number);
  }

  async until(kind: number, socket: number): Promise<number[]> {
    const wanted = ([what, of]: readonly number[]): boolean => what === kind && of === socket;
    await until(() => this.records.some(wanted), `record ${kind} of ${socket}`);
    return this.records.find(wanted) as number[];
  }
}

/** A socket of the addon's, connected to one of the runtime's. */
export async function connected(t: TestContext): Promise<{ told: Told; id: number; peer: Socket }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const told = new Told();
  const id = told.number("connect", "127.0.0.1", (server.address() as AddressInfo).port, undefined, 0);
  const [peer] = (await once(server, "connection")) as [Socket];
  peer.on("error", () => undefined);
  await told.until(OPENED, id);
  t.after(async () => {
    peer.destroy();
    server.close();
    await assertNothingLeft();
  });
  return { told, id, peer };
}
