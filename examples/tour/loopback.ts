/** A listener for one stop of the tour. */

import assert from "node:assert/strict";
import { AsyncSocket } from "asyncsocket";

export interface Loopback {
  listener: AsyncSocket;
  /** The options with which `connect` reaches the listener. */
  place: { host: string; port: number };
}

export async function listenOnLoopback(serve: (socket: AsyncSocket) => void): Promise<Loopback> {
  const delegate = { didAccept: (_listener: AsyncSocket, socket: AsyncSocket) => serve(socket) };
  const listener = await AsyncSocket.listen({ host: "127.0.0.1", port: 0, delegate });
  assert.ok(listener.local !== undefined && listener.local.family !== "unix");
  return { listener, place: { host: listener.local.address, port: listener.local.port } };
}
