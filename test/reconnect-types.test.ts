/** The types of `reconnect`. What is here is checked by compiling it; nothing of it is run. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AsyncSocket, type AsyncValues, reconnect, type Connector, type ReconnectOptions } from "asyncsocket";
import { MemoryNetwork, VirtualClock } from "asyncsocket/testing";
import { expectTypeOf } from "expect-type";

type Tag = "header" | "body";
interface User {
  readonly name: string;
}
type Socket = AsyncSocket<Tag, User>;

/** Compiled, not called. */
function compiles(name: string, check: () => unknown): void {
  it(name, () => assert.equal(typeof check, "function"));
}

describe("the types of reconnect", () => {
  compiles("carry what the caller's tags and data are", async () => {
    expectTypeOf(reconnect({ port: 1 })).toEqualTypeOf<AsyncValues<AsyncSocket>>();
    expectTypeOf(reconnect<Tag, User>({ port: 1 })).toEqualTypeOf<AsyncValues<Socket>>();
    expectTypeOf(reconnect(() => AsyncSocket.connect<Tag, User>({ port: 1 }))).toEqualTypeOf<AsyncValues<Socket>>();
    for await (const socket of reconnect<Tag, User>({ path: "/run/x", userData: { name: "x" } })) {
      expectTypeOf(socket).toEqualTypeOf<Socket>();
    }
  });

  compiles("take a function that gives a request, or a promise", () => {
    expectTypeOf(() => AsyncSocket.connect({ port: 1 })).toExtend<Connector>();
    expectTypeOf(async (signal: AbortSignal | undefined) => {
      const socket = await AsyncSocket.connect({ port: 1, signal });
      await socket.readLine();
      return socket;
    }).toExtend<Connector>();
    // @ts-expect-error a socket that is not connected is none
    return reconnect(() => new AsyncSocket());
  });

  compiles("take undefined for every option, and a clock of one's own", () => {
    type Needing = {
      [K in keyof ReconnectOptions]-?: Record<K, undefined> extends Pick<ReconnectOptions, K> ? never : K;
    };
    expectTypeOf<Needing[keyof ReconnectOptions]>().toBeNever();
    const clock = new VirtualClock();
    return reconnect({ port: 1, transport: new MemoryNetwork({ clock }) }, { clock, random: () => 0.5 });
  });

  compiles("refuse what means nothing", () => {
    // @ts-expect-error where to connect to is needed
    reconnect();
    // @ts-expect-error no such option
    reconnect({ port: 1 }, { retries: 5 });
    // @ts-expect-error times are numbers
    reconnect({ port: 1 }, { delayMs: "1s" });
    // @ts-expect-error user data of another kind
    reconnect<Tag, User>({ port: 1, userData: 5 });
  });
});
