/** What each accepted socket is born with: user data by `userDataFor`, and the class of its listener. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { type AcceptInfo, AsyncSocket, type AsyncSocketError } from "asyncsocket";
import { until } from "../support/delegates.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import { overEveryTransport, portOf } from "../support/transports.js";

class Client {
  lines = 0;
  constructor(readonly number: number) {}
}

describe("userDataFor", () => {
  overEveryTransport((kind) => {
    it("gives each accepted socket user data of its own, before didAccept is called", async (t) => {
      const wire = kind.open();
      t.after(() => wire.dispose());
      const belongings = Belongings.of(t);
      let made = 0;
      const seen: string[] = [];
      const listener = belongings.add(
        new AsyncSocket({
          ...wire.options,
          userData: new Client(-1),
          userDataFor: () => new Client(++made),
          delegate: {
            didAccept(who, socket) {
              seen.push(`${who.userData?.number} accepted ${socket.userData.number}`);
              belongings.add(socket).readLine();
            },
            didReadText(socket, text) {
              socket.userData.lines++;
              seen.push(`${socket.userData.number} ${text} ${socket.userData.lines}`);
              socket.readLine();
            },
          },
        }),
      );
      await listener.listen(wire.listen);
      for (const name of ["a", "b"]) {
        const client = belongings.add(new AsyncSocket(wire.options));
        await client.connect(wire.connect(listener));
        const before = seen.length;
        client.write(`${name}\n${name}\n`);
        await until(() => seen.length >= before + 2 && seen.at(-1)?.endsWith(" 2") === true, "two lines");
      }
      const expected = ["-1 accepted 1", "1 a 1", "1 a 2", "-1 accepted 2", "2 b 1", "2 b 2"];
      assert.deepEqual(seen, expected);
      assert.equal(made, 2, "it is called for accepted sockets alone");
    });

    it("may close the listener, and then the socket that nobody would be told of is closed", async (t) => {
      const wire = kind.open();
      t.after(() => wire.dispose());
      const belongings = Belongings.of(t);
      const listener: AsyncSocket = belongings.add(
        new AsyncSocket({ ...wire.options, userDataFor: () => void listener.disconnect() }),
      );
      await listener.listen(wire.listen);
      const next = listener.connections().next();
      const client = belongings.add(new AsyncSocket(wire.options));
      await client.connect(wire.connect(listener)).then(
        () => client.closed,
        () => undefined,
      );
      assert.deepEqual(await next, { done: true, value: undefined });
      assert.deepEqual([...listener.sockets], []);
    });

    it("makes sockets of the listener's own class, which connections and sockets give", async (t) => {
      class Chat extends AsyncSocket<string, Client> {
        nick = "nobody";
      }
      const wire = kind.open();
      t.after(() => wire.dispose());
      const belongings = Belongings.of(t);
      const { transport } = wire.options;
      const listener = belongings.add(
        await Chat.listen({ ...wire.listen, transport, userDataFor: () => new Client(5) }),
      );
      const client = belongings.add(await Chat.connect({ ...wire.connect(listener), transport }));
      assert.ok(client instanceof Chat);
      assert.equal(client.userData, undefined);
      const { value: server } = await listener.connections().next();
      assert.ok(server instanceof Chat);
      belongings.add(server).nick = "somebody";
      assert.equal(server.userData?.number, 5);
      assert.deepEqual(
        [...listener.sockets].map(({ nick }) => nick),
        ["somebody"],
      );
    });
  });

  it("is told of the PROXY header, and only of connections that are not refused", async (t) => {
    const belongings = Belongings.of(t);
    const told: AcceptInfo[] = [];
    const refused: AsyncSocketError[] = [];
    const listener = belongings.add(
      new AsyncSocket({
        limits: { connections: 1 },
        userDataFor: (info) => told.push(info),
        delegate: {
          didAccept: (_listener, socket) => void belongings.add(socket),
          didFailAccept: (_listener, error) => void refused.push(error),
        },
      }),
    );
    await listener.listen({ port: 0, host: "127.0.0.1", proxyProtocol: true });
    const first = belongings.addRaw(connect(portOf(listener), "127.0.0.1"));
    first.write("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n");
    await until(() => told.length > 0, "a connection");
    assert.deepEqual(told[0]?.proxied?.remote, { family: "IPv4", address: "192.0.2.1", port: 56324 });
    assert.deepEqual(told[0].local, listener.local);
    belongings.addRaw(connect(portOf(listener), "127.0.0.1"));
    await until(() => refused.length > 0, "one too many");
    assert.equal(told.length, 1);
  });
});
