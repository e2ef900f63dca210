/** `reconnect`, by clocks that only move when told to. */

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, it, type TestContext } from "node:test";
import { inspect } from "node:util";
import {
  AsyncSocket,
  AsyncSocketError,
  type AsyncValues,
  type Connector,
  reconnect,
  type ReconnectOptions,
  type SocketRequest,
} from "asyncsocket";
import { MemoryNetwork, VirtualClock } from "asyncsocket/testing";
import { turn } from "./support/transports.js";

const PORT = 7;

/** Enough for whatever can happen without a timer to have happened. */
async function quiet(): Promise<void> {
  for (let turns = 0; turns < 50; turns++) await turn();
}

/** A clock on which every wait is over at once, and noted. */
class Impatient extends VirtualClock {
  readonly waits: number[] = [];

  override setTimer(callback: () => void, delayMs: number): object {
    this.waits.push(delayMs);
    const timer = super.setTimer(callback, delayMs);
    this.later(() => this.advance(delayMs), undefined);
    return timer;
  }
}

/** A place to connect to, and what connects there. The sockets' clock is another one than the loop's. */
class Place {
  readonly network = new MemoryNetwork();
  readonly accepted: AsyncSocket[] = [];
  tries = 0;
  last: SocketRequest<AsyncSocket> | null = null;
  #listener: AsyncSocket | null = null;

  constructor(t: TestContext) {
    t.after(async () => {
      await this.close();
      await Promise.all(this.accepted.map((socket) => socket.disconnect()));
    });
  }

  async open(): Promise<void> {
    const didAccept = (_: AsyncSocket, socket: AsyncSocket): void => void this.accepted.push(socket);
    this.#listener = await AsyncSocket.listen({ port: PORT, transport: this.network, delegate: { didAccept } });
  }

  async close(): Promise<void> {
    await this.#listener?.disconnect();
    this.#listener = null;
  }

  readonly connect: Connector = () => {
    this.tries++;
    return (this.last = AsyncSocket.connect({ port: PORT, transport: this.network }));
  };
}

async function nextOf(loop: AsyncIterator<AsyncSocket, undefined>): Promise<AsyncSocket> {
  const { value } = await loop.next();
  assert.ok(value !== undefined, "the loop goes on");
  return value;
}

const isRefused = { code: "ERR_ASYNCSOCKET_CONNECT" };
const DONE = { done: true, value: undefined };

interface Waits {
  readonly name: string;
  readonly options: ReconnectOptions;
  readonly waits: readonly number[];
}

const never = (): number => 0;
const ever = (): number => 1;

const WAITS: readonly Waits[] = [
  {
    name: "double from 250 ms to 30 s",
    options: { random: never },
    waits: [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000],
  },
  {
    name: "are half as long when chance wants it so",
    options: { random: ever },
    waits: [125, 250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000],
  },
  { name: "are not left to chance without jitter", options: { jitter: 0, random: ever }, waits: [250, 500, 1000] },
  { name: "are all left to chance with a jitter of 1", options: { jitter: 1, random: () => 0.75 }, waits: [62.5, 125] },
  { name: "may vanish with a jitter of 1", options: { jitter: 1, random: ever }, waits: [0, 0, 0] },
  { name: "begin where they are told to", options: { delayMs: 10, random: never }, waits: [10, 20, 40] },
  { name: "grow as they are told to", options: { delayMs: 10, factor: 3, random: never }, waits: [10, 30, 90, 270] },
  { name: "do not grow with a factor of 1", options: { factor: 1, random: never }, waits: [250, 250, 250] },
  { name: "may be none at all", options: { delayMs: 0, random: never }, waits: [0, 0, 0, 0] },
  { name: "have their bound", options: { maxDelayMs: 600, random: never }, waits: [250, 500, 600, 600] },
  { name: "have their bound from the first", options: { maxDelayMs: 100, random: never }, waits: [100, 100] },
  {
    name: "may have no bound",
    options: { delayMs: 20_000, maxDelayMs: Infinity, random: never },
    waits: [20_000, 40_000, 80_000],
  },
  {
    name: "take undefined for what is left out",
    options: {
      delayMs: undefined,
      factor: undefined,
      jitter: undefined,
      maxDelayMs: undefined,
      signal: undefined,
      random: never,
    },
    waits: [250, 500],
  },
];

describe("the waits of reconnect", () => {
  for (const { name, options, waits } of WAITS) {
    it(name, async (t) => {
      const place = new Place(t);
      const clock = new Impatient();
      const loop = reconnect(place.connect, { ...options, clock, attempts: waits.length + 1 });
      await assert.rejects(loop.next(), isRefused);
      assert.deepEqual(clock.waits, waits);
      assert.equal(clock.size, 0);
    });
  }

  it("are somewhere from half to all of it, unless said otherwise", async (t) => {
    const place = new Place(t);
    const clock = new Impatient();
    await assert.rejects(reconnect(place.connect, { clock, attempts: 200, maxDelayMs: 250 }).next(), isRefused);
    assert.ok(clock.waits.every((ms) => ms > 125 && ms <= 250));
    assert.ok(new Set(clock.waits).size > 100, "and not always the same");
  });

  it("begin anew after a connection that has held for as long as the next wait, and only then", async (t) => {
    const place = new Place(t);
    await place.open();
    const clock = new Impatient();
    const loop = reconnect(place.connect, { clock, jitter: 0 });
    const held: readonly (readonly [heldMs: number, waitMs: number])[] = [
      [0, 250],
      [0, 500],
      [999, 1000],
      [2000, 250],
      [499, 500],
      [5000, 250],
      [0, 500],
    ];
    let socket = await nextOf(loop);
    for (const [heldMs] of held) {
      clock.advance(heldMs);
      await socket.disconnect();
      socket = await nextOf(loop);
    }
    await socket.disconnect();
    assert.deepEqual(
      clock.waits,
      held.map(([, waitMs]) => waitMs),
    );
  });
});

describe("reconnect", () => {
  it("connects at once, and after the wait when the connection is lost, by the clock of the transport", async () => {
    const clock = new VirtualClock();
    const transport = new MemoryNetwork({ clock });
    let count = 0;
    const didAccept = (_: AsyncSocket, socket: AsyncSocket): void => {
      socket.write(`${++count}\n`);
      socket.disconnectAfterWriting();
    };
    const listener = await AsyncSocket.listen({ port: PORT, transport, delegate: { didAccept } });
    const loop = reconnect({ port: PORT, transport, userData: "mine" }, { jitter: 0 });
    for (const waitMs of [0, 250, 500, 1000]) {
      let isThere = false;
      const next = nextOf(loop).finally(() => (isThere = true));
      await quiet();
      if (waitMs > 0) {
        clock.advance(waitMs - 1);
        await quiet();
        assert.equal(isThere, false, "not a moment earlier");
        clock.advance(1);
        await quiet();
      }
      assert.ok(isThere, `after ${waitMs} ms`);
      const socket = await next;
      assert.equal(socket.userData, "mine");
      assert.equal(await socket.readLine(), String(count));
      await socket.closed;
      await quiet();
      assert.equal(clock.size, 0);
    }
    await listener.disconnect();
    assert.equal(count, 4);
  });

  it("throws the last error after as many failures in a row as it may have, and is over", async () => {
    for (const attempts of [1, 2, 5]) {
      const clock = new Impatient();
      let tries = 0;
      const loop = reconnect(() => Promise.reject(new Error(`failure ${++tries}`)), { attempts, clock });
      await assert.rejects(loop.next(), { message: `failure ${attempts}` });
      assert.equal(tries, attempts);
      assert.equal(clock.waits.length, attempts - 1);
      assert.deepEqual(await loop.next(), DONE);
      assert.equal(tries, attempts);
    }
  });

  it("begins to count anew with each connection", async (t) => {
    const place = new Place(t);
    const clock = new Impatient();
    const outcomes = [false, false, true, false, false, true, false, false, false];
    const connect: Connector = (signal) =>
      outcomes[place.tries] === true ? place.connect(signal) : Promise.reject(new Error(`failure ${place.tries++}`));
    await place.open();
    const loop = reconnect(connect, { attempts: 3, clock });
    await (await nextOf(loop)).disconnect();
    await (await nextOf(loop)).disconnect();
    await assert.rejects(loop.next(), { message: "failure 8" });
  });

  it("waits for the close when it is asked for the next one earlier, and closes nothing itself", async (t) => {
    const place = new Place(t);
    await place.open();
    const clock = new Impatient();
    const loop = reconnect(place.connect, { clock });
    const first = await nextOf(loop);
    const next = nextOf(loop);
    await quiet();
    assert.equal(first.state, "open");
    assert.equal(place.tries, 1);
    assert.deepEqual(clock.waits, []);
    place.accepted[0]?.disconnect();
    const second = await next;
    assert.notEqual(second, first);
    assert.equal(first.closeReason?.by, "remote");
    await second.disconnect();
  });

  it("leaves the socket as it is when the loop is left", async (t) => {
    const place = new Place(t);
    await place.open();
    const clock = new VirtualClock();
    let socket: AsyncSocket | undefined;
    for await (socket of reconnect(place.connect, { clock })) break;
    await quiet();
    assert.equal(socket?.state, "open");
    assert.equal(place.tries, 1);
    assert.equal(clock.size, 0);
    await socket.disconnect();
    assert.equal(place.tries, 1);
  });

  it("serves those who ask at once one after the other", async (t) => {
    const place = new Place(t);
    await place.open();
    const loop = reconnect(place.connect, { clock: new Impatient() });
    const [first, second, third] = [nextOf(loop), nextOf(loop), loop.next()];
    await (await first).disconnect();
    await (await second).disconnect();
    await quiet();
    await loop.return?.();
    await (await third).value?.disconnect();
    assert.equal(place.tries, 3);
  });

  it("may be given one socket that connects again and again", async (t) => {
    const place = new Place(t);
    await place.open();
    const socket = new AsyncSocket({ transport: place.network });
    const loop = reconnect(() => socket.connect({ port: PORT }), { clock: new Impatient() });
    for (let times = 1; times <= 3; times++) {
      assert.equal(await nextOf(loop), socket);
      assert.equal(socket.state, "open");
      await socket.disconnect();
    }
    assert.equal(place.accepted.length, 3);
  });

  it("tells the function its signal", async () => {
    const { signal } = new AbortController();
    const told: unknown[] = [];
    const connect: Connector = (given) => {
      told.push(given);
      return Promise.reject(new Error("no"));
    };
    await assert.rejects(reconnect(connect, { signal, attempts: 1 }).next(), { message: "no" });
    await assert.rejects(reconnect(connect, { attempts: 1 }).next(), { message: "no" });
    assert.deepEqual(told, [signal, undefined]);
  });

  const hopeless: readonly (() => unknown)[] = [
    () => Promise.reject(new TypeError("hopeless")),
    () => Promise.reject(new RangeError("hopeless")),
    () => {
      throw new TypeError("hopeless");
    },
    () => new AsyncSocket().readExactly(1, { signal: AbortSignal.abort() }),
    () => {
      const transport = new MemoryNetwork();
      const socket = new AsyncSocket({ transport });
      socket.connect({ port: PORT });
      return socket.connect({ port: PORT });
    },
  ];
  for (const connect of hopeless) {
    it(`does not try again what cannot get better: ${connect.toString().replace(/\s+/g, " ")}`, async () => {
      const clock = new Impatient();
      await assert.rejects(reconnect(connect as Connector, { clock }).next(), (error: Error) => {
        if (error instanceof AsyncSocketError) return /CANCELED|BAD_STATE/.test(error.code);
        return error.message === "hopeless";
      });
      assert.deepEqual(clock.waits, []);
    });
  }
});

interface Scene {
  readonly name: string;
  /** Until the loop is where it is to be left. @returns what it is asked for */
  readonly begin: (place: Place, loop: AsyncValues<AsyncSocket>) => Promise<unknown>;
  readonly tries: number;
}

const SCENES: readonly Scene[] = [
  { name: "before it began", tries: 0, begin: () => Promise.resolve() },
  {
    name: "while it waits for the next try",
    tries: 1,
    begin: async (_place, loop) => {
      const next = loop.next();
      await quiet();
      return { next };
    },
  },
  {
    name: "while it waits for the close",
    tries: 1,
    begin: async (place, loop) => {
      await place.open();
      const socket = await nextOf(loop);
      const next = loop.next();
      await quiet();
      return { next, socket };
    },
  },
  {
    name: "while it connects",
    tries: 1,
    begin: async (place, loop) => {
      await place.open();
      const next = loop.next();
      while (place.tries === 0) await Promise.resolve();
      return { next };
    },
  },
];

describe("reconnect ends at once, without an error, and leaves nothing behind, when", () => {
  for (const how of ["its signal is aborted", "it is left by return()"]) {
    for (const { name, begin, tries } of SCENES) {
      it(`${how} ${name}`, async (t) => {
        const place = new Place(t);
        const clock = new VirtualClock();
        const abort = new AbortController();
        const loop = reconnect(place.connect, { clock, signal: abort.signal });
        const { next, socket } = ((await begin(place, loop)) ?? {}) as {
          next?: Promise<unknown>;
          socket?: AsyncSocket;
        };
        if (how === "its signal is aborted") abort.abort();
        else assert.deepEqual(await loop.return?.(), DONE);
        assert.deepEqual(await (next ?? loop.next()), DONE);
        assert.deepEqual(await loop.next(), DONE);
        assert.equal(clock.size, 0);
        assert.equal(getEventListeners(abort.signal, "abort").length, 0);
        assert.equal(place.tries, tries);
        await quiet();
        if (name === "while it connects") assert.equal(place.last?.state, "canceled");
        if (socket !== undefined) assert.equal(socket.state, "open", "an open socket stays open");
        else assert.ok(place.accepted.every(({ state }) => state !== "open"));
        await socket?.disconnect();
        assert.equal(place.tries, tries);
      });
    }
  }

  it("a function that cannot be stopped still connects, whose socket is then closed", async (t) => {
    const place = new Place(t);
    await place.open();
    let arrive = (): void => undefined;
    const arrived = new Promise<void>((resolve) => (arrive = resolve));
    const loop = reconnect(async (signal) => {
      await arrived;
      return place.connect(signal);
    });
    const next = loop.next();
    await quiet();
    await loop.return?.();
    assert.deepEqual(await next, DONE);
    arrive();
    await quiet();
    assert.equal(place.accepted.length, 1);
    assert.equal(place.accepted[0]?.closeReason?.by, "remote");
  });

  it("its function fails because the signal was aborted", async () => {
    const abort = new AbortController();
    const connect: Connector = (signal) =>
      new Promise((_, reject) => signal?.addEventListener("abort", () => reject(new Error("aborted")), { once: true }));
    const next = reconnect(connect, { signal: abort.signal }).next();
    await quiet();
    abort.abort();
    assert.deepEqual(await next, DONE);
  });
});

const NOT_A_NUMBER = ["1", null, true, {}, 1n];

const WRONG: Readonly<Record<keyof ReconnectOptions, readonly unknown[]>> = {
  delayMs: [...NOT_A_NUMBER, -1, NaN, Infinity],
  factor: [...NOT_A_NUMBER, 0.5, -1, NaN, Infinity],
  jitter: [...NOT_A_NUMBER, -0.1, 1.1, NaN],
  maxDelayMs: [...NOT_A_NUMBER, -1, NaN],
  attempts: [...NOT_A_NUMBER, 0, -1, 1.5, NaN],
  signal: [null, {}, "x", new AbortController()],
  clock: [null, 5, {}, "x"],
  random: [null, 5, "x", {}],
  onRetry: [null, 5, "x", {}],
};

const WRONG_CONNECT: readonly unknown[] = [
  undefined,
  null,
  5,
  "localhost:80",
  {},
  { port: 0 },
  { port: 1, host: "" },
  { port: 1, timeout: "5" },
  { port: 1, signal: {} },
  { port: 1, noDelay: 1 },
  { port: 1, keepAlive: 2 ** 31 },
  { port: 1, tls: { minVersion: "TLSv1" } },
  { port: 1, tls: { cert: "none", key: "none" } },
  { port: 1, limits: { readAhed: 1 } },
  { port: 1, transport: null },
  { port: 1, transport: "udp" },
];

describe("onRetry", () => {
  interface Told {
    readonly error: unknown;
    readonly waitMs: number;
    readonly attempt: number;
  }

  /** Notes what it is told. */
  function noting(): { told: Told[]; onRetry: NonNullable<ReconnectOptions["onRetry"]> } {
    const told: Told[] = [];
    return { told, onRetry: (error, waitMs, attempt) => void told.push({ error, waitMs, attempt }) };
  }

  it("is told of each failure, of the wait that follows, and of the attempts since the last connection", async (t) => {
    const place = new Place(t);
    await place.open();
    const clock = new Impatient();
    const outcomes = [false, false, true, true, false, true];
    const connect: Connector = (signal) =>
      outcomes[place.tries] === true ? place.connect(signal) : Promise.reject(new Error(`failure ${place.tries++}`));
    const { told, onRetry } = noting();
    const loop = reconnect(connect, { clock, onRetry, random: () => 0.5 });
    for (let i = 0; i < 3; i++) await (await nextOf(loop)).disconnect();
    assert.deepEqual(
      told.map(({ error, attempt }) => [(error as Error | null)?.message ?? null, attempt]),
      [
        ["failure 0", 1],
        ["failure 1", 2],
        [null, 1],
        [null, 1],
        ["failure 4", 2],
      ],
    );
    assert.deepEqual(
      told.map(({ waitMs }) => waitMs),
      clock.waits,
      "the waits with their jitter",
    );
  });

  it("is told of the error that closed the connection", async (t) => {
    const place = new Place(t);
    await place.open();
    const { told, onRetry } = noting();
    const loop = reconnect(place.connect, { clock: new Impatient(), onRetry });
    const socket = await nextOf(loop);
    await quiet();
    place.accepted[0]?.reset();
    await nextOf(loop);
    assert.equal(told.length, 1);
    assert.ok(told[0]?.error instanceof AsyncSocketError);
    assert.equal(told[0].error, socket.closeReason?.error);
    await loop.return?.();
  });

  it("is called once the wait is known, and before it", async () => {
    const clock = new VirtualClock();
    const { told, onRetry } = noting();
    const loop = reconnect(() => Promise.reject(new Error("no")), { clock, onRetry, jitter: 0, attempts: 2 });
    const failed = assert.rejects(loop.next(), { message: "no" });
    await quiet();
    assert.deepEqual(
      told.map(({ waitMs }) => waitMs),
      [250],
    );
    clock.advance(250);
    await failed;
    assert.equal(told.length, 1, "not of the failure that the loop throws");
  });

  it("may abort the loop, and is not called when the loop is left", async () => {
    for (const abortsInside of [true, false]) {
      const clock = new VirtualClock();
      const controller = new AbortController();
      const { signal } = controller;
      let calls = 0;
      const onRetry = (): void => {
        calls++;
        if (abortsInside) controller.abort();
      };
      const loop = reconnect(() => Promise.reject(new Error("no")), { clock, signal, onRetry });
      const next = loop.next();
      if (!abortsInside) controller.abort();
      await quiet();
      assert.deepEqual(await next, DONE);
      assert.deepEqual([calls, clock.size], [abortsInside ? 1 : 0, 0]);
    }
  });
});

describe("the arguments of reconnect", () => {
  const call = reconnect as (connect: unknown, options?: unknown) => unknown;

  for (const [name, values] of Object.entries(WRONG)) {
    for (const value of values) {
      it(`cannot have ${inspect(value, { depth: 0 })} for ${name}`, () => {
        assert.throws(() => call({ port: 1 }, { [name]: value }), {
          name: /^(?:Type|Range)Error$/,
          message: new RegExp(`^Expected ${name} to be .+, got .+`),
        });
      });
    }
  }

  for (const value of WRONG_CONNECT) {
    it(`cannot connect by ${inspect(value)}`, () => {
      assert.throws(() => call(value), { name: /^(?:Type|Range)Error$/, message: /^Expected .+, got .+/ });
    });
  }

  for (const options of [null, 5, "x", true]) {
    it(`cannot have ${inspect(options)} for options`, () => {
      assert.throws(() => call({ port: 1 }, options), {
        name: "TypeError",
        message: /^Expected options to be an object/,
      });
    });
  }
});
