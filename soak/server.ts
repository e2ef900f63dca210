/** The server under attack: lines sent back as they come, in the clear and over TLS, with limits and timeouts on. */
import { timersUnderWay } from "./timers.js";
import { readdirSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { AsyncSocket, type AsyncSocketDelegate, type CloseReason } from "asyncsocket";
import { answerRequests } from "../bench/ipc/answers.js";
import type { Holdings, ServerRequests, Tally } from "./requests.js";

const LINE = { timeout: 5_000, maxLength: 8_192 };
const LIMITS = { handshakeMs: 1_000, lingerMs: 1_000, writeQueue: 256 * 1024, connections: 15_000 };
const SAMPLE_MS = 20;

let connections = 0;
let accepted = 0;
let refused = 0;
let ends: Record<string, number> = {};
let peakRssBytes = 0;
/** With `leaks`, planted to see that the checks find it: sockets that have ended, and timers. */
const leaked: unknown[] = [];
let leaks = false;

function didEnd(reason: CloseReason): void {
  const how = reason.error?.code.replace("ERR_ASYNCSOCKET_", "") ?? reason.by;
  ends[how] = (ends[how] ?? 0) + 1;
}

const delegate: AsyncSocketDelegate = {
  didAccept(_listener, socket) {
    connections++;
    accepted++;
    socket.readLine(LINE);
  },
  didFailAccept() {
    refused++;
  },
  didReadText(socket, line) {
    socket.write(`${line}\n`);
    socket.readLine(LINE);
  },
  didDisconnect(socket, reason) {
    // The listeners themselves never end here.
    connections--;
    didEnd(reason);
    if (leaks)
      leaked.push(
        socket,
        setTimeout(() => undefined, 600_000),
      );
  },
};

/** Without one that is free they cannot be counted. */
function descriptors(): number {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return Number.MAX_SAFE_INTEGER;
  }
}

async function holdings(): Promise<Holdings> {
  for (let i = 0; i < 2; i++) {
    globalThis.gc?.();
    await delay(20);
  }
  return {
    connections,
    descriptors: descriptors(),
    timers: timersUnderWay(),
    heapBytes: process.memoryUsage().heapUsed,
  };
}

function tally(): Tally {
  const result = { accepted, refused, ends, peakRssBytes };
  ends = {};
  accepted = refused = peakRssBytes = 0;
  return result;
}

function sample(): void {
  try {
    peakRssBytes = Math.max(peakRssBytes, process.memoryUsage.rss());
  } catch {
    // It takes a descriptor, and there may be none.
  }
}

answerRequests<ServerRequests>({
  async listen(options) {
    leaks = options.leaks;
    setInterval(sample, SAMPLE_MS);
    const [plain, tls] = [new AsyncSocket({ delegate, limits: LIMITS }), new AsyncSocket({ delegate, limits: LIMITS })];
    await plain.listen({ port: 0, host: "127.0.0.1", backlog: 4096 });
    await tls.listen({ port: 0, host: "127.0.0.1", backlog: 4096, tls: options.identity });
    return { plain: portOf(plain), tls: portOf(tls) };
  },
  holdings,
  tally,
});

function portOf({ local }: AsyncSocket): number {
  if (local === undefined || local.family === "unix") throw new Error("Expected a port");
  return local.port;
}
