/**
 * `npm run audio`: how long listeners of the audio example wait between one frame and the next, while the server's main thread
 * is held up for 500 ms again and again: with sockets on a run loop, on the main loop, and by hand on node:net. Turns
 * between them; the gaps are seen here, in the listeners' process. Writes the table and the plot of docs/audio.md.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { AsyncSocket } from "asyncsocket";
import { FRAME_BYTES } from "../examples/audio/tone.js";
import { replaced, table } from "./markdown.js";
import { gapPlot, type Gap } from "./plots.js";
import { summarize } from "./statistics.js";

const KINDS = { worker: "sockets on a run loop", main: "sockets on the main loop", hand: "by hand on node:net" };
type Kind = keyof typeof KINDS;
const PAGE = "docs/audio.md";
const PLOT = "docs/audio.svg";
const SERVER = new URL("../examples/audio/server.js", import.meta.url);

interface Run {
  readonly kind: Kind;
  /** Of one listener: when a frame came, and how long after the one before. */
  readonly gaps: readonly Gap[];
  /** The worst of all listeners. */
  readonly worstMs: number;
}

async function startServer(kind: Kind): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn(process.execPath, [SERVER.pathname, "--on", kind], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return { child, port: Number(/\d+/.exec(line.toString())?.[0]) };
}

/** Frames until the time is over. @returns each frame's time, and how long it was waited for */
async function listen(port: number, seconds: number): Promise<Gap[]> {
  const socket = await AsyncSocket.connect({ host: "127.0.0.1", port });
  await socket.readExactly(FRAME_BYTES);
  const start = performance.now();
  const gaps: Gap[] = [];
  for (let last = start; last - start < seconds * 1000;) {
    await socket.readExactly(FRAME_BYTES);
    const now = performance.now();
    gaps.push({ atMs: now - start, gapMs: now - last });
    last = now;
  }
  await socket.disconnect();
  return gaps;
}

async function run(kind: Kind, listeners: number, seconds: number): Promise<Run> {
  const { child, port } = await startServer(kind);
  try {
    const all = await Promise.all(Array.from({ length: listeners }, () => listen(port, seconds)));
    const worstMs = Math.max(...all.flat().map(({ gapMs }) => gapMs));
    return { kind, gaps: all[0] ?? [], worstMs };
  } finally {
    child.kill();
    await once(child, "exit");
  }
}

function row(kind: Kind, runs: readonly Run[]): string[] {
  const worst = summarize(runs.map(({ worstMs }) => worstMs));
  return [KINDS[kind], ...[worst.median, worst.least, worst.most].map((ms) => `${ms.toFixed(0)} ms`)];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: "5" },
      seconds: { type: "string", default: "4" },
      listeners: { type: "string", default: "8" },
      write: { type: "boolean", default: false }, // the page and the plot
    },
  });
  const [rounds, seconds, listeners] = [Number(values.runs), Number(values.seconds), Number(values.listeners)];
  const runs: Run[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const kind of Object.keys(KINDS) as Kind[]) runs.push(await run(kind, listeners, seconds));
  }
  const rows = (Object.keys(KINDS) as Kind[]).map((kind) =>
    row(
      kind,
      runs.filter((one) => one.kind === kind),
    ),
  );
  const text = table(
    [`worst gap of ${listeners} listeners in ${seconds} s`, "median of the runs", "least", "most"],
    rows,
  );
  const machine = `Node ${process.version.slice(1)}, ${cpus().length} x ${cpus()[0]?.model ?? "?"}`;
  const said = `\`npm run audio -- --write --runs ${rounds}\`, ${machine}, ${new Date().toISOString().slice(0, 10)}:`;
  console.log(`${said}\n\n${text}`);
  if (!values.write) return;
  writeFileSync(PAGE, replaced(PAGE, readFileSync(PAGE, "utf8"), "gaps", "npm run audio", `${said}\n\n${text}`));
  const first = runs.slice(0, Object.keys(KINDS).length);
  writeFileSync(
    PLOT,
    await gapPlot(first.flatMap(({ kind, gaps }) => gaps.map((gap) => ({ ...gap, of: KINDS[kind] })))),
  );
}

await main();
