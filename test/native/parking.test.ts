/** Descriptors on their way from one thread to another: owned exactly once, whatever ends in between. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { Worker } from "node:worker_threads";
import { NO_NATIVE } from "../support/availability.js";
import { until } from "../support/delegates.js";
import { SAFETY } from "../support/transports.js";
import { addonPath, connected, DATA } from "./told.js";

/** The other thread: takes tickets, or parks what it connects, and says what came of it. */
const WORKER = `
  import { createRequire } from "node:module";
  import { parentPort, workerData } from "node:worker_threads";
  const loop = createRequire(workerData)(workerData).open(() => {});
  parentPort.on("message", ([what, ...args]) => parentPort.postMessage(loop[what](...args)));
  parentPort.postMessage("there");
`;

class Other {
  readonly worker: Worker;

  private constructor(worker: Worker) {
    this.worker = worker;
  }

  static async start(t: TestContext): Promise<Other> {
    const url = new URL(`data:text/javascript,${encodeURIComponent(WORKER)}`);
    const other = new Other(new Worker(url, { workerData: addonPath() }));
    t.after(() => other.worker.terminate());
    await once(other.worker, "message");
    return other;
  }

  async ask(what: string, ...args: unknown[]): Promise<unknown> {
    this.worker.postMessage([what, ...args]);
    const [answer] = (await once(this.worker, "message")) as [unknown];
    return answer;
  }
}

async function ended(peer: Socket): Promise<void> {
  peer.resume();
  await until(() => peer.readableEnded || peer.destroyed, "the connection is closed");
}

describe("a parked descriptor", { ...SAFETY, skip: NO_NATIVE }, () => {
  it("is given away and taken back without losing a byte", async (t) => {
    const { told, id, peer } = await connected(t);
    told.call("setRoom", id, 1000);
    peer.write("one");
    assert.equal(told.bytes(await told.until(DATA, id)), "one");
    const ticket = told.number("park", id);
    peer.write("two");
    const again = told.number("take", ticket);
    told.records.length = 0;
    told.call("setRoom", again, 1000);
    assert.equal(told.bytes(await told.until(DATA, again)), "two");
    assert.match(String(told.call("addressOf", again, true)), /^\d+ 127\.0\.0\.1$/);
    assert.equal(told.number("write", again, Buffer.from("three"), 2), 3);
    const [chunk] = (await once(peer, "data")) as [Buffer];
    assert.equal(String(chunk), "ree");
    told.call("close", again, false);
  });

  it("is taken once, by whichever thread comes first", async (t) => {
    const other = await Other.start(t);
    const { told, id, peer } = await connected(t);
    const ticket = told.number("park", id);
    const socket = await other.ask("take", ticket);
    assert.ok(typeof socket === "number" && socket >= 0);
    assert.ok(told.number("take", ticket) < 0);
    assert.equal(told.call("drop", ticket), 0);
    assert.equal(await other.ask("write", socket, Buffer.from("from there"), 0), 10);
    const [chunk] = (await once(peer, "data")) as [Buffer];
    assert.equal(String(chunk), "from there");
    await other.worker.terminate();
    await ended(peer);
  });

  it("is reset when it is dropped", async (t) => {
    const { told, id, peer } = await connected(t);
    const ticket = told.number("park", id);
    const broken = once(peer, "error");
    peer.resume();
    assert.equal(told.call("drop", ticket), 1);
    const [error] = (await broken) as [NodeJS.ErrnoException];
    assert.equal(error.code, "ECONNRESET");
    assert.equal(told.call("drop", ticket), 0);
  });

  for (const isParked of [false, true]) {
    it(`goes with the thread that ${isParked ? "parked it again" : "took it"}`, async (t) => {
      const other = await Other.start(t);
      const { told, id, peer } = await connected(t);
      const socket = await other.ask("take", told.number("park", id));
      const ticket = isParked ? await other.ask("park", socket) : -1;
      await other.worker.terminate();
      await ended(peer);
      assert.equal(told.call("drop", ticket), 0);
    });
  }

  it("may be a copy: closing the one leaves the other", async (t) => {
    const { told, id } = await connected(t);
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
    const [accepted] = (await once(server, "connection")) as [Socket];
    const { fd } = (accepted as unknown as { _handle: { fd: number } })._handle;
    const ticket = told.number("parkCopy", fd);
    assert.ok(ticket >= 0);
    accepted.destroy();
    await once(accepted, "close");
    const copy = told.number("take", ticket);
    assert.equal(told.number("write", copy, Buffer.from("still there"), 0), 11);
    const [chunk] = (await once(client, "data")) as [Buffer];
    assert.equal(String(chunk), "still there");
    told.call("close", copy, false);
    told.call("close", id, false);
    client.destroy();
    server.close();
  });

  it("is none of a listener's or of one that is not connected yet", async (t) => {
    const { told, id } = await connected(t);
    const listener = told.number("listen", "127.0.0.1", 0, 10, false, false);
    assert.throws(() => told.call("park", listener), { message: "Expected a connected socket" });
    told.call("close", listener, false);
    assert.ok(told.number("parkCopy", 1_000_000) < 0);
    told.call("close", id, false);
  });
});
