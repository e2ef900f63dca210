/** Every path of failure: the first operation of the network fails, then the second, and so on until none does. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AsyncSocket, type AsyncSocketDelegate, type AsyncSocketError, type SocketRequest } from "asyncsocket";
import { MemoryNetwork, VirtualClock } from "asyncsocket/testing";
import { FailingFactory } from "./failing-factory.js";

const CODES = ["EPIPE", "ECONNRESET", "ENOBUFS", "ETIMEDOUT", "EMFILE"];
const BODY = Buffer.alloc(3000, "body");

/** One client and one server: lines to and fro, a frame that has to wait for room, FINs one after the other. */
class Program {
  readonly clock = new VirtualClock({ quietTurns: 1 });
  readonly network = new MemoryNetwork({ clock: this.clock, chunkBytes: 700, writeBytes: 900, capacityBytes: 1000 });
  readonly factory: FailingFactory;
  readonly requests: SocketRequest<unknown>[] = [];
  readonly sockets: AsyncSocket[] = [];
  readonly closed = new Map<AsyncSocket, number>();
  readonly told: AsyncSocketError[] = [];

  constructor(count: number, code: string) {
    this.factory = new FailingFactory(this.network, count, code);
  }

  #socket(delegate: AsyncSocketDelegate): AsyncSocket {
    const { factory: transport } = this;
    const settled = (_: AsyncSocket, error: AsyncSocketError): void => void this.told.push(error);
    return new AsyncSocket({
      transport,
      allowHalfOpen: true,
      delegate: {
        ...delegate,
        didFailAccept: settled,
        didFailRead: (socket) => assert.ok(!this.closed.has(socket), "a read fails after didDisconnect"),
        didFailWrite: (socket) => assert.ok(!this.closed.has(socket), "a write fails after didDisconnect"),
        didDisconnect: (socket, { error }) => {
          this.closed.set(socket, (this.closed.get(socket) ?? 0) + 1);
          if (error !== null) this.told.push(error);
        },
      },
    });
  }

  async run(): Promise<void> {
    const { clock, requests, sockets } = this;
    const listener = this.#socket({ didAccept: (_, socket) => this.#serve(socket) });
    const client = this.#socket({});
    sockets.push(listener, client);
    requests.push(listener.listen({ port: 7 }));
    await clock.run(() => requests[0]?.state !== "current");
    requests.push(client.connect({ host: "192.0.2.1", port: 7, timeout: 1000 }));
    requests.push(client.write("hello\n"), client.readLine(), client.write([Buffer.from([11, 184]), BODY]));
    requests.push(client.readFrame({ lengthBytes: 2 }), client.end());
    await clock.run(() => requests.every(({ state }) => state !== "queued" && state !== "current"));
    requests.push(client.disconnectAfterWriting(), listener.disconnect());
    await clock.run();
  }

  #serve(socket: AsyncSocket): void {
    this.sockets.push(socket);
    this.requests.push(socket.readLine({ timeout: 500 }), socket.write("hello yourself\n"));
    const frame = socket.readFrame({ lengthBytes: 2, timeout: 500 });
    frame.then(
      (body) => {
        this.requests.push(socket.write([Buffer.from([11, 184]), body]));
        this.requests.push(socket.disconnectAfterWriting());
      },
      () => undefined,
    );
    this.requests.push(frame);
  }

  check(): void {
    const { clock, network, sockets, closed, requests } = this;
    for (const socket of sockets) {
      const isUnused = socket.state === "idle";
      assert.ok(isUnused || closed.get(socket) === 1, `didDisconnect ${closed.get(socket)} times`);
    }
    for (const { kind, state } of requests) assert.ok(state !== "queued" && state !== "current", `${kind} is ${state}`);
    assert.deepEqual([clock.size, network.connections.length], [0, 0], "timers and connections left");
  }

  /** Everything that anybody was told as the reason of something. */
  get causes(): unknown[] {
    return this.told.flatMap((error) => [error.cause, (error.cause as AggregateError | undefined)?.errors].flat());
  }
}

describe("the n-th operation of the network fails", { timeout: 60_000 }, () => {
  for (const code of CODES) {
    it(`by ${code}: all is settled once, somebody is told why, and nothing is left`, async () => {
      const failed = new Set<string>();
      for (let count = 1; ; count++) {
        const program = new Program(count, code);
        await program.run();
        program.check();
        const { failed: operation, error } = program.factory;
        if (operation === null) {
          for (const { kind, state } of program.requests) assert.equal(state, "done", kind);
          assert.ok(count > 20, `only ${count} operations`);
          break;
        }
        failed.add(operation);
        assert.ok(program.causes.includes(error), `nobody was told that ${operation}, operation ${count}, failed`);
      }
      const all = ["listen", "connect", "accept", "write", "a write under way", "receive", "end", "the FIN received"];
      for (const operation of [...all, "a FIN under way"]) assert.ok(failed.has(operation), operation);
    });
  }
});
