/** Delegates are called with the stores of the code that called `connect`, `listen` or `from`. */

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { it, type TestContext } from "node:test";
import { AsyncSocket, type AsyncSocketDelegate } from "asyncsocket";
import { SHOWS_STORES } from "../support/availability.js";
import { duplexPair } from "../support/duplex-pair.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import { overEveryTransport } from "../support/transports.js";

type Seen = [method: string, store: string | undefined];

function storageOf(t: TestContext): AsyncLocalStorage<string> {
  const storage = new AsyncLocalStorage<string>();
  t.after(() => storage.disable());
  return storage;
}

/** Notes what each method of a delegate finds in the storage; `didRead` answers, and reads on. */
function noting(storage: AsyncLocalStorage<string>, seen: Seen[]): AsyncSocketDelegate {
  const note = (method: string): void => void seen.push([method, storage.getStore()]);
  return {
    didAccept: (_listener, socket) => {
      note("didAccept");
      socket.readLine();
    },
    didConnect: () => note("didConnect"),
    didRead: () => note("didRead"),
    didReadText: (socket, text) => {
      note("didReadText");
      if (text === "question") socket.writeLine("answer");
    },
    didWrite: () => note("didWrite"),
    didFailRead: () => note("didFailRead"),
    shouldExtendReadTimeout: () => {
      note("shouldExtendReadTimeout");
      return 0;
    },
    didEndReading: () => note("didEndReading"),
    didDisconnect: () => note("didDisconnect"),
  };
}

const options = { skip: SHOWS_STORES };

overEveryTransport((kind) => {
  it("each callback of a delegate has the store of the connect, or of the listen", options, async (t) => {
    const storage = storageOf(t);
    const belongings = Belongings.of(t);
    const wire = kind.open();
    t.after(() => wire.dispose());
    const heard: Record<"client" | "server", Seen[]> = { client: [], server: [] };
    const listener = belongings.add(new AsyncSocket({ ...wire.options, delegate: noting(storage, heard.server) }));
    await storage.run("of listen", () => listener.listen(wire.listen));
    const client = belongings.add(new AsyncSocket({ ...wire.options, delegate: noting(storage, heard.client) }));
    await storage.run("of connect", () => client.connect(wire.connect(listener)));
    client.writeLine("question");
    await client.readLine();
    await assert.rejects(async () => client.readLine({ timeout: 1, onFailure: "continue" }));
    await client.disconnectAfterWriting();
    await Promise.all([...listener.sockets].map((socket) => socket.closed));
    await listener.disconnect();
    const methods = new Set([...heard.client, ...heard.server].map(([method]) => method));
    for (const method of ["didConnect", "didAccept", "didReadText", "didWrite", "didFailRead", "didDisconnect"]) {
      assert.ok(methods.has(method), `${method} was called`);
    }
    assert.deepEqual(new Set(heard.client.map(([, store]) => store)), new Set(["of connect"]));
    assert.deepEqual(new Set(heard.server.map(([, store]) => store)), new Set(["of listen"]));
  });

  it("what one accepted socket enters, the next one does not find", options, async (t) => {
    const storage = storageOf(t);
    const belongings = Belongings.of(t);
    const wire = kind.open();
    t.after(() => wire.dispose());
    const found: (string | undefined)[] = [];
    const delegate: AsyncSocketDelegate = {
      didAccept(_listener, socket) {
        found.push(storage.getStore());
        storage.enterWith(`entered by ${found.length}`);
        socket.write("x");
      },
    };
    const listener = belongings.add(new AsyncSocket({ ...wire.options, delegate }));
    await storage.run("of listen", () => listener.listen(wire.listen));
    for (let i = 0; i < 3; i++) {
      const client = belongings.add(new AsyncSocket(wire.options));
      await client.connect(wire.connect(listener));
      await client.readExactly(1);
    }
    assert.deepEqual(found.slice(1), [found[0], found[0]]);
  });
});

it("each callback of a delegate has the store of from(duplex)", options, async (t) => {
  const storage = storageOf(t);
  const belongings = Belongings.of(t);
  const seen: Seen[] = [];
  const [ours, theirs] = duplexPair();
  const socket = belongings.add(
    storage.run("of from", () => AsyncSocket.from(ours, { delegate: noting(storage, seen) })),
  );
  const read = socket.readLine();
  theirs.write("line\n");
  await read;
  await socket.disconnect();
  assert.deepEqual(new Set(seen.map(([, store]) => store)), new Set(["of from"]));
});
