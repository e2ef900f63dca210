// The table in the head of src/connection/phase.ts, walked: every event in every phase, on a connection of the library.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";
import { settled, shortCode, until } from "../support/delegates.js";
import { timedNetwork } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";

/** What the test uses of a connection. */
interface Inside {
  phase: { readonly name: string };
  descriptors: number;
  readonly writing: { readonly finDone: boolean };
  didFailToConnect(error: Error): void;
  didReceive(chunk: Buffer, start: number, length: number): void;
  didEnd(): void;
  didFail(error: Error): void;
  didCloseDescriptor(): void;
}

interface Stage {
  readonly socket: AsyncSocket;
  readonly pass: (ms: number) => Promise<void>;
}

function insideOf(socket: AsyncSocket): Inside {
  return (socket as unknown as { readonly _connection: Inside })._connection;
}

const LATENCY_MS = 10;
const LINGER_MS = 1000;
const LIMITS = { lingerMs: LINGER_MS };

/** @param latencyMs how long a connect takes, for as long as the clock stands still */
async function idle(t: TestContext, latencyMs = 0): Promise<Stage> {
  const { clock, belongings, pass } = timedNetwork(t);
  const transport = new MemoryNetwork({ clock, latencyMs });
  belongings.add(await AsyncSocket.listen({ transport, port: 1, allowHalfOpen: true, limits: LIMITS }));
  return { socket: belongings.add(new AsyncSocket({ transport, limits: LIMITS })), pass };
}

async function open(t: TestContext): Promise<Stage> {
  const stage = await idle(t);
  await stage.socket.connect({ port: 1 });
  return stage;
}

const PHASES: Record<string, (t: TestContext) => Promise<Stage>> = {
  idle: (t) => idle(t),
  connecting: async (t) => {
    const stage = await idle(t, LATENCY_MS);
    stage.socket.connect({ port: 1 }).catch(() => undefined);
    return stage;
  },
  open,
  flushing: async (t) => {
    const stage = await open(t);
    void stage.socket.disconnectAfterWriting();
    await until(() => insideOf(stage.socket).writing.finDone, "the FIN");
    return stage;
  },
  // A descriptor that stays open keeps the connection from being closed.
  ending: async (t) => {
    let stage: Stage | null = null;
    t.after(() => {
      if (stage?.socket.state === "closing") insideOf(stage.socket).didCloseDescriptor();
    });
    stage = await open(t);
    insideOf(stage.socket).descriptors++;
    void stage.socket.disconnect();
    await settled();
    return stage;
  },
  closed: async (t) => {
    const stage = await open(t);
    await stage.socket.disconnect();
    return stage;
  },
};

const EVENTS: Record<string, (stage: Stage) => unknown> = {
  connect: ({ socket }) => void socket.connect({ port: 1 }),
  "a route has connected": async ({ pass }) => await pass(2 * LATENCY_MS),
  "the connect has failed": ({ socket }) => {
    insideOf(socket).didFailToConnect(new Error("it was refused"));
  },
  "bytes arrive": ({ socket }) => {
    insideOf(socket).didReceive(Buffer.from("a"), 0, 1);
  },
  "the peer's FIN arrives": ({ socket }) => {
    insideOf(socket).didEnd();
  },
  "the transport fails": ({ socket }) => {
    insideOf(socket).didFail(new Error("it was reset"));
  },
  disconnect: ({ socket }) => void socket.disconnect(),
  reset: ({ socket }) => void socket.reset(),
  "disconnectAfter...": ({ socket }) => void socket.disconnectAfterReadingAndWriting(),
  dispose: ({ socket }) => void socket[Symbol.asyncDispose](),
  "lingerMs is over": async ({ pass }) => await pass(LINGER_MS),
  "all of the end is told": ({ socket }) => {
    if (socket.state === "closing") insideOf(socket).didCloseDescriptor();
  },
};

/** The rows of the table: an event, and its outcome in each phase. */
function rows(): [event: string, phase: string, outcome: string][] {
  const text = readFileSync("src/connection/phase.ts", "utf8");
  const cells = [...text.matchAll(/^ \* \|(.*)\|$/gm)].map(([, row]) =>
    (row ?? "").split("|").map((cell) => cell.trim()),
  );
  const [head, , ...body] = cells;
  assert.ok(head !== undefined);
  return body.flatMap(([events, ...outcomes]) =>
    (events ?? "")
      .split(", ")
      .flatMap((event) =>
        outcomes.map((outcome, index): [string, string, string] => [event, head[index + 1] ?? "", outcome]),
      ),
  );
}

/** Remembers each phase that a connection enters from now on. */
function phasesOf(connection: Inside): string[] {
  const entered: string[] = [];
  let { phase } = connection;
  Object.defineProperty(connection, "phase", {
    get: () => phase,
    set(next: Inside["phase"]) {
      phase = next;
      entered.push(next.name);
    },
  });
  return entered;
}

/** What an event comes to: the next phase, "new", BAD_STATE, or a dot. */
async function outcomeOf(event: string, stage: Stage): Promise<string> {
  const { socket } = stage;
  const connection = insideOf(socket);
  const entered = phasesOf(connection);
  try {
    await EVENTS[event]?.(stage);
  } catch (error) {
    return shortCode(error);
  }
  for (let turns = 0; turns < 5 && entered.length === 0; turns++) await settled(1);
  return insideOf(socket) === connection ? (entered[0] ?? ".") : "new";
}

describe("decision 12: the phases of a connection", SAFETY, () => {
  const all = rows();

  it("has a row for every event, and a column for every phase", () => {
    assert.deepEqual([...new Set(all.map(([event]) => event))], Object.keys(EVENTS));
    assert.deepEqual([...new Set(all.map(([, phase]) => phase))], Object.keys(PHASES));
  });

  for (const [event, phase, expected] of all) {
    if (expected === "-") continue;
    it(`${phase}, ${event}: ${expected === "." ? "nothing changes" : expected}`, async (t) => {
      const stage = await (PHASES[phase] as (t: TestContext) => Promise<Stage>)(t);
      assert.equal(insideOf(stage.socket).phase.name, phase);
      assert.equal(await outcomeOf(event, stage), expected);
    });
  }
});
