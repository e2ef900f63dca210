/** Processes without the addon: what the runtime itself can do, and the words where it cannot. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { Authority } from "../support/certificates.js";
import { Belongings, child, type Child } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";
import { ECHO } from "./helpers.js";
import { canTransfer } from "#dist/base/undocumented.js";

const PRELUDE = `
  process.env.ASYNCSOCKET_NATIVE = "0";
  const { AsyncSocket, RunLoop } = await import("asyncsocket");
  const loop = await RunLoop.spawn(${JSON.stringify(ECHO)}, { name: "aside" });
  const say = (...words) => console.log(words.join(" "));
`;

async function line(server: Child): Promise<string> {
  return server.line();
}

async function clientOf(t: TestContext, port: string, tls?: object): Promise<AsyncSocket> {
  const client = Belongings.of(t).add(new AsyncSocket());
  await client.connect({ host: "127.0.0.1", port: Number(port), ...(tls === undefined ? {} : { tls }) });
  return client;
}

describe(
  "without the addon, where the runtime transfers sockets",
  { ...SAFETY, skip: canTransfer ? false : "it does not" },
  () => {
    it("accepted sockets go to run loops, and half-open ones stay so", async (t) => {
      const server = child(
        t,
        `${PRELUDE}
       const listener = await AsyncSocket.listen({ port: 0, host: "127.0.0.1", loops: loop, allowHalfOpen: true,
         delegate: { didFailAccept: (_listener, error) => say(error.message) } });
       say(listener.local.port);`,
      );
      const client = await clientOf(t, await line(server));
      for (const text of ["one", "two"]) {
        client.write(`${text}\n`);
        assert.equal(await client.readLine(), `aside ${text}`);
      }
      client.write("x".repeat(100_000) + "\n");
      await client.end();
      assert.equal((await client.readLine()).length, 100_006);
      await client.disconnect();
    });

    it("TLS is spoken on the loop, never anything in the clear", async (t) => {
      const authority = await Authority.create();
      const identity = await authority.issue(["localhost"]);
      const server = child(
        t,
        `${PRELUDE}
       const tls = ${JSON.stringify(identity)};
       const listener = await AsyncSocket.listen({ port: 0, host: "127.0.0.1", loops: [loop], tls });
       say(listener.local.port);`,
      );
      const port = await line(server);
      const client = await clientOf(t, port, { ca: authority.cert, servername: "localhost" });
      client.write("secret\n");
      assert.equal(await client.readLine(), "aside secret");
      const clear = await clientOf(t, port);
      clear.write("hello\n");
      const rest = await clear.read().then(String, () => "");
      assert.ok(!rest.includes("hello"));
    });

    it("moveTo moves one of which nothing was read", async (t) => {
      const server = child(
        t,
        `${PRELUDE}
       const listener = await AsyncSocket.listen({ port: 0, host: "127.0.0.1", delegate: {
         didAccept: (_listener, socket) =>
           socket.moveTo(loop).then(() => say("moved"), (error) => say(error.message, error.cause)),
       } });
       say(listener.local.port);`,
      );
      const first = await clientOf(t, await line(server));
      first.write("hello\n");
      assert.equal(await line(server), "moved");
      assert.equal(await first.readLine(), "aside hello");
    });

    it("a thread that is killed leaves its peers an end", async (t) => {
      const server = child(
        t,
        `${PRELUDE}
       const listener = await AsyncSocket.listen({ port: 0, host: "127.0.0.1", loops: loop,
         delegate: { didFailAccept: (_listener, error) => say(error.code) } });
       say(listener.local.port);
       process.stdin.once("data", () => loop.worker.terminate());`,
      );
      const client = await clientOf(t, await line(server));
      client.write("x\n");
      assert.equal(await client.readLine(), "aside x");
      server.process.stdin.write("now");
      assert.notEqual((await client.closed).by, "local");
      assert.equal(await line(server), "ERR_ASYNCSOCKET_TRANSFER");
    });
  },
);

const PORT_IS_SHARED = await sharesPorts();
const SHARES = canTransfer ? "sockets are transferred" : !PORT_IS_SHARED ? "ports cannot be shared" : false;

describe("without the addon, where ports can be shared", { ...SAFETY, skip: SHARES }, () => {
  it("each loop listens by itself, and the listener counts, limits and ends what they accept", async (t) => {
    const authority = await Authority.create();
    const identity = await authority.issue(["localhost"]);
    const server = child(
      t,
      `${PRELUDE}
       const other = await RunLoop.spawn(${JSON.stringify(ECHO)}, { name: "aside" });
       const listener = await AsyncSocket.listen({ port: 0, host: "127.0.0.1", loops: [loop, other],
         tls: ${JSON.stringify(identity)}, delegate: { didAccept: () => say("never") } });
       say(listener.local.port);
       process.stdin.once("data", async () => {
         say(loop.sockets + other.sockets);
         say(JSON.stringify(await listener.shutdown({ graceMs: 0 })));
         process.stdin.destroy();
       });`,
    );
    const port = await line(server);
    const clients = [];
    for (let i = 0; i < 8; i++) clients.push(await clientOf(t, port, { ca: authority.cert, servername: "localhost" }));
    for (const client of clients) {
      client.write("x\n");
      assert.equal(await client.readLine(), "aside x");
    }
    server.process.stdin.write("now");
    assert.equal(await line(server), "8");
    assert.equal(await line(server), '{"finished":0,"forced":8}');
    for (const client of clients) await client.closed;
    assert.equal((await server.ended).code, 0);
  });

  it("setTLS reaches every loop: connections are secured by the new certificate from then on", async (t) => {
    const authority = await Authority.create();
    const [old, renewed] = [await authority.issue(["old.test"]), await authority.issue(["renewed.test"])];
    const server = child(
      t,
      `${PRELUDE}
       const other = await RunLoop.spawn(${JSON.stringify(ECHO)}, { name: "aside" });
       const listener = new AsyncSocket();
       const request = listener.listen({ port: 0, host: "127.0.0.1", loops: [loop, other],
         tls: ${JSON.stringify(old)} });
       process.stdin.once("data", async () => {
         listener.setTLS(${JSON.stringify(renewed)});
         say("renewed");
         // Once more while the loops only begin to listen.
         const second = new AsyncSocket();
         const listening = second.listen({ port: 0, host: "127.0.0.1", loops: [loop, other],
           tls: ${JSON.stringify(old)} });
         second.setTLS(${JSON.stringify(renewed)});
         await listening;
         say(second.local.port);
       });
       await request;
       say(listener.local.port);`,
    );
    const shown = async (port: string): Promise<unknown> => {
      const client = await clientOf(t, port, { ca: authority.cert, checkServerIdentity: () => undefined });
      client.write("x\n");
      assert.equal(await client.readLine(), "aside x");
      await client.disconnect();
      return client.tls?.peerCertificate?.subject.CN;
    };
    /** It takes a message to another thread; then it is so for good, on both loops. */
    const showsRenewed = async (port: string): Promise<void> => {
      let inARow = 0;
      for (let tries = 0; inARow < 12; tries++) {
        assert.ok(tries < 200, "the old certificate is still shown");
        inARow = (await shown(port)) === "renewed.test" ? inARow + 1 : 0;
      }
    };
    const port = await line(server);
    assert.equal(await shown(port), "old.test");
    server.process.stdin.write("now");
    assert.equal(await line(server), "renewed");
    await showsRenewed(port);
    await showsRenewed(await line(server));
  });
});

describe("without the addon, where nothing is possible", { ...SAFETY, skip: canTransfer || PORT_IS_SHARED }, () => {
  it("listening with loops fails with LISTEN, and the error says what to do", async (t) => {
    const server = child(
      t,
      `${PRELUDE}
       await AsyncSocket.listen({ port: 0, loops: loop }).catch((error) => say(error.code, error.message));`,
    );
    assert.match(
      await line(server),
      /^ERR_ASYNCSOCKET_LISTEN Cannot listen with loops: .*Install the addon .*, or use Node 22.12/,
    );
  });
});

async function sharesPorts(): Promise<boolean> {
  const listener = new AsyncSocket({ transport: "node" });
  try {
    await listener.listen({ port: 0, host: "127.0.0.1", reusePort: true });
    await listener.disconnect();
    return true;
  } catch {
    return false;
  }
}

describe("without the addon", SAFETY, () => {
  it("in mid-stream a socket stays, and the error says what to do", async (t) => {
    const server = child(
      t,
      `${PRELUDE}
       const listener = await AsyncSocket.listen({ port: 0, host: "127.0.0.1", delegate: {
         async didAccept(_listener, socket) {
           await socket.readLine();
           await socket.moveTo(loop).catch((error) => socket.write(error.code + " " + error.message + "\\n"));
         } } });
       say(listener.local.port);`,
    );
    const client = await clientOf(t, await line(server));
    client.write("x\n");
    assert.match(
      await client.readLine(),
      /^ERR_ASYNCSOCKET_TRANSFER The socket cannot be moved: the addon is not there \(ASYNCSOCKET_NATIVE=0 turns it off\)/,
    );
  });
});
