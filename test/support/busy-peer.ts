/** A TCP peer on a thread of its own, which goes on while this thread is busy. */

import { once } from "node:events";
import type { TestContext } from "node:test";
import { Worker } from "node:worker_threads";
import { Belongings } from "./lifecycle-helpers.js";

const CODE = `
const { parentPort, workerData } = require("node:worker_threads");
const { connect, createServer } = require("node:net");
const flag = new Int32Array(workerData.flag);
const sockets = [];
const add = (socket) => sockets.push(socket.on("error", () => undefined));
const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, add);
let unsaid = 0;
const say = () => { if (--unsaid === 0) { Atomics.store(flag, 0, 1); Atomics.notify(flag, 0); } };
const act = ({ deed, bytes, everyMs, count, port }) => {
  if (deed === "connect") {
    for (let i = 0; i < count; i++) add(connect({ port, host: "127.0.0.1", allowHalfOpen: true }));
    return;
  }
  // Its connections may be waiting to be accepted still.
  if (sockets.length < count) return setImmediate(act, { deed, bytes, everyMs, count });
  unsaid = count;
  if (deed === "send") for (const socket of sockets) socket.write(bytes, say);
  if (deed === "end") for (const socket of sockets) socket.end(say);
  if (deed === "read slowly") setInterval(() => sockets.forEach((socket) => socket.read(bytes)), everyMs);
};
parentPort.on("message", act);
server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));
`;

export class BusyPeer {
  readonly port: number;
  readonly #worker: Worker;
  readonly #flag: Int32Array;

  private constructor(worker: Worker, port: number, flag: Int32Array) {
    this.port = port;
    this.#worker = worker;
    this.#flag = flag;
  }

  /** Listening. It reads nothing until it is told to. */
  static async start(t: TestContext): Promise<BusyPeer> {
    const flag = new SharedArrayBuffer(4);
    const worker = Belongings.of(t).addWorker(new Worker(CODE, { eval: true, workerData: { flag } }));
    const [port] = (await once(worker, "message")) as [number];
    return new BusyPeer(worker, port, new Int32Array(flag));
  }

  /** Has it send, or end, on each of its connections, `count`, and holds this thread up until the system has that, and until `dueAt` has passed as well. */
  doWhileBusy(deed: "send" | "end", dueAt: number, bytes = "line\n", count = 1): void {
    this.#worker.postMessage({ deed, bytes, count });
    Atomics.wait(this.#flag, 0, 0);
    while (performance.now() <= dueAt);
  }

  /** Has it connect to a port of this machine. What it does later, it does on these connections. */
  connectTo(port: number, count: number): void {
    this.#worker.postMessage({ deed: "connect", port, count });
  }

  readSlowly(bytes: number, everyMs: number): void {
    this.#worker.postMessage({ deed: "read slowly", bytes, everyMs, count: 1 });
  }
}
