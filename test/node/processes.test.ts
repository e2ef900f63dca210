import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { until } from "../support/delegates.js";
import { Belongings, child, type Child, rawPair } from "../support/lifecycle-helpers.js";
import { portOf, SAFETY } from "../support/transports.js";

const SERVER = `
  import { AsyncSocket } from "asyncsocket";
  const counts = { accepted: 0, failed: 0, codes: [] };
  const listener = await AsyncSocket.listen({
    port: 0, host: "127.0.0.1",
    delegate: {
      didAccept(_listener, socket) { counts.accepted++; socket.readLine(); },
      didReadText(socket, text) { socket.write("you said " + text + "\\n"); socket.readLine(); },
      didFailAccept(_listener, error, info) {
        counts.failed++;
        counts.codes = [error.code, error.cause?.code, error.message, typeof info];
      },
    },
  });
  console.log(listener.local.port);
  process.stdin.on("data", () => console.log(JSON.stringify({ ...counts, state: listener.state })));
`;

/** Descriptors of a process: as many as it takes to load the library, whose files are read at the same time; and who comes. */
const MOST = 120;
const CROWD = 150;

interface Report {
  readonly accepted: number;
  readonly failed: number;
  readonly codes: readonly unknown[];
  readonly state: string;
}

async function report(server: Child): Promise<Report> {
  server.process.stdin.write("?");
  return JSON.parse(await server.line()) as Report;
}

describe("a process without free descriptors", { ...SAFETY, skip: process.platform === "win32" }, () => {
  async function crowd(t: TestContext, count: number): Promise<{ server: Child; port: number; clients: Socket[] }> {
    const belongings = Belongings.of(t);
    const server = child(t, SERVER, [], MOST);
    const port = Number(await server.line());
    const clients: Socket[] = [];
    for (let i = 0; i < count; i++) {
      const client = belongings.addRaw(connect(port, "127.0.0.1"));
      await Promise.race([once(client, "connect"), once(client, "close")]);
      clients.push(client);
    }
    return { server, port, clients };
  }

  it("goes on listening, and accepts again when descriptors are free", async (t) => {
    const { server, port, clients } = await crowd(t, CROWD);
    let before = await report(server);
    assert.equal(before.state, "listening");
    assert.ok(before.accepted > 0 && before.accepted < CROWD, `${before.accepted} accepted`);
    for (const client of clients) client.destroy();
    const client = Belongings.of(t).add(new AsyncSocket());
    for (let answer = ""; answer === "";) {
      try {
        await client.connect({ host: "127.0.0.1", port });
        client.write("hello\n");
        answer = await client.readLine({ timeout: 1000 });
        assert.equal(answer, "you said hello");
      } catch {
        await client.disconnect();
      }
    }
    const accepted = before.accepted;
    before = await report(server);
    assert.ok(before.accepted > accepted);
    assert.equal(before.state, "listening");
  });

  it("tells didFailAccept, with ACCEPT, in words, the errno in the cause", async (t) => {
    const { server } = await crowd(t, CROWD);
    let failed = await report(server);
    for (let tries = 0; failed.failed === 0 && tries < 20; tries++) failed = await report(server);
    if (failed.failed === 0) {
      // libuv keeps a spare descriptor: it accepts and closes what waits.
      t.skip(
        `${CROWD} connections came, ${failed.accepted} became sockets; the runtime closes the rest itself, and tells nobody`,
      );
      return;
    }
    const [code, errno, message, info] = failed.codes;
    assert.equal(code, "ERR_ASYNCSOCKET_ACCEPT");
    assert.equal(errno, "EMFILE");
    assert.match(String(message), /no free file descriptors/);
    assert.equal(info, "object");
  });

  it("fails a connect with CONNECT and the errno, and later ones work", async (t) => {
    const belongings = Belongings.of(t);
    const listener = belongings.add(
      await AsyncSocket.listen({
        port: 0,
        host: "127.0.0.1",
        delegate: { didAccept: (_listener, socket) => void belongings.add(socket) },
      }),
    );
    const { line } = child(
      t,
      `import { AsyncSocket } from "asyncsocket";
       const target = { host: "127.0.0.1", port: Number(process.argv[1]) };
       const sockets = [];
       let failure;
       while (failure === undefined) {
         const socket = new AsyncSocket();
         try { await socket.connect(target); sockets.push(socket); } catch (error) { failure = error; }
       }
       console.log(JSON.stringify([failure.code, failure.cause?.code, failure.message]));
       await Promise.all(sockets.map((socket) => socket.disconnect()));
       const again = await AsyncSocket.connect(target);
       console.log(again.state);
       await again.disconnect();`,
      [String(portOf(listener))],
      MOST,
    );
    const [code, errno, message] = JSON.parse(await line()) as string[];
    assert.equal(code, "ERR_ASYNCSOCKET_CONNECT");
    assert.equal(errno, "EMFILE");
    assert.match(String(message), /no free file descriptors/);
    assert.equal(await line(), "open");
  });
});

describe("a process with nothing else to do", SAFETY, () => {
  async function target(t: TestContext): Promise<string> {
    const belongings = Belongings.of(t);
    const listener = belongings.add(
      await AsyncSocket.listen({
        port: 0,
        host: "127.0.0.1",
        delegate: { didAccept: (_listener, socket) => void belongings.add(socket) },
      }),
    );
    return String(portOf(listener));
  }

  const EXITS: Record<string, string> = {
    "a connection after unref()": `
      const socket = await AsyncSocket.connect({ host: "127.0.0.1", port });
      socket.read();
      socket.unref();`,
    "a connection that was unref()ed while idle": `
      const socket = new AsyncSocket();
      socket.unref();
      const alive = setTimeout(() => {}, 100000);
      await socket.connect({ host: "127.0.0.1", port });
      clearTimeout(alive);`,
    "a listener after unref()": `
      const listener = await AsyncSocket.listen({ port: 0 });
      listener.unref();`,
    "a connection after its close": `
      const socket = await AsyncSocket.connect({ host: "127.0.0.1", port });
      await socket.disconnect();`,
    "an idle socket with reads queued": `
      const socket = new AsyncSocket();
      socket.read({ timeout: 100000 });`,
    "an unref()ed connection with a timeout that runs": `
      const socket = await AsyncSocket.connect({ host: "127.0.0.1", port, limits: { idleMs: 500000 } });
      socket.read({ timeout: 100000 });
      socket.unref();`,
  };
  for (const [name, code] of Object.entries(EXITS)) {
    it(`is not kept alive by ${name}`, async (t) => {
      const module = `import { AsyncSocket } from "asyncsocket";\nconst port = Number(process.argv[1]);\n${code}`;
      const { ended } = child(t, module, [await target(t)]);
      const end = await ended;
      assert.deepEqual([end.code, end.signal, end.errors], [0, null, ""]);
    });
  }

  const STAYS: Record<string, string> = {
    "an open connection": `
      const socket = await AsyncSocket.connect({ host: "127.0.0.1", port });`,
    "a connection after unref() and ref()": `
      const socket = await AsyncSocket.connect({ host: "127.0.0.1", port });
      socket.unref();
      socket.ref();`,
    "a listener": `
      const listener = await AsyncSocket.listen({ port: 0 });`,
  };
  for (const [name, code] of Object.entries(STAYS)) {
    it(`is kept alive by ${name}`, async (t) => {
      const module = `
        import { AsyncSocket } from "asyncsocket";
        const port = Number(process.argv[1]);
        process.on("beforeExit", () => console.log("idle"));
        ${code}
        setTimeout(() => { console.log("alive"); }, 50).unref();
        console.log("ready");`;
      const { line } = child(t, module, [await target(t)]);
      assert.equal(await line(), "ready");
      assert.equal(await line(), "alive");
    });
  }
});

describe("an exception in a delegate", SAFETY, () => {
  it("decision 13: surfaces as uncaught, whichever method throws, and the socket goes on", async (t) => {
    const { line, ended } = child(
      t,
      `import { AsyncSocket } from "asyncsocket";
       const thrown = [];
       const turns = async (count) => { while (count-- > 0) await new Promise((next) => setImmediate(next)); };
       process.on("uncaughtException", (error) => thrown.push(error.message));
       const throwing = (name) => () => { throw new Error(name); };
       const methods = ["didAccept", "didConnect", "didRead", "didReadText", "didReadPartial", "didWrite", "didFailRead",
         "didFailWrite", "didEndReading", "willDisconnect", "didDisconnect"];
       const delegate = Object.fromEntries(methods.map((name) => [name, throwing(name)]));
       let server;
       const listener = await AsyncSocket.listen({ port: 0, host: "127.0.0.1", delegate: {
         didAccept(_listener, socket) { server = socket; socket.delegate = delegate; throw new Error("didAccept"); },
       } });
       const client = await AsyncSocket.connect({ host: "127.0.0.1", port: listener.local.port, delegate });
       client.delegate = null;
       client.write("a");
       while (server === undefined || server.unreadBytes < 1) await turns(1);
       const line = server.readLine();
       await turns(20);
       client.write("line\\nxy");
       console.log(await line);
       console.log(String(await server.readExactly(2)));
       await server.write("hello");
       console.log(String(await client.readExactly(5)));
       const canceled = server.read(); canceled.cancel();
       await canceled.catch(() => {});
       const write = server.write("x", { signal: AbortSignal.abort() });
       await write.catch(() => {});
       client.end();
       await server.read().catch(() => {});
       const reason = await server.closed;
       console.log(reason.by, reason.error);
       await listener.disconnect();
       await turns(20);
       console.log(JSON.stringify([...new Set(thrown)].sort()));
       process.exit(0);`,
    );
    assert.equal(await line(), "aline");
    assert.equal(await line(), "xy");
    assert.equal(await line(), "hello");
    assert.equal(await line(), "remote null");
    const expected = [
      "didAccept",
      "didConnect",
      "didDisconnect",
      "didEndReading",
      "didFailRead",
      "didFailWrite",
      "didRead",
      "didReadPartial",
      "didReadText",
      "didWrite",
      "willDisconnect",
    ];
    assert.deepEqual(JSON.parse(await line()), expected);
    assert.equal((await ended).code, 0);
  });

  it("decision 13: ends a process that does not listen for it, as from an EventEmitter", async (t) => {
    const { ended } = child(
      t,
      `import { AsyncSocket } from "asyncsocket";
       const listener = await AsyncSocket.listen({ port: 0, host: "127.0.0.1", delegate: {
         didAccept() { throw new Error("a mistake in didAccept"); },
       } });
       await AsyncSocket.connect({ host: "127.0.0.1", port: listener.local.port });`,
    );
    const { code, errors } = await ended;
    assert.notEqual(code, 0);
    assert.match(errors, /a mistake in didAccept/);
  });

  it("an ignored failure is no unhandled rejection, and that of a connect a warning", async (t) => {
    const { ended } = child(
      t,
      `import { AsyncSocket } from "asyncsocket";
       const listener = await AsyncSocket.listen({ port: 0, host: "127.0.0.1" });
       const socket = await AsyncSocket.connect({ host: "127.0.0.1", port: listener.local.port });
       socket.read(); socket.write("x"); socket.readLine({ timeout: 1 }); socket.closed;
       socket.reset();
       new AsyncSocket().connect({ host: "127.0.0.1", port: 1 });
       listener.disconnect();`,
    );
    const { code, errors } = await ended;
    assert.equal(code, 0);
    assert.match(
      errors,
      /^\(node:\d+\) \[ERR_ASYNCSOCKET_CONNECT\] AsyncSocketError: Cannot connect to .*\n\(Use .*\)\n$/,
    );
  });
});

describe("a peer whose process is killed", SAFETY, () => {
  it("decision 10: is noticed with no read queued", async (t) => {
    const belongings = Belongings.of(t);
    const listener = belongings.add(await AsyncSocket.listen({ port: 0, host: "127.0.0.1" }));
    const peer = child(
      t,
      `import { connect } from "node:net";
       const socket = connect(Number(process.argv[1]), "127.0.0.1", () => socket.write("unread"));`,
      [String(portOf(listener))],
    );
    const { value: socket } = await listener.connections().next();
    assert.ok(socket !== undefined);
    belongings.add(socket);
    await until(() => socket.unreadBytes === 6, "the bytes");
    peer.process.kill("SIGKILL");
    await until(() => socket.peerEnded || socket.state !== "open", "the end");
    assert.equal(String(socket.unread), "unread");
    if (socket.state === "open") assert.equal(String(await socket.readExactly(6)), "unread");
    assert.notEqual((await socket.closed).by, "local");
  });

  it("a raw peer that closes with our bytes unread loses us the connection, or ends it", async (t) => {
    const { socket, peer } = await rawPair(t);
    await socket.write("never read");
    peer.destroy();
    assert.notEqual((await socket.closed).by, "local");
  });
});
