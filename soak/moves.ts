/**
 * `npm run soak:moves`: thousands of sockets that move to other threads in mid-stream, while their peers send and read. Every byte
 * is compared, and descriptors are counted before and after. With `--nodes 22,24` on those versions of Node as well.
 */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { AsyncSocket, RunLoop } from "asyncsocket";
import { seededRandom } from "asyncsocket/testing";
import { runtimeNamed } from "../bench/peers.js";
import { pattern } from "../test/support/delegates.js";
import { portOf } from "../test/support/transports.js";

const { values } = parseArgs({
  options: {
    sockets: { type: "string", default: "10000" },
    "at-once": { type: "string", default: "250" },
    seed: { type: "string", default: "1" },
    nodes: { type: "string", default: "" },
  },
});
const [sockets, atOnce, seed] = [Number(values.sockets), Number(values["at-once"]), Number(values.seed)];
const random = seededRandom(seed);
const LONGEST = 60_000;
const BYTES = pattern(2 * LONGEST);
const RECOVERY_MS = 10_000;

function below(end: number): number {
  return Math.floor(random() * end);
}

function descriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

/** Echoes some of what comes here, and then moves, with the rest under way. */
function listenerTo(loops: readonly RunLoop[], moved: () => void): AsyncSocket {
  return new AsyncSocket({
    transport: "native",
    delegate: {
      didAccept: (_listener, socket) => void socket.readExactly(1 + below(20_000)),
      didRead: (socket, data) => void socket.write(data),
      didWrite(socket) {
        const loop = loops[socket.id % loops.length] as RunLoop;
        socket.moveTo(loop).then(moved, (error: unknown) => console.error(`A move failed: ${String(error)}`));
      },
    },
  });
}

/** Sends, reads, and compares. */
async function talk(port: number): Promise<void> {
  const from = below(LONGEST);
  const bytes = BYTES.subarray(from, from + 20_000 + below(LONGEST - 20_000));
  const client = await AsyncSocket.connect({ host: "127.0.0.1", port });
  const sending = (async () => {
    for (let at = 0; at < bytes.length;) await client.write(bytes.subarray(at, (at += 1 + below(5000))));
  })();
  const back = await client.readExactly(bytes.length);
  if (!back.equals(bytes)) throw new Error(`Other bytes came back than were sent, of ${bytes.length}`);
  await sending;
  await client.disconnectAfterWriting();
}

async function move(): Promise<void> {
  const module = new URL("./moves-loop.js", import.meta.url);
  const loops = await Promise.all([1, 2].map((n) => RunLoop.spawn(module, { name: `loop ${n}` })));
  let moved = 0;
  const listener = listenerTo(loops, () => moved++);
  await listener.listen({ port: 0, host: "127.0.0.1", backlog: 1024 });
  const port = portOf(listener);
  await Promise.all(Array.from({ length: 10 }, () => talk(port))); // what is opened once is open now
  const before = descriptors();
  moved = 0;
  let left = sockets;
  const worker = async (): Promise<void> => {
    while (left-- > 0) await talk(port);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  for (let waited = 0; descriptors() > before && waited < RECOVERY_MS; waited += 50) await delay(50);
  const after = descriptors();
  const said = `${process.version}: ${moved} of ${sockets} sockets moved, every byte came; descriptors ${before} → ${after}`;
  console.log(said);
  if (moved < sockets || after > before) throw new Error("Sockets or descriptors are missing, or too many");
  await listener.disconnect();
  await Promise.all(loops.map((loop) => loop.close({ graceMs: 1000 })));
}

await move();
for (const version of values.nodes.split(",").filter((one) => one !== "")) {
  const program = await runtimeNamed(`node-${version}`);
  const args = [fileURLToPath(import.meta.url), "--sockets", values.sockets, "--seed", values.seed];
  const { status } = spawnSync(program, args, { stdio: "inherit" });
  if (status !== 0) process.exitCode = 1;
}
