/** The server under attack: lines sent back as they come, in the clear and over TLS, with limits and timeouts on. */
import { timersUnderWay } from "./timers.js";
import { openSync, readdirSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { AsyncSocket, RunLoop, type AsyncSocketDelegate, type CloseReason, type RunLoopPool } from "asyncsocket";
import { answerRequests } from "../bench/ipc/answers.js";
import { LINE, SLOW_LINE_MS, SLOWLY, type Holdings, type Leak, type ServerRequests, type Tally } from "./requests.js";

const LIMITS = { handshakeMs: 1_000, lingerMs: 1_000, writeQueue: 256 * 1024, connections: 15_000 };
const FRAME = { lengthBytes: 4, timeout: 2_000, maxLength: 2 ** 20 } as const;

let connections = 0;
let accepted = 0;
let refused = 0;
let ends: Record<string, number> = {};
let mostOpen = 0;
let leak: Leak | null = null;
let pool: RunLoopPool | null = null;
const leaked: unknown[] = [];

/** Of a connection that is over. */
const PLANTED: Readonly<Record<Leak, (socket: AsyncSocket) => unknown>> = {
  sockets: (socket) => [socket, Buffer.alloc(64 * 1024)],
  timers: () => setTimeout(() => undefined, 600_000),
  descriptors: () => openSync("/dev/null", "r"),
  unread: () => null,
};

/** Connections that are read slowly, and what a planted leak makes each of them hold. */
const slow = new Map<AsyncSocket, Buffer | null>();

function readNext(socket: AsyncSocket): void {
  if (slow.has(socket)) setTimeout(readIfOpen, SLOW_LINE_MS, socket);
  else socket.readLine(LINE);
}

function readIfOpen(socket: AsyncSocket): void {
  if (slow.has(socket)) socket.readLine(LINE);
}

function didEnd(reason: CloseReason): void {
  const how = reason.error?.code.replace("ERR_ASYNCSOCKET_", "") ?? reason.by;
  ends[how] = (ends[how] ?? 0) + 1;
}

const delegate: AsyncSocketDelegate = {
  didAccept(_listener, socket) {
    mostOpen = Math.max(mostOpen, ++connections);
    accepted++;
    socket.readLine(LINE);
  },
  didFailAccept() {
    refused++;
  },
  didReadText(socket, line) {
    if (line === "frames") return void socket.readFrame(FRAME);
    if (line === SLOWLY) slow.set(socket, leak === "unread" ? Buffer.alloc(2 ** 20) : null);
    socket.write(`${line}\n`);
    if (line === "bye") socket.disconnectAfterWriting();
    else readNext(socket);
  },
  didDisconnect(socket, reason) {
    // The listeners themselves never end here.
    connections--;
    slow.delete(socket);
    didEnd(reason);
    if (leak !== null) leaked.push(PLANTED[leak](socket));
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

/** The runtime reads it from a file, which needs a descriptor that is free, too. */
function heapBytes(): number {
  try {
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  } catch {
    return Number.MAX_SAFE_INTEGER;
  }
}

/** Its thread is there, whole: it answers. One that is about to die does not. */
function answers(loop: RunLoop): Promise<boolean> {
  const answer = new Promise<boolean>((resolve) => loop.worker?.once("message", () => resolve(true)));
  loop.worker?.postMessage("?");
  return Promise.race([answer, loop.closed.then(() => false)]);
}

/**
 * A loop that has died is replaced: while its thread ends or another one starts, there are fewer descriptors than before
 * and afterwards. So those count that are there while every loop is.
 */
async function holdings(): Promise<Holdings> {
  for (;;) {
    for (let i = 0; i < 2; i++) {
      globalThis.gc?.();
      await delay(20);
    }
    const loops = pool?.loops ?? [];
    const areRunning = loops.every(({ state }) => state === "running");
    const counts = { connections, descriptors: descriptors(), timers: timersUnderWay(), heapBytes: heapBytes() };
    const areWhole = areRunning && (await Promise.all(loops.map(answers))).every(Boolean);
    if (areWhole) return counts;
  }
}

function tally(): Tally {
  // Asked of the kernel, which has counted: to look now and then would need descriptors, and miss the peaks.
  const peakRssBytes = process.resourceUsage().maxRSS * 1024;
  const result = { accepted, refused, ends, mostOpen, peakRssBytes };
  ends = {};
  accepted = refused = 0;
  mostOpen = connections;
  return result;
}

// A loop that a peer has brought down is what this is about, and no news.
process.removeAllListeners("warning");

// What the addon opens with its first use is opened at once, so that descriptors can be counted: node:net uses it, too, when
// it looks at what the system still holds of a write.
try {
  new AsyncSocket({ transport: "native" });
} catch {
  // There is none here.
}

answerRequests<ServerRequests>({
  async listen(options) {
    leak = options.leak;
    const { transport } = options;
    const [plain, tls] = [
      new AsyncSocket({ delegate, limits: LIMITS, transport }),
      new AsyncSocket({ delegate, limits: LIMITS, transport }),
    ];
    await plain.listen({ port: 0, host: "127.0.0.1", backlog: 4096 });
    await tls.listen({ port: 0, host: "127.0.0.1", backlog: 4096, tls: options.identity });
    return { plain: portOf(plain), tls: portOf(tls), loops: transport === "node" ? null : await listenOnLoops() };
  },
  holdings,
  tally,
  hasEnded: (code) => code in ends,
});

/** Loops that end are replaced; what cannot be sent to one meanwhile is refused. */
async function listenOnLoops(): Promise<number> {
  pool = await RunLoop.pool(new URL("./loop.js", import.meta.url), 2, { respawn: true });
  const sender: AsyncSocketDelegate = {
    didFailAccept() {
      refused++;
    },
    wantsRunLoopForNewSocket() {
      accepted++;
      return pool;
    },
  };
  const listener = new AsyncSocket({ limits: LIMITS, delegate: sender });
  await listener.listen({ port: 0, host: "127.0.0.1", backlog: 4096 });
  return portOf(listener);
}

function portOf({ local }: AsyncSocket): number {
  if (local === undefined || local.family === "unix") throw new Error("Expected a port");
  return local.port;
}
