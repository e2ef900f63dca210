/** What comes up for many sockets in one go: each is told by itself, whatever happens to the others. */

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { it, type TestContext } from "node:test";
import { AsyncSocket, type AsyncSocketDelegate } from "asyncsocket";
import { NO_UNCAUGHT } from "../support/availability.js";
import { until } from "../support/delegates.js";
import { assertNothingLeft, type Kind, overEveryTransport } from "../support/transports.js";
import { uncaught } from "../support/uncaught.js";

const COUNT = 5;

interface Crowd {
  readonly clients: readonly AsyncSocket[];
  readonly servers: readonly AsyncSocket[];
}

/** Several connections of one listener, made in one go. */
async function crowd(
  t: TestContext,
  kind: Kind,
  delegate: AsyncSocketDelegate,
  accepted: () => readonly AsyncSocket[],
): Promise<Crowd> {
  const wire = kind.open();
  const alive = setTimeout(() => undefined, 60_000);
  const listener = new AsyncSocket({ ...wire.options, delegate });
  await listener.listen(wire.listen);
  const clients = Array.from({ length: COUNT }, () => new AsyncSocket(wire.options));
  // One that is reset at once may not even hear that it was connected.
  await Promise.allSettled(clients.map((client) => client.connect(wire.connect(listener))));
  t.after(async () => {
    clearTimeout(alive);
    await Promise.all([...clients, ...accepted(), listener].map((socket) => socket.disconnect()));
    wire.dispose();
    await assertNothingLeft();
  });
  return { clients, servers: accepted() };
}

/** Who entered a store, and who found one that another had entered. */
class Stores {
  readonly storage = new AsyncLocalStorage<AsyncSocket>();
  readonly strange: string[] = [];
  seen = 0;

  /** Whatever a socket's callback finds may be its own. */
  check(socket: AsyncSocket, where: string): void {
    this.seen++;
    const store = this.storage.getStore();
    if (store !== undefined && store !== socket) this.strange.push(where);
  }

  /** Enters the socket, and looks again in all that comes from here. */
  enter(socket: AsyncSocket, where: string): void {
    this.check(socket, where);
    this.storage.enterWith(socket);
    const expectOwn = (how: string) => (): void => {
      if (this.storage.getStore() !== socket) this.strange.push(`${where}, ${how}`);
      this.seen++;
    };
    process.nextTick(expectOwn("next tick"));
    void Promise.resolve().then(expectOwn("promise"));
    setImmediate(expectOwn("next turn"));
  }
}

overEveryTransport((kind) => {
  it("no socket finds in an AsyncLocalStorage what the callback of another has entered", async (t) => {
    const stores = new Stores();
    t.after(() => stores.storage.disable());
    const servers: AsyncSocket[] = [];
    const due: AsyncSocket[] = [];
    const delegate: AsyncSocketDelegate = {
      didAccept: (_listener, socket) => {
        stores.enter(socket, "didAccept");
        servers.push(socket);
      },
      didRead: (socket) => stores.enter(socket, "didRead"),
      didEndReading: (socket) => stores.enter(socket, "didEndReading"),
      shouldExtendReadTimeout: (socket) => {
        stores.enter(socket, "shouldExtendReadTimeout");
        return 0;
      },
      didFailRead: (socket) => {
        stores.enter(socket, "didFailRead");
        due.push(socket);
      },
      didDisconnect: (socket) => {
        if (servers.includes(socket)) stores.enter(socket, "didDisconnect");
      },
    };
    const { clients } = await crowd(t, kind, delegate, () => servers);
    await until(() => servers.length === COUNT, "all are accepted");
    for (const server of servers) stores.storage.run(server, () => server.read({ timeout: 1, onFailure: "continue" }));
    await until(() => due.length === COUNT, "all have waited in vain");
    for (const server of servers) server.readExactly(5);
    for (const client of clients) client.write("hello");
    await until(() => servers.every((server) => server.pendingReads === 0), "all have read");
    for (const client of clients) client.end();
    await until(() => servers.every(({ state }) => state === "closed"), "all are closed");
    await new Promise(setImmediate);
    assert.deepEqual(stores.strange, []);
    assert.ok(stores.seen >= COUNT * 4 * 5);
  });

  if (!kind.isReal || kind.isSecure) return;
  it(
    "an exception of one accept loses none of the others, and leaves no descriptor",
    { skip: NO_UNCAUGHT },
    async (t) => {
      const thrown = uncaught(t);
      let hasThrown = false;
      const servers: AsyncSocket[] = [];
      const delegate: AsyncSocketDelegate = {
        get didAccept() {
          if (servers.length === 1 && !hasThrown) {
            hasThrown = true;
            throw new Error("getter");
          }
          return (_listener: AsyncSocket, socket: AsyncSocket) => void servers.push(socket);
        },
      };
      const { clients } = await crowd(t, kind, delegate, () => servers);
      await until(() => servers.length === COUNT - 1, "the others are accepted");
      for (const client of clients) client.write("hello");
      assert.deepEqual(
        await Promise.all(servers.map((server) => server.readExactly(5, { encoding: "utf8" }))),
        Array.from({ length: COUNT - 1 }, () => "hello"),
      );
      await until(() => clients.filter(({ state }) => state === "closed").length === 1, "the one is closed");
      assert.deepEqual(
        thrown.map((error) => (error as Error).message),
        ["getter"],
      );
    },
  );
});
