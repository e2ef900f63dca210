/**
 * A tour of AsyncSocket, on loopback, in about ten seconds. Anything unexpected ends it with an error.
 * Each stop is a small program of its own: read them in tour/reading.ts and tour/sending.ts.
 */

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { AsyncSocket, AsyncSocketError, type AsyncSocketDelegate, type ConnectOptions } from "asyncsocket";
import { queuedReads, timeouts } from "./tour/reading.js";
import { gracefulClose, transfer } from "./tour/sending.js";
import { Transcript } from "./tour/transcript.js";

/** Far more time than the tour takes anywhere: a tour that hangs ends with an error, too. */
const DEADLINE_MS = 60_000;

function hasIPv6(): boolean {
  return Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === "::1"));
}

async function families(transcript: Transcript): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "asyncsocket-tour-"));
  try {
    await acceptFamilies(transcript, join(folder, "socket"));
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function acceptFamilies(transcript: Transcript, path: string): Promise<void> {
  await transcript.stop(
    "A listener accepts",
    "Here one delegate serves two listeners: one for IPv4 and IPv6, one for a path.",
  );
  const delegate: AsyncSocketDelegate = {
    didAccept(_listener, socket) {
      socket.write(`Welcome, you came by ${socket.remote?.family ?? "?"}\r\n`);
      socket.disconnectAfterWriting();
    },
  };
  const [tcp, unix] = await Promise.all([
    AsyncSocket.listen({ port: 0, delegate }),
    AsyncSocket.listen({ path, delegate }),
  ]);
  assert.ok(tcp.local !== undefined && tcp.local.family !== "unix");
  const { port } = tcp.local;
  transcript.line("AsyncSocket.listen({ port: 0, delegate })", `listening on port ${port}`);
  transcript.line("AsyncSocket.listen({ path, delegate })", `listening on ${path}`);
  await greet(transcript, '{ host: "127.0.0.1", port }', { host: "127.0.0.1", port }, "IPv4");
  if (hasIPv6()) await greet(transcript, '{ host: "::1", port }', { host: "::1", port }, "IPv6");
  else transcript.line('connect({ host: "::1", port })', "(left out: this machine has no IPv6)");
  await greet(transcript, "{ path }", { path }, "unix");
  await Promise.all([tcp.disconnect(), unix.disconnect()]);
}

async function greet(transcript: Transcript, shown: string, place: ConnectOptions, family: string): Promise<void> {
  const socket = await AsyncSocket.connect({ ...place, timeout: 5_000 });
  const greeting = await socket.readLine({ timeout: 5_000 });
  transcript.line(`connect(${shown}), readLine()`, `"${greeting}"`);
  assert.equal(greeting, `Welcome, you came by ${family}`);
  await socket.closed;
}

async function unknownName(transcript: Transcript): Promise<void> {
  await transcript.stop("A name that nobody has", "What goes wrong reaches you once, and with a name.");
  const host = "no-such-host.invalid"; // RFC 2606: there will never be one
  transcript.call(`AsyncSocket.connect({ host: "${host}", port: 80 })`);
  const error: unknown = await AsyncSocket.connect({ host, port: 80, timeout: 10_000 }).catch((e: unknown) => e);
  assert.ok(error instanceof AsyncSocketError);
  transcript.answer(error.code);
  transcript.answer(error.message);
  // On a machine without a network, a name server may leave the lookup without an answer.
  assert.match(error.code, /^ERR_ASYNCSOCKET_(DNS|CONNECT_TIMEOUT)$/);
}

export async function tour(): Promise<void> {
  const deadline = setTimeout(() => {
    console.error(`The tour stood still, and was given up after ${DEADLINE_MS / 1_000} s.`);
    process.exit(1);
  }, DEADLINE_MS);
  deadline.unref();
  const transcript = new Transcript();
  transcript.heading("AsyncSocket, a tour: on the left what is called, on the right what comes back");
  for (const stop of [families, queuedReads, timeouts, transfer, gracefulClose, unknownName]) await stop(transcript);
  transcript.heading("\nThat was the tour. Speak to a server yourself: npm start -- HOST PORT. Read on in README.md.");
}
