/** What a failed answer of a proxy is said to be: that the proxy went away, or what this side did. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { AsyncSocket } from "asyncsocket";
import { failure, settled } from "../support/delegates.js";
import { connectedToProxy } from "./scripted-proxy.js";
import { bracketed, ProxyDialog } from "#dist/connect/proxy/dialog.js";

const PROXY = {
  kind: "http",
  resolvesNames: true,
  host: "::1",
  port: 3128,
  username: null,
  password: "",
  fields: "",
  secure: null,
} as const;
const TARGET = { host: "a.test", port: 7 };
const LEFT = "it closed the connection before its answer was complete";
const LOST = "the connection to it was lost";

interface Row {
  readonly name: string;
  /** What happens while an answer of two bytes is waited for. */
  readonly act: (socket: AsyncSocket, proxySide: AsyncSocket) => unknown;
  /** Behind the colon; null: the failure is left as it is. */
  readonly why: string | null;
  readonly code: string;
}

const ROWS: readonly Row[] = [
  { name: "the proxy ends the stream", act: (_, proxySide) => proxySide.end(), why: LEFT, code: "PROXY" },
  {
    name: "the proxy ends the stream within the answer",
    act: (_, proxySide) => {
      proxySide.write("x");
      proxySide.end();
    },
    why: LEFT,
    code: "PROXY",
  },
  { name: "the proxy resets the connection", act: (_, proxySide) => proxySide.reset(), why: LOST, code: "PROXY" },
  { name: "this side disconnects", act: (socket) => socket.disconnect(), why: null, code: "CLOSED" },
  {
    name: "this side disconnects gracefully",
    act: (socket) => socket.disconnectAfterWriting(),
    why: null,
    code: "CLOSED",
  },
  { name: "this side cancels its reads", act: (socket) => socket.cancelReads(), why: null, code: "CANCELED" },
];

describe("an answer of a proxy", () => {
  for (const { name, act, why, code } of ROWS) {
    it(`fails with ${code} where ${name}`, async (t) => {
      const { socket, proxySide } = await connectedToProxy(t);
      const answer = new ProxyDialog(socket, PROXY, TARGET).read(2);
      await settled();
      act(socket, proxySide);
      const error = await failure(answer, code);
      if (why === null) return;
      assert.equal(error.message, `Cannot connect to a.test port 7 through the proxy [::1]:3128: ${why}`);
      assert.equal(error.operation, "connect");
      assert.ok(error.cause instanceof Error);
    });
  }

  it("fails with PROXY where the FIN came before it was asked for", async (t) => {
    const { socket, proxySide } = await connectedToProxy(t);
    const dialog = new ProxyDialog(socket, PROXY, TARGET);
    const [first, second] = [dialog.read(1), dialog.read(1)];
    proxySide.write("x");
    proxySide.end();
    await first;
    const error = await failure(second, "PROXY");
    assert.ok(error.message.endsWith(LEFT), error.message);
  });

  it("fails with CLOSED where this side disconnects after the FIN", async (t) => {
    const { socket, proxySide } = await connectedToProxy(t, undefined, { allowHalfOpen: true });
    const dialog = new ProxyDialog(socket, PROXY, TARGET);
    const first = dialog.read(1);
    proxySide.write("x");
    proxySide.end();
    await first;
    await settled();
    assert.equal(socket.peerEnded, true);
    const second = dialog.read(1);
    socket.disconnect();
    await failure(second, "CLOSED");
  });

  it("has no end where not one byte more may come", async (t) => {
    const { socket } = await connectedToProxy(t);
    const error = await failure(new ProxyDialog(socket, PROXY, TARGET).line(0, "too long"), "PROXY");
    assert.ok(error.message.endsWith(": too long"), error.message);
  });
});

describe("a host before a port", () => {
  it("is in brackets where it has colons", () => {
    assert.equal(bracketed("::1"), "[::1]");
    assert.equal(bracketed("a.test"), "a.test");
  });
});
