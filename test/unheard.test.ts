/** A failure is heard of somewhere, and says where in the program it was asked for. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type AsyncSocketError, type AsyncSocketOptions } from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";
import { NO_NATIVE, NO_UNCAUGHT } from "./support/availability.js";
import { failure, settled, shortCode } from "./support/delegates.js";
import { Belongings } from "./support/lifecycle-helpers.js";
import { moduleArgs, ROOT } from "./support/module-args.js";
import { SAFETY } from "./support/transports.js";
import { uncaught } from "./support/uncaught.js";

const TRANSPORTS = NO_NATIVE === false ? (["node", "native"] as const) : (["node"] as const);
type Transport = (typeof TRANSPORTS)[number];

/** All warnings of the process while a test runs. */
function warnings(t: TestContext): Error[] {
  const seen: Error[] = [];
  const note = (warning: Error): void => void seen.push(warning);
  process.on("warning", note);
  t.after(() => process.off("warning", note));
  return seen;
}

/** A port where nobody listens, and one where somebody does. */
async function ports(t: TestContext): Promise<{ dead: number; taken: number }> {
  const servers = [createServer(), createServer()];
  for (const server of servers) await once(server.listen(0, "127.0.0.1"), "listening");
  const [dead, taken] = servers.map((server) => (server.address() as AddressInfo).port);
  const [first, second] = servers;
  first?.close();
  if (second !== undefined) Belongings.of(t).addRaw(second);
  return { dead: dead ?? 0, taken: taken ?? 0 };
}

function idle(t: TestContext, transport: Transport, delegate = {}): AsyncSocket {
  return Belongings.of(t).add(new AsyncSocket({ transport, delegate }));
}

type Ask = (socket: AsyncSocket) => PromiseLike<unknown>;

async function fails(t: TestContext): Promise<Record<"connect" | "listen", Ask>> {
  const { dead, taken } = await ports(t);
  return {
    connect: (socket) => socket.connect({ host: "127.0.0.1", port: dead }),
    listen: (socket) => socket.listen({ host: "127.0.0.1", port: taken }),
  };
}

for (const transport of TRANSPORTS) {
  for (const name of ["connect", "listen"] as const) {
    describe(`a ${name} that fails, over ${transport}`, SAFETY, () => {
      async function failing(
        t: TestContext,
        delegate = {},
      ): Promise<[AsyncSocket, () => PromiseLike<unknown>, Error[]]> {
        const seen = warnings(t);
        const ask = (await fails(t))[name];
        const socket = idle(t, transport, delegate);
        return [socket, () => ask(socket), seen];
      }

      it("is a warning where nobody hears of it, once each time", async (t) => {
        const [socket, ask, seen] = await failing(t, { didFailRead: () => undefined });
        for (let round = 1; round <= 2; round++) {
          void ask();
          const { error } = await socket.closed;
          await settled();
          assert.equal(seen.length, round);
          assert.equal(seen[round - 1], error);
          assert.match(String(seen[round - 1]), /127\.0\.0\.1/);
        }
      });

      it("is no warning where it is awaited, now or later in the same turn", async (t) => {
        const [socket, ask, seen] = await failing(t);
        const request = ask();
        await failure(request);
        await socket.closed;
        const again = ask();
        process.nextTick(() => again.then(undefined, () => undefined));
        await socket.closed;
        await settled();
        assert.deepEqual(seen, []);
      });

      it("is no warning where the delegate is told of the end", async (t) => {
        const reasons: unknown[] = [];
        const [socket, ask, seen] = await failing(t, {
          didDisconnect: (_: unknown, reason: unknown) => reasons.push(reason),
        });
        void ask();
        await socket.closed;
        await settled();
        assert.deepEqual([seen, reasons.length], [[], 1]);
      });

      it("is no warning where the program ended it itself", async (t) => {
        const [socket, , seen] = await failing(t);
        const start = (): { cancel(): boolean } =>
          name === "connect"
            ? socket.connect({ host: "127.0.0.1", port: 1 })
            : socket.listen({ host: "127.0.0.1", port: 0 });
        start().cancel();
        await socket.closed;
        start();
        await socket.disconnect();
        await settled();
        assert.deepEqual(seen, []);
      });

      it("has a stack that names the line that asked", async (t) => {
        const [, ask] = await failing(t);
        function nearby(): PromiseLike<unknown> {
          // A call that is returned at once leaves no frame of its caller in the engine of Bun.
          const asked = ask();
          assert.ok(asked);
          return asked;
        }
        const error = await failure(nearby());
        assert.match(String(error.stack), /^AsyncSocketError: .*127\.0\.0\.1/);
        assert.ok(String(error.stack).startsWith(`AsyncSocketError: ${error.message}\n    at `));
        assert.match(String(error.stack), /unheard\.test/);
        assert.match(String(error.stack), /nearby/);
        assert.doesNotMatch(String(error.stack), /dist\//);
      });
    });
  }
}

describe("what else fails is heard of elsewhere", SAFETY, () => {
  it("a stream made of a socket that does not connect has its error event", async (t) => {
    const seen = warnings(t);
    const { dead } = await ports(t);
    const socket = idle(t, "node");
    socket.connect({ host: "127.0.0.1", port: dead });
    const [error] = (await once(socket.toDuplex(), "error")) as [NodeJS.ErrnoException];
    assert.equal(error.code, "ECONNREFUSED");
    assert.equal(shortCode(error.cause), "CONNECT");
    await settled();
    assert.deepEqual(seen, []);
  });

  it("a connection that was made, and is lost later, is no warning", async (t) => {
    const seen = warnings(t);
    const transport = new MemoryNetwork();
    const belongings = Belongings.of(t);
    const listener = belongings.add(
      new AsyncSocket({ transport, delegate: { didAccept: (_, socket) => void socket.reset() } }),
    );
    await listener.listen({ port: 7 });
    const socket = belongings.add(new AsyncSocket({ transport }));
    socket.connect({ port: 7 });
    assert.equal(shortCode((await socket.closed).error), "CONNECTION_LOST");
    await settled();
    assert.deepEqual(seen, []);
  });

  it("a subclass that connects in a method of its own is named, too", async (t) => {
    class Client extends AsyncSocket {
      dial(port: number): PromiseLike<unknown> {
        const request = this.connect({ host: "127.0.0.1", port });
        assert.ok(request);
        return request;
      }
    }
    const { dead } = await ports(t);
    const client = Belongings.of(t).add(new Client());
    assert.match(String((await failure(client.dial(dead))).stack), /\n +at (?:Client\.)?dial/);
    const error: AsyncSocketError = await failure(AsyncSocket.connect({ host: "127.0.0.1", port: dead }));
    assert.match(String(error.stack), /unheard\.test/);
  });
});

describe("NODE_DEBUG=asyncsocket", SAFETY, () => {
  const program = `
    import { AsyncSocket } from "asyncsocket";
    import { MemoryNetwork } from "asyncsocket/testing";
    const transport = new MemoryNetwork();
    const listener = await new AsyncSocket({ transport }).listen({ port: 7 });
    const socket = await new AsyncSocket({ transport }).connect({ port: 7 });
    function asksForALine() { return asked(socket.readLine({ timeout: 1 })); }
    function writesALine() { return asked(socket.write("line", { timeout: 1000 })); }
    function asked(request) { return request; }
    const read = asksForALine().catch((error) => console.log(error.stack));
    await read;
    await writesALine().catch((error) => console.log(error.stack));
    process.exit();
  `;

  function run(t: TestContext, debug: string): string {
    const options = { env: { ...process.env, NODE_DEBUG: debug }, encoding: "utf8" as const, cwd: ROOT };
    const { stdout, stderr, status } = spawnSync(process.execPath, moduleArgs(t, program), options);
    assert.equal(status, 0, stderr);
    return stdout;
  }

  it("makes the stacks of reads and writes name the line that asked, too", (t) => {
    const text = run(t, "asyncsocket");
    assert.match(text, /^AsyncSocketError: readLine timed out after 1 ms.*\n(.*\n)*? +at asksForALine/);
    assert.match(text, /AsyncSocketError: write failed: .*\n(.*\n)*? +at writesALine/);
  });

  it("and without it they cost nothing, and do not", (t) => {
    assert.doesNotMatch(run(t, ""), /at asksForALine/);
  });
});

describe("a mistake of the program that costs a connection its accept", { ...SAFETY, skip: NO_UNCAUGHT }, () => {
  const mistake = new Error("a mistake");
  const mistakes: Record<string, (t: TestContext, delegate: object) => Promise<unknown>> = {
    "a constructor that throws": async (t, delegate) => {
      let isListener = true;
      class Fragile extends AsyncSocket {
        constructor(options?: AsyncSocketOptions) {
          super(options);
          if (!isListener) throw mistake;
          isListener = false;
        }
      }
      const transport = new MemoryNetwork();
      Belongings.of(t).add(await new Fragile({ transport, delegate }).listen({ port: 1 }));
      return Belongings.of(t).add(new AsyncSocket({ transport })).connect({ port: 1 });
    },
    "a block list that throws": async (t, delegate) => {
      const transport = new MemoryNetwork();
      const blockList = {
        check: (): boolean => {
          throw mistake;
        },
      };
      Belongings.of(t).add(await AsyncSocket.listen({ port: 1, blockList, transport, delegate }));
      return Belongings.of(t).add(new AsyncSocket({ transport })).connect({ port: 1 });
    },
  };

  for (const [name, happen] of Object.entries(mistakes)) {
    it(`${name} surfaces where nobody hears of it by didFailAccept, and only there`, async (t) => {
      const seen = uncaught(t);
      const told: unknown[] = [];
      await happen(t, { didFailAccept: (_: AsyncSocket, error: AsyncSocketError) => told.push(error.cause) });
      await settled(10);
      assert.deepEqual([told, seen], [[mistake], []]);
      await happen(t, {});
      await settled(10);
      assert.deepEqual(seen, [mistake]);
    });
  }
});
