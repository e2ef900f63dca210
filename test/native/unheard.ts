/**
 * Run by a test in a network of its own, whose name server takes every question and never answers. Prints what happened,
 * and ends although names are being looked up.
 */

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { AsyncSocket, AsyncSocketError } from "asyncsocket";
import { portOf } from "../support/transports.js";

/** More than the runtime's pool has threads. */
const NAMES = 8;

async function main(transport: "node" | "native", how: string): Promise<void> {
  const nameServer = createSocket("udp4").bind(53, "127.0.0.1");
  await once(nameServer, "listening");
  const listener = await AsyncSocket.listen({ host: "127.0.0.1", port: 0, transport });
  const ends: Promise<unknown>[] = [];
  const sockets: AsyncSocket[] = [];
  for (let i = 0; i < NAMES; i++) {
    const socket = new AsyncSocket({ transport });
    const request = socket.connect({ host: `n${i}.test`, port: 1, timeout: how === "timeout" ? 20 : undefined });
    sockets.push(socket);
    ends.push(request.catch((error: unknown) => (error instanceof AsyncSocketError ? error.code : error)));
  }
  const listening = new AsyncSocket({ transport });
  ends.push(listening.listen({ host: "l.test", port: 0 }).catch(() => undefined));
  await once(nameServer, "message");
  for (const host of ["localhost", "127.0.0.1"]) {
    const socket = await AsyncSocket.connect({ host, port: portOf(listener), transport });
    console.log(`connected to ${host}`);
    await socket.disconnect();
  }
  listening.disconnect();
  if (how === "disconnect") for (const socket of sockets) socket.disconnect();
  if (how !== "exit") console.log(String(new Set(await Promise.all(ends)).values().next().value));
  await listener.disconnect();
  nameServer.close();
  if (how === "exit") process.exit();
}

const [, , transport, how] = process.argv;
if (transport === "node" || transport === "native") await main(transport, how ?? "");
