/** Every state of an upgrade, and all that can happen in it. The same table stands in docs/semantics.md. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { type AsyncSocket, AsyncSocketError, type SocketRequest, type TLSInfo } from "asyncsocket";
import { VirtualClock } from "asyncsocket/testing";
import { settled, shortCode, until } from "../support/delegates.js";
import { throwsBadState } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";
import { HOST, identity, overMemory, trusting } from "./helpers.js";

const STATES = ["queued", "handshaking", "askingDelegate", "secure"] as const;
type State = (typeof STATES)[number];

interface Stage {
  readonly client: AsyncSocket;
  readonly server: AsyncSocket;
  readonly clock: VirtualClock;
  readonly controller: AbortController;
  readonly upgrade: SocketRequest<TLSInfo>;
}

const ENTRY_MS = 5_000;

/** Brings an upgrade of the client's to a state. */
async function stage(t: TestContext, state: State): Promise<Stage> {
  const clock = new VirtualClock();
  let wasAsked = false;
  const delegate = {
    shouldTrustPeer(): Promise<boolean> {
      wasAsked = true;
      return new Promise(() => undefined);
    },
  };
  const { client, server } = await overMemory(t, { clock }, state === "askingDelegate" ? { delegate } : {});
  const controller = new AbortController();
  if (state === "queued") client.readLine();
  const { signal } = controller;
  const upgrade = client.startTLS({ ...trusting, servername: HOST, timeout: ENTRY_MS, signal });
  await settled();
  if (state === "askingDelegate" || state === "secure") {
    await server.startTLS({ ...identity, isServer: true });
    await until(() => (state === "askingDelegate" ? wasAsked : client.isSecure), state);
  }
  return { client, server, clock, controller, upgrade };
}

/** What became of the upgrade, and of the connection. */
function outcomeOf({ client, upgrade }: Stage): string {
  const { closeReason } = client;
  if (closeReason === undefined) return `${upgrade.state}, ${client.state}`;
  const why = closeReason.error === null ? closeReason.by : shortCode(closeReason.error);
  return `${upgrade.state}, ${client.state} by ${why}`;
}

interface Row {
  readonly event: string;
  readonly happen: (stage: Stage) => void;
  /** In the order of the states. */
  readonly outcomes: readonly [string, string, string, string];
}

const GOES_ON = ["queued, open", "current, open", "current, open", "done, open"] as const;

function always(outcome: string, secure: string): Row["outcomes"] {
  return [outcome, outcome, outcome, secure];
}

const TABLE: readonly Row[] = [
  {
    event: "cancel()",
    happen: ({ upgrade }) => void upgrade.cancel(),
    outcomes: always("canceled, closed by CANCELED", "done, open"),
  },
  {
    event: "its signal",
    happen: ({ controller }) => controller.abort(),
    outcomes: always("canceled, closed by CANCELED", "done, open"),
  },
  {
    event: "its timeout",
    happen: ({ clock }) => clock.advance(ENTRY_MS),
    outcomes: always("failed, closed by TLS_TIMEOUT", "done, open"),
  },
  {
    event: "limits.handshakeMs, the timeout extended",
    happen: ({ clock, upgrade }) => {
      upgrade.extend(60_000);
      clock.advance(10_000);
    },
    outcomes: ["queued, open", "failed, closed by TLS_TIMEOUT", "failed, closed by TLS_TIMEOUT", "done, open"],
  },
  {
    event: "startTLS()",
    happen: ({ client }) => throwsBadState(() => client.startTLS({ servername: HOST })),
    outcomes: GOES_ON,
  },
  {
    event: "read(), write()",
    happen: ({ client }) => {
      client.read();
      client.write("x");
    },
    outcomes: GOES_ON,
  },
  {
    event: "end()",
    happen: ({ client }) => void client.end(),
    outcomes: ["queued, open", "current, open", "current, open", "done, closed by remote"],
  },
  {
    event: "cancelReads()",
    happen: ({ client }) => void client.cancelReads(),
    outcomes: always("current, open", "done, open"),
  },
  {
    event: "disconnect()",
    happen: ({ client }) => void client.disconnect(),
    outcomes: always("failed, closed by local", "done, closed by local"),
  },
  {
    event: "reset()",
    happen: ({ client }) => void client.reset(),
    outcomes: always("failed, closed by local", "done, closed by local"),
  },
  {
    event: "disconnectAfterWriting()",
    happen: ({ client }) => void client.disconnectAfterWriting(),
    outcomes: ["queued, open", "current, open", "current, open", "done, closed by local"],
  },
  {
    event: "bytes of the peer's",
    happen: ({ server }) => void server.write("no TLS record at all"),
    outcomes: ["queued, open", "failed, closed by TLS", "current, open", "done, open"],
  },
  {
    event: "the peer's FIN",
    happen: ({ server }) => void server.end(),
    outcomes: ["failed, closed by TLS", "failed, closed by TLS", "current, open", "done, closed by remote"],
  },
  {
    event: "the peer's RST",
    happen: ({ server }) => void server.reset(),
    outcomes: [
      "failed, closed by CONNECTION_LOST",
      "failed, closed by TLS",
      "failed, closed by CONNECTION_LOST",
      "done, closed by CONNECTION_LOST",
    ],
  },
];

describe("an upgrade to TLS", SAFETY, () => {
  for (const { event, happen, outcomes } of TABLE) {
    for (const [i, state] of STATES.entries()) {
      it(`${state}: ${event}`, async (t) => {
        const made = await stage(t, state);
        made.upgrade.catch((error: unknown) => assert.ok(error instanceof AsyncSocketError));
        happen(made);
        await settled(50);
        assert.equal(outcomeOf(made), outcomes[i]);
      });
    }
  }

  for (const state of STATES) {
    it(`${state}: reset() is a RST to the peer`, async (t) => {
      const { client, server, upgrade } = await stage(t, state);
      upgrade.catch((error: unknown) => assert.ok(error instanceof AsyncSocketError));
      client.reset();
      const { error } = await server.closed;
      assert.equal(shortCode(error), "CONNECTION_LOST");
    });
  }
});
