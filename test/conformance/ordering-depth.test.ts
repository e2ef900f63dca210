import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, it } from "node:test";
import { arrived, failure, Recorder, settled, until } from "../support/delegates.js";
import { connectedPair, memory, overEveryTransport, SAFETY } from "../support/transports.js";

const MANY = 100_000;

describe("many entries", () => {
  overEveryTransport((kind) => {
    it("decision 13: 100 000 queued reads take no stack when all are met at once", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      let told = 0;
      server.delegate = {
        didRead: () => {
          told++;
        },
      };
      client.write("x".repeat(5000));
      await arrived(server, 5000);
      let last;
      for (let i = 0; i < MANY; i++) last = i % 20 === 0 ? server.readExactly(1) : server.readExactly(0);
      await last;
      assert.equal(told, MANY);
    });

    it("decision 13: 100 000 reads, each queued by the one before it, take no stack", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      let told = 0;
      server.delegate = {
        didRead(socket) {
          if (++told < MANY) socket.readExactly(0);
        },
      };
      server.readExactly(0);
      await until(() => told === MANY, "all are told of");
      client.write("on\n");
      assert.equal(await server.readLine(), "on");
    });

    it("decision 13: 100 000 queued writes take no stack", async (t) => {
      const { client, server } = await connectedPair(t, kind, { limits: { writeQueue: Infinity } });
      const recorder = new Recorder();
      client.delegate = recorder;
      const length = kind.chunkBytes === 1 ? MANY / 20 : MANY;
      const reading = server.skip(length);
      let last;
      for (let i = 0; i < MANY; i++) last = client.write(length === MANY || i % 20 === 0 ? "x" : "");
      await last;
      await reading;
      assert.equal(recorder.of("didWrite").length, MANY);
    });

    it("decision 1: reads that are met at once without end hold up neither writes nor other sockets", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      let rounds = 0;
      let isAnswered = false;
      server.delegate = {
        didRead(socket) {
          if (!isAnswered && ++rounds < 2_000_000) socket.readExactly(0);
        },
      };
      server.readExactly(0);
      server.write("to the other\n");
      assert.equal(await client.readLine(), "to the other");
      isAnswered = true;
      assert.ok(rounds < 2_000_000);
      await settled(5);
    });
  });
});

describe("many entries that fail", SAFETY, () => {
  it("decision 13: 100 000 queued reads take no stack when all fail", async (t) => {
    const { server } = await connectedPair(t, memory("memory"));
    let told = 0;
    server.delegate = {
      didFailRead: () => {
        told++;
      },
    };
    for (let i = 0; i < MANY; i++) server.readExactly(1);
    assert.equal(server.pendingReads, MANY);
    assert.equal(server.cancelReads(), MANY);
    const last = server.read();
    for (let i = 0; i < MANY; i++) server.readLine();
    server.disconnect();
    await failure(last, "CLOSED");
    await server.closed;
    assert.equal(told, 2 * MANY + 1);
  });

  it("decision 13: 100 000 queued reads fail at a FIN without a stack", async (t) => {
    const { client, server } = await connectedPair(t, memory("memory"));
    let last;
    for (let i = 0; i < MANY; i++) last = server.readExactly(2);
    client.write("x");
    client.end();
    await failure(last ?? Promise.resolve(), "END_OF_STREAM");
    assert.equal((await server.closed).unread.toString(), "x");
  });

  it("decision 13: taking 100 000 reads back one by one, from the middle, costs no more than that", async (t) => {
    const { client, server } = await connectedPair(t, memory("memory"));
    const first = server.readExactly(1);
    const requests = Array.from({ length: MANY }, () => server.readExactly(1));
    const last = server.readExactly(1);
    for (const request of requests) assert.equal(request.cancel(), true);
    client.write("ab");
    assert.equal(String(await first), "a");
    assert.equal(String(await last), "b");
  });
});

/** Runs in a process of its own, where an uncaught exception is the one expected. */
function script(transport: string): string {
  return `
    import { AsyncSocket } from "asyncsocket";
    import { MemoryNetwork } from "asyncsocket/testing";
    const uncaught = [];
    process.on("uncaughtException", (error) => uncaught.push(error.message));
    const transport = ${transport === "memory" ? "new MemoryNetwork()" : '"auto"'};
    const listener = await AsyncSocket.listen({ transport, port: ${transport === "memory" ? "1" : "0"}, host: "127.0.0.1" });
    const client = await AsyncSocket.connect({ transport, port: listener.local.port, host: "127.0.0.1" });
    const { value: server } = await listener.connections().next();
    const log = [];
    const bad = (name) => (socket, ...args) => {
      log.push(name);
      throw new Error("from " + name);
    };
    server.delegate = Object.fromEntries(
      ["didRead", "didReadText", "didReadPartial", "didWrite", "didFailRead", "didFailWrite", "didEndReading",
        "willDisconnect", "didDisconnect", "shouldExtendReadTimeout"].map((name) => [name, bad(name)]),
    );
    const one = server.readExactly(1);
    const two = server.readLine();
    client.write("1two\\n");
    log.push(String(await one), await two);
    await server.write("answer\\n");
    log.push(await client.readLine());
    const canceled = server.read();
    canceled.cancel();
    log.push(await canceled.catch((error) => error.code));
    const late = server.read({ timeout: 10, onFailure: "continue" });
    log.push(await late.catch((error) => error.code));
    const partial = server.readExactly(2);
    client.write("a");
    while (!log.includes("didReadPartial")) await new Promise(setImmediate);
    client.write("b");
    log.push(String(await partial));
    client.end();
    const reason = await server.closed;
    log.push(reason.by);
    await new Promise(setImmediate);
    await listener.disconnect();
    await client.closed;
    console.log(JSON.stringify({ log, uncaught }));
  `;
}

const EXPECTED = [
  ...["didRead", "1", "didReadText", "two", "didWrite", "answer", "didFailRead", "ERR_ASYNCSOCKET_CANCELED"],
  ...["shouldExtendReadTimeout", "didFailRead", "ERR_ASYNCSOCKET_READ_TIMEOUT", "didReadPartial", "didRead", "ab"],
  ...["didEndReading", "willDisconnect", "didDisconnect", "remote"],
];

describe("a delegate that throws", SAFETY, () => {
  for (const transport of ["memory", "TCP"]) {
    it(`decision 13: surfaces as uncaught, and the socket goes on, over ${transport}`, async () => {
      const { log, uncaught } = await new Promise<{ log: string[]; uncaught: string[] }>((resolve, reject) => {
        const args = ["--input-type=module", "--eval", script(transport)];
        execFile(process.execPath, args, { cwd: import.meta.dirname }, (error, stdout, stderr) => {
          if (error === null) resolve(JSON.parse(stdout) as { log: string[]; uncaught: string[] });
          else reject(new Error(`${error.message}\n${stderr}`));
        });
      });
      // The delegate is told before the promise settles; what was delivered together may be told of together.
      const methods = EXPECTED.filter((name) => /^(did|will|should)/.test(name));
      assert.deepEqual(
        log.filter((name) => methods.includes(name)),
        methods,
      );
      assert.deepEqual([...log].sort(), [...EXPECTED].sort());
      assert.deepEqual(
        uncaught,
        methods.map((name) => `from ${name}`),
      );
    });
  }
});
