/** The addon itself, below the transport: nothing that it is given may end the process. */

import assert from "node:assert/strict";
import { constants as limits } from "node:buffer";
import { once } from "node:events";
import { closeSync, readdirSync } from "node:fs";
import { constants } from "node:os";
import { describe, it } from "node:test";
import { NO_NATIVE } from "../support/availability.js";
import { until } from "../support/delegates.js";
import { assertNothingLeft, SAFETY } from "../support/transports.js";
import { uncaught } from "../support/uncaught.js";
import { ACCEPTED, addon, connected, DATA, END, FAILED, OPENED, Told, WRITABLE } from "./told.js";

const ODD: readonly unknown[] = [
  undefined,
  null,
  -1,
  0,
  1,
  3,
  2 ** 31,
  2 ** 53,
  NaN,
  Infinity,
  "",
  "127.0.0.1",
  "::1",
  "x".repeat(5000),
  "\0",
  true,
  {},
  [],
  [null],
  [Buffer.from("a")],
  [[]],
  Buffer.alloc(0),
  Buffer.from("abc"),
  new Uint16Array(4),
  new DataView(new ArrayBuffer(8)),
  () => undefined,
  Symbol("odd"),
  10n,
];
const FUNCTIONS = [
  "connect",
  "listen",
  "detach",
  "close",
  "park",
  "parkCopy",
  "take",
  "drop",
  "setRoom",
  "write",
  "writeAll",
  "shutdown",
  "set",
  "addressOf",
  "setOf",
  "settingOf",
  "tcpInfoOf",
  "credentialsOf",
  "listenerOf",
  "adopt",
  "join",
  "part",
  "passed",
  "passedAgo",
];
/** Those that ask the system about one socket, which their own tests cover. */
const QUESTIONS = ["hasNews", "sendQueue", "sendQueueOf", "descriptorOf"];

const NO_HUGE_BUFFERS = limits.MAX_LENGTH > 2 ** 31 + 5 ? false : "this runtime has no buffers of that size";

/** Those whose first argument names no socket. */
const WITHOUT_SOCKET = [
  "connect",
  "listen",
  "parkCopy",
  "take",
  "drop",
  "setOf",
  "settingOf",
  "tcpInfoOf",
  "credentialsOf",
  "listenerOf",
  "adopt",
];

/** Numbered as in native/settings.h. */
const SEND_BUFFER = 3;

function* combinations(firsts: readonly unknown[]): Iterable<unknown[]> {
  for (const first of firsts) {
    for (const second of ODD) {
      for (const third of [undefined, -1, 0, 2, "::1", "odd"]) yield [first, second, third, second, third];
    }
  }
}

function descriptors(): string[] {
  return readdirSync("/proc/self/fd");
}

function closeIfOpen(told: Told, socket: number): void {
  try {
    told.call("close", socket, true);
  } catch {
    // 0 is what many an odd value comes to, and the number of the first socket.
  }
}

describe("the addon", { ...SAFETY, skip: NO_NATIVE }, () => {
  it("has these functions, and no others", () => {
    const { loop } = new Told();
    assert.deepEqual(Object.keys(loop).sort(), ["memory", "records", ...FUNCTIONS, ...QUESTIONS].sort());
  });

  it("is opened with a function alone", () => {
    for (const odd of ODD.filter((one) => typeof one !== "function")) {
      assert.throws(() => addon().open(odd), { name: "TypeError", message: "Expected a function" });
    }
  });

  it("setOf takes triples alone, and writes the errno of the first that is refused", async (t) => {
    const { told, id } = await connected(t);
    const descriptor = told.call("descriptorOf", id) as number;
    const { EINVAL, ENOPROTOOPT, EBADF } = constants.errno;
    for (const odd of [[], Buffer.alloc(12), new Int32Array(2), new Uint32Array(3)]) {
      assert.equal(told.call("setOf", descriptor, odd), -EINVAL);
    }
    assert.equal(told.call("setOf", descriptor, new Int32Array(0)), 0);
    const list = Int32Array.of(SEND_BUFFER, 20_000, 5, 99, 1, 5, -1, 1, 5);
    assert.equal(told.call("setOf", descriptor, list), -ENOPROTOOPT);
    assert.deepEqual([...list], [SEND_BUFFER, 20_000, 0, 99, 1, ENOPROTOOPT, -1, 1, 5]);
    assert.ok((told.call("settingOf", descriptor, SEND_BUFFER) as number) >= 20_000);
    assert.equal(told.call("settingOf", descriptor, 99), -ENOPROTOOPT);
    assert.equal(told.call("setOf", 2 ** 20, Int32Array.of(SEND_BUFFER, 1, 0)), -EBADF);
    told.call("close", id, false);
  });

  for (const name of FUNCTIONS) {
    it(`answers, or throws a TypeError, whatever ${name} is given`, async (t) => {
      const { told, id } = await connected(t);
      const descriptors = new Set<number>();
      const sockets = new Set([id]);
      for (const args of combinations([...ODD, id])) {
        try {
          const result = told.call(name, ...args);
          if (typeof result !== "number" || result < 0) continue;
          if (["connect", "listen"].includes(name)) sockets.add(result);
          if (name === "detach") descriptors.add(result);
          if (["park", "parkCopy"].includes(name)) assert.equal(told.call("drop", result), 1);
        } catch (error) {
          assert.ok(error instanceof TypeError, String(error));
          assert.match(error.message, /^Expected /);
        }
      }
      for (const fd of descriptors) closeSync(fd);
      for (const socket of sockets) closeIfOpen(told, socket);
    });
  }

  it("knows neither a socket that was closed nor one that never existed", async (t) => {
    const { told, id } = await connected(t);
    told.call("close", id, false);
    for (const name of FUNCTIONS.filter((one) => !WITHOUT_SOCKET.includes(one))) {
      assert.throws(() => told.call(name, id, 0, 0, 0), { message: "Expected an open socket" }, name);
    }
  });

  it("joins connected sockets once each way, and parts them where either is closed", async (t) => {
    const { told, id, peer } = await connected(t);
    const listener = told.number("listen", "127.0.0.1", 0, 10, false, false);
    const [port] = String(told.call("addressOf", listener, false)).split(" ");
    const target = told.number("connect", "127.0.0.1", Number(port), undefined, 0);
    assert.throws(() => told.call("join", id, target, false), { message: "Expected connected sockets" });
    await told.until(OPENED, target);
    const [, , far] = await told.until(ACCEPTED, listener);
    for (const odd of [[id], [99], [target], [target, 1]]) {
      assert.throws(() => told.call("join", id, ...odd), { message: "Expected another open socket and a flag" });
    }
    assert.equal(told.call("join", id, target, true), 0);
    assert.equal(told.call("join", id, target, true), -constants.errno.EBUSY);
    told.call("setRoom", far, 100);
    peer.write("hello");
    assert.equal(told.bytes(await told.until(DATA, far as number)), "hello");
    assert.deepEqual([told.number("passed", id), told.number("passed", id)], [5, 0]);
    assert.ok(told.number("passedAgo", id) >= 0);
    told.call("close", target, false);
    assert.equal(told.call("part", id), undefined);
    told.call("setRoom", id, 100);
    peer.write("again");
    assert.equal(told.bytes(await told.until(DATA, id)), "again");
    for (const socket of [id, far, listener]) told.call("close", socket, false);
  });

  it("survives memory that was given away while it was reading into it", async (t) => {
    const { told, id, peer } = await connected(t);
    told.call("setRoom", id, 1000);
    peer.write("first");
    await told.until(DATA, id);
    structuredClone(told.loop.memory, { transfer: [told.loop.memory] });
    structuredClone(told.loop.records, { transfer: [told.loop.records] });
    const before = told.records.length;
    peer.write("second");
    for (let turns = 0; turns < 20; turns++) await new Promise(setImmediate);
    assert.equal(told.records.length, before);
    told.call("close", id, false);
  });

  it("goes on after an exception in what it calls, and in what runs behind that", async (t) => {
    const { told, id, peer } = await connected(t);
    const thrown = uncaught(t);
    told.call("setRoom", id, 100);
    told.onRecord = () => {
      process.nextTick(() => {
        throw new Error("tick");
      });
      throw new Error("call");
    };
    peer.write("first");
    await until(() => thrown.length === 2, "both surface");
    told.onRecord = () => undefined;
    peer.write("second");
    await until(() => told.kinds(id).filter((kind) => kind === DATA).length === 2, "the next is told");
    assert.deepEqual(thrown.map((error) => (error as Error).message).sort(), ["call", "tick"]);
    told.call("close", id, false);
  });

  it("sends a list whose getter closes the socket to nobody", async (t) => {
    const { told, id } = await connected(t);
    const list = [Buffer.from("a")];
    Object.defineProperty(list, 0, {
      get() {
        told.call("close", id, false);
        return Buffer.from("a");
      },
    });
    assert.throws(() => told.call("writeAll", id, list, 0, 0), { message: "Expected an open socket" });
  });

  it("sends nothing of what a getter of the same list has given away", async (t) => {
    const { told, id, peer } = await connected(t);
    const lost = Buffer.from(new ArrayBuffer(100_000)).fill("a");
    const list = [lost, Buffer.from("b")];
    Object.defineProperty(list, 1, {
      get() {
        structuredClone(lost.buffer, { transfer: [lost.buffer] });
        return Buffer.from("b");
      },
    });
    assert.equal(told.number("writeAll", id, list, 0, 0), 1);
    assert.equal(String((await once(peer, "data"))[0]), "b");
    told.call("close", id, false);
  });

  it("writes on where 31 bits do not tell how far it is", { skip: NO_HUGE_BUFFERS }, async (t) => {
    const { told, id, peer } = await connected(t);
    // Its memory is never touched but for the end.
    const huge = Buffer.from(new ArrayBuffer(2 ** 31 + 5));
    huge.write("abcde", 2 ** 31);
    assert.equal(told.number("write", id, huge, 2 ** 31), 5);
    assert.equal(String((await once(peer, "data"))[0]), "abcde");
    assert.equal(told.number("writeAll", id, [huge], 0, 2 ** 31 + 2), 3);
    assert.equal(String((await once(peer, "data"))[0]), "cde");
    told.call("close", id, false);
  });

  it("tells when the rest of a list can be written that is longer than one call takes", async (t) => {
    const { told, id, peer } = await connected(t);
    const list = Array.from({ length: 1500 }, () => Buffer.from("x"));
    assert.equal(told.number("writeAll", id, list, 0, 0), 1024);
    await told.until(WRITABLE, id);
    assert.equal(told.number("writeAll", id, list, 1024, 0), 476);
    peer.resume();
    told.call("close", id, false);
  });

  it(
    "does not take for connected a socket that has the number of one whose descriptor lives on elsewhere",
    {
      skip: process.platform === "linux" ? false : "elsewhere a poller forgets what is closed, and /proc is not there",
    },
    async (t) => {
      t.after(assertNothingLeft);
      const told = new Told();
      const listen = (backlog: number): number => told.number("listen", "127.0.0.1", 0, backlog, false, false);
      const connectTo = (listener: number): number => {
        const [port] = String(told.call("addressOf", listener, false)).split(" ");
        return told.number("connect", "127.0.0.1", Number(port), undefined, 0);
      };
      const [listener, hole] = [listen(10), listen(0)];
      const before = descriptors();
      const closed = connectTo(listener);
      const descriptor = descriptors().find((one) => !before.includes(one));
      const [, , peer] = await told.until(ACCEPTED, listener);
      await told.until(OPENED, closed);
      // They fill the queue of a listener that accepts nobody: who comes later has no answer.
      told.call("setRoom", hole, 0);
      const first = [connectTo(hole), connectTo(hole), connectTo(hole)];
      for (let turns = 0; turns < 20; turns++) await new Promise(setImmediate);
      told.call("setRoom", closed, 100);
      // As a child process has it between its fork and its exec.
      const ticket = told.number("parkCopy", Number(descriptor));
      told.call("close", closed, false);
      told.call("write", peer, Buffer.from("news"), 0);
      const next = connectTo(hole);
      assert.equal(next, closed);
      told.records.length = 0;
      for (let turns = 0; turns < 20; turns++) await new Promise(setImmediate);
      assert.deepEqual(told.kinds(next), []);
      told.call("drop", ticket);
      for (const socket of [...first, next, hole, peer, listener]) told.call("close", socket, true);
    },
  );

  it("tells nothing more of a socket that was closed in the middle of a batch", async (t) => {
    const told = new Told();
    const listener = told.number("listen", "127.0.0.1", 0, 100, false, false);
    const [port] = String(told.call("addressOf", listener, false)).split(" ");
    const clients = Array.from({ length: 20 }, () => told.number("connect", "127.0.0.1", Number(port), undefined, 0));
    const accepted: number[] = [];
    told.onRecord = ([kind, , socket]) => {
      if (kind === ACCEPTED) accepted.push(socket as number);
    };
    await until(() => accepted.length === clients.length, "all are accepted");
    for (const socket of accepted) told.call("setRoom", socket, 100);
    for (const client of clients) told.call("write", client, Buffer.from("hello"), 0);
    let closed = false;
    told.onRecord = ([kind]) => {
      if (kind !== DATA || closed) return;
      closed = true;
      for (const socket of accepted) told.call("close", socket, false);
      told.records.length = 0;
    };
    await until(() => closed, "something came");
    for (let turns = 0; turns < 20; turns++) await new Promise(setImmediate);
    // Of the batch that was under way; whoever is told of a socket that it has closed knows so by its number.
    assert.ok(told.records.filter(([kind]) => kind === DATA).length < 20);
    for (const client of clients) told.call("close", client, false);
    told.call("close", listener, false);
    t.after(assertNothingLeft);
  });

  it("tells of a paused socket neither bytes nor a FIN, but that it was reset", async (t) => {
    const { told, id, peer } = await connected(t);
    told.call("setRoom", id, 5);
    peer.write("waits");
    await told.until(DATA, id);
    told.call("setRoom", id, 0);
    peer.resetAndDestroy();
    await told.until(FAILED, id);
    told.call("close", id, false);
  });

  it("tells of a reset behind the bytes that came before it, however late there is room for them", async (t) => {
    const { told, id, peer } = await connected(t);
    peer.write("waits");
    peer.resetAndDestroy();
    for (let turns = 0; turns < 20; turns++) await new Promise(setImmediate);
    assert.deepEqual(told.kinds(id), [OPENED]);
    told.call("setRoom", id, 3);
    await told.until(FAILED, id);
    assert.deepEqual(told.kinds(id), [OPENED, DATA, DATA, FAILED]);
    assert.equal(
      told.records.filter(([kind]) => kind === DATA).reduce((sum, [, , , n]) => sum + (n as number), 0),
      5,
    );
    told.call("close", id, false);
  });

  it("tells of a write that met a reset behind the bytes that came before it, be there room or not", async (t) => {
    const { told, id, peer } = await connected(t);
    peer.write("answer");
    peer.resetAndDestroy();
    await once(peer, "close");
    assert.equal(told.number("write", id, Buffer.from("more"), 0), 0);
    assert.deepEqual(told.kinds(id), [OPENED]);
    const [, , errno] = await told.until(FAILED, id);
    assert.deepEqual(told.kinds(id), [OPENED, DATA, FAILED]);
    assert.equal(errno, constants.errno.ECONNRESET);
    told.call("close", id, false);
  });

  it("gives no more than there is room for, and the end behind the bytes", async (t) => {
    const { told, id, peer } = await connected(t);
    peer.end("abcdef");
    told.call("setRoom", id, 4);
    await told.until(END, id);
    assert.deepEqual(told.kinds(id), [OPENED, DATA, DATA, END]);
    assert.deepEqual(
      told.records.filter(([kind]) => kind === DATA).map(([, , , length]) => length),
      [4, 2],
    );
    told.call("close", id, false);
  });

  it("tells when a socket whose peer did not read can be written to again", async (t) => {
    const { told, id, peer } = await connected(t);
    const much = Buffer.alloc(16 * 1024 * 1024);
    const sent = told.number("write", id, much, 0);
    assert.ok(sent < much.length);
    let got = 0;
    peer.on("data", (chunk: Buffer) => (got += chunk.length));
    await told.until(WRITABLE, id);
    await until(() => got === sent, "all that was taken arrives");
    told.call("close", id, false);
  });
});
