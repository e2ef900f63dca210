import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { inspect } from "node:util";
import { AsyncSocket, SocketRequest, type SocketState } from "asyncsocket";
import { failure, pattern, settled, shortCode, until } from "../support/delegates.js";
import { timedNetwork } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";

/** What a call comes to. `queued` stays in its queue or is met from there, `ends` is an iterator that is over. */
type Outcome = "queued" | "CLOSED" | "END_OF_STREAM" | "BAD_STATE" | "ok" | "ends";

interface Stage {
  readonly socket: AsyncSocket;
  readonly state: SocketState;
}

type Scene = (t: TestContext) => Promise<Stage>;

const LIMITS = { readAhead: 64, lingerMs: Infinity };

/** A connected pair whose far side does nothing by itself. */
async function pair(t: TestContext): Promise<{ socket: AsyncSocket; far: AsyncSocket }> {
  const { transport, belongings } = timedNetwork(t, 128);
  const far = { allowHalfOpen: true, limits: LIMITS };
  const listener = belongings.add(await AsyncSocket.listen({ transport, port: 1, ...far }));
  const socket = belongings.add(new AsyncSocket({ transport, limits: LIMITS }));
  await socket.connect({ port: 1 });
  const { value } = await listener.connections().next();
  assert.ok(value !== undefined);
  return { socket, far: belongings.add(value) };
}

const SCENES = {
  idle: (t) => {
    const { transport, belongings } = timedNetwork(t);
    return Promise.resolve({ socket: belongings.add(new AsyncSocket({ transport })), state: "idle" });
  },
  connecting: async (t) => {
    const { transport, belongings } = timedNetwork(t);
    belongings.add(await AsyncSocket.listen({ transport, port: 1 }));
    const socket = belongings.add(new AsyncSocket({ transport, limits: LIMITS }));
    socket.connect({ port: 1 });
    return { socket, state: "connecting" };
  },
  open: async (t) => ({ socket: (await pair(t)).socket, state: "open" }),
  "open, the peer has ended": async (t) => {
    const { socket, far } = await pair(t);
    far.write("ab\n");
    far.end();
    await until(() => socket.peerEnded && socket.unreadBytes === 3, "bytes and FIN");
    return { socket, state: "open" };
  },
  "open, after end()": async (t) => {
    const { socket } = await pair(t);
    await socket.end();
    return { socket, state: "open" };
  },
  "open, disconnecting after reading": async (t) => {
    const { socket } = await pair(t);
    socket.readExactly(1000);
    socket.disconnectAfterReading();
    await settled();
    return { socket, state: "open" };
  },
  "open, disconnecting after writing": async (t) => {
    const { socket } = await pair(t);
    socket.write(pattern(4096));
    socket.disconnectAfterWriting();
    await settled();
    return { socket, state: "open" };
  },
  "closing gracefully": async (t) => {
    const { socket, far } = await pair(t);
    socket.disconnectAfterWriting();
    await until(() => far.peerEnded, "the FIN");
    return { socket, state: "closing" };
  },
  closing: async (t) => {
    const { socket } = await pair(t);
    socket.disconnect();
    return { socket, state: "closing" };
  },
  closed: async (t) => {
    const { socket } = await pair(t);
    await socket.disconnect();
    return { socket, state: "closed" };
  },
  listening: async (t) => {
    const { transport, belongings } = timedNetwork(t);
    return { socket: belongings.add(await AsyncSocket.listen({ transport, port: 1 })), state: "listening" };
  },
  "closed, was a listener": async (t) => {
    const { transport, belongings } = timedNetwork(t);
    const socket = belongings.add(await AsyncSocket.listen({ transport, port: 1 }));
    await socket.disconnect();
    return { socket, state: "closed" };
  },
} satisfies Record<string, Scene>;

type SceneName = keyof typeof SCENES;

const READS: Record<string, (socket: AsyncSocket) => SocketRequest<unknown>> = {
  read: (socket) => socket.read(),
  readExactly: (socket) => socket.readExactly(2),
  readUntil: (socket) => socket.readUntil("\n"),
  readLine: (socket) => socket.readLine(),
  readFrame: (socket) => socket.readFrame({ lengthBytes: 1 }),
  peek: (socket) => socket.peek({ length: 2 }),
  skip: (socket) => socket.skip(2),
};

const ITERATORS: Record<string, (socket: AsyncSocket) => AsyncIterator<unknown>> = {
  lines: (socket) => socket.lines(),
  frames: (socket) => socket.frames({ lengthBytes: 1 }),
  iterator: (socket) => socket[Symbol.asyncIterator](),
};

const WRITES: Record<string, (socket: AsyncSocket) => SocketRequest<unknown>> = {
  write: (socket) => socket.write("x"),
  "empty write": (socket) => socket.write(""),
};

const CLOSES: Record<string, (socket: AsyncSocket) => unknown> = {
  disconnect: (socket) => socket.disconnect(),
  disconnectAfterReading: (socket) => socket.disconnectAfterReading(),
  disconnectAfterWriting: (socket) => socket.disconnectAfterWriting(),
  disconnectAfterReadingAndWriting: (socket) => socket.disconnectAfterReadingAndWriting(),
  reset: (socket) => socket.reset(),
  closed: (socket) => socket.closed,
  dispose: (socket) => socket[Symbol.asyncDispose](),
  ref: (socket) => socket.ref(),
  unref: (socket) => socket.unref(),
};

const SETTINGS: Record<string, (socket: AsyncSocket) => unknown> = {
  setNoDelay: (socket) => socket.setNoDelay(true),
  setKeepAlive: (socket) => socket.setKeepAlive(1000),
};

const LISTENERS: Record<string, (socket: AsyncSocket) => unknown> = {
  connections: (socket) => void socket.connections(),
  shutdown: (socket) => socket.shutdown({ graceMs: 0 }),
};

const BEGINNINGS: Record<string, (socket: AsyncSocket) => SocketRequest<unknown>> = {
  connect: (socket) => socket.connect({ port: 9 }),
  listen: (socket) => socket.listen({ port: 9 }),
};

/** In which state which group of calls comes to what. */
const TABLE: Record<
  SceneName,
  {
    reads: Outcome;
    iterators: Outcome;
    writes: Outcome;
    end: Outcome;
    settings: Outcome;
    listeners: Outcome;
    begin: Outcome;
  }
> = {
  idle: row("queued", "queued", "queued", "queued", "BAD_STATE", "BAD_STATE", "ok"),
  connecting: row("queued", "queued", "queued", "queued", "ok", "BAD_STATE", "BAD_STATE"),
  open: row("queued", "queued", "queued", "queued", "ok", "BAD_STATE", "BAD_STATE"),
  "open, the peer has ended": row("queued", "queued", "queued", "queued", "ok", "BAD_STATE", "BAD_STATE"),
  "open, after end()": row("queued", "queued", "BAD_STATE", "ok", "ok", "BAD_STATE", "BAD_STATE"),
  "open, disconnecting after reading": row(
    "BAD_STATE",
    "BAD_STATE",
    "queued",
    "queued",
    "ok",
    "BAD_STATE",
    "BAD_STATE",
  ),
  "open, disconnecting after writing": row("queued", "queued", "BAD_STATE", "queued", "ok", "BAD_STATE", "BAD_STATE"),
  "closing gracefully": row("CLOSED", "ends", "CLOSED", "CLOSED", "ok", "BAD_STATE", "BAD_STATE"),
  closing: row("CLOSED", "ends", "CLOSED", "CLOSED", "BAD_STATE", "BAD_STATE", "BAD_STATE"),
  closed: row("CLOSED", "ends", "CLOSED", "CLOSED", "BAD_STATE", "BAD_STATE", "ok"),
  listening: row("BAD_STATE", "BAD_STATE", "BAD_STATE", "BAD_STATE", "BAD_STATE", "ok", "BAD_STATE"),
  "closed, was a listener": row("CLOSED", "ends", "CLOSED", "CLOSED", "BAD_STATE", "ok", "ok"),
};

/** Where the state alone does not decide: three bytes and a FIN that no frame can be met from; a second end(). */
const EXCEPTIONS: Partial<Record<SceneName, Record<string, Outcome>>> = {
  "open, the peer has ended": { readFrame: "END_OF_STREAM", frames: "END_OF_STREAM" },
};

function row(
  reads: Outcome,
  iterators: Outcome,
  writes: Outcome,
  end: Outcome,
  settings: Outcome,
  listeners: Outcome,
  begin: Outcome,
): (typeof TABLE)["idle"] {
  return { reads, iterators, writes, end, settings, listeners, begin };
}

/** Calls, and says what it came to. */
async function outcomeOf(call: () => unknown): Promise<Outcome> {
  let result: unknown;
  try {
    result = call();
  } catch (error) {
    return shortCode(error) as Outcome;
  }
  if (result instanceof SocketRequest) {
    if (!(result.kind in READS) && result.kind !== "write" && result.kind !== "end") return "ok";
    if (result.state === "done") return "ok";
    await settled(5);
    return result.state === "failed" ? (shortCode(await failure(result)) as Outcome) : "queued";
  }
  return isIterator(result) ? outcomeOfIterator(result) : "ok";
}

async function outcomeOfIterator(iterator: AsyncIterator<unknown>): Promise<Outcome> {
  const first = iterator.next().then(
    (result): Outcome => (result.done === true ? "ends" : "queued"),
    (error: unknown) => shortCode(error) as Outcome,
  );
  return (await Promise.race([first, settled(5)])) ?? "queued";
}

function isIterator(value: unknown): value is AsyncIterator<unknown> {
  return typeof (value as AsyncIterator<unknown> | undefined)?.next === "function";
}

function calls(name: SceneName): [string, (socket: AsyncSocket) => unknown, Outcome][] {
  const { reads, iterators, writes, end, settings, listeners, begin } = TABLE[name];
  const rows: [Record<string, (socket: AsyncSocket) => unknown>, Outcome][] = [
    [READS, reads],
    [ITERATORS, iterators],
    [WRITES, writes],
    [{ end: (socket) => socket.end() }, end],
    [SETTINGS, settings],
    [CLOSES, "ok"],
    [LISTENERS, listeners],
    [BEGINNINGS, begin],
  ];
  return rows
    .flatMap(([group, outcome]) => Object.entries(group).map(([call, run]) => [call, run, outcome] as const))
    .map(([call, run, outcome]) => [call, run, outcome]);
}

describe("decision 12: every call in every state", SAFETY, () => {
  for (const name of Object.keys(SCENES) as SceneName[]) {
    describe(name, () => {
      for (const [call, run, expected] of calls(name)) {
        it(`${call}: ${expected}`, async (t) => {
          const { socket, state } = await SCENES[name](t);
          assert.equal(socket.state, state);
          assert.equal(await outcomeOf(() => run(socket)), EXCEPTIONS[name]?.[call] ?? expected);
        });
      }

      it("cancelReads() is a number, and every property can be read", async (t) => {
        const { socket, state } = await SCENES[name](t);
        assert.equal(typeof socket.id, "number");
        assert.equal(socket.state, state);
        for (const key of [
          "bytesRead",
          "bytesWritten",
          "unreadBytes",
          "unsentBytes",
          "pendingReads",
          "pendingWrites",
        ]) {
          const value: unknown = (socket as unknown as Record<string, unknown>)[key];
          assert.ok(typeof value === "number" && value >= 0, `${key}: ${String(value)}`);
        }
        assert.equal(socket.isSecure, false);
        assert.equal(typeof socket.peerEnded, "boolean");
        assert.ok(Buffer.isBuffer(socket.unread));
        assert.equal(socket.unread.length, socket.unreadBytes);
        assert.equal(socket.delegate, null);
        assert.equal(socket.userData, undefined);
        assert.equal("then" in socket, false);
        const isUsed = !["idle", "connecting"].includes(name);
        if (isUsed) assert.notEqual(socket.local, undefined);
        assert.equal(socket.closeReason !== undefined, state === "closed" || name === "closing");
        for (const request of [socket.currentRead, socket.currentWrite]) {
          assert.ok(request === undefined || request instanceof SocketRequest);
        }
        const { pendingReads } = socket;
        assert.equal(socket.cancelReads(), pendingReads);
        assert.equal(socket.pendingReads, 0);
        assert.equal(inspect(socket).includes("\n"), false);
        assert.ok(inspect(socket).includes(state), inspect(socket));
      });
    });
  }
});

describe("inspect", SAFETY, () => {
  it("is one line that names class, id and state, and shows no payload", async (t) => {
    class Named extends AsyncSocket {}
    const { transport, belongings } = timedNetwork(t, 128);
    const listener = belongings.add(await AsyncSocket.listen({ transport, port: 1, limits: LIMITS }));
    const socket = belongings.add(new Named({ transport, userData: "secret data" }));
    socket.write("secret payload", { tag: "secret tag" });
    await socket.connect({ port: 1 });
    const { value: far } = await listener.connections().next();
    assert.ok(far !== undefined);
    belongings.add(far);
    socket.write("secret payload".repeat(1000));
    far.write("secret answer");
    await until(() => socket.unreadBytes > 0, "bytes");
    for (const one of [socket, far, listener]) {
      const text = inspect(one, { depth: 10, showHidden: true });
      assert.equal(text.includes("\n"), false, text);
      assert.equal(text.includes("secret"), false, text);
      assert.ok(text.includes(String(one.id)) && text.includes(one.state), text);
    }
    assert.match(inspect(socket), /Named/);
    assert.ok(inspect({ nested: [socket] }).includes("Named"));
  });

  it("ids are unique in the process", () => {
    const ids = Array.from({ length: 1000 }, () => new AsyncSocket().id);
    assert.equal(new Set(ids).size, 1000);
  });

  it("a socket is no thenable: returned from an async function it is the socket still", async () => {
    const socket = new AsyncSocket();
    const give = async (): Promise<AsyncSocket> => {
      await Promise.resolve();
      return socket;
    };
    assert.equal(await give(), socket);
    assert.equal("on" in socket, false);
    assert.equal("emit" in socket, false);
  });
});
