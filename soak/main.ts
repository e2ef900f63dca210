/** `npm run soak`: hostile peers over real sockets, on the loopback interface. Ends in a table; fails where a check does. */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { ATTACKS } from "./attacks.js";
import { LEAKS } from "./requests.js";
import { PEAK_RSS_MIB, Soak, type Row } from "./soak.js";

const USAGE = `npm run soak -- [options]
  --seconds N       for all attacks together (60)
  --connections N   at once, at most (10000)
  --only NAME       this attack (a name, or what it begins with); may be given again
  --seed N          of what is left to chance (1)
  --transport KIND  of the server: auto, native or node (auto)
  --leak WHAT       plants a leak in the server, to see that it is found: ${LEAKS.join(", ")}`;

function number(name: string, text: string): number {
  const value = Number(text);
  if (value > 0 && value < Infinity) return value;
  throw new RangeError(`Expected a positive number for --${name}, got ${text}\n${USAGE}`);
}

function oneOf<T extends string>(name: string, text: string, list: readonly T[]): T {
  const found = list.find((one) => one === text);
  if (found !== undefined) return found;
  throw new RangeError(`Expected ${list.join(", ")} for --${name}, got ${text}\n${USAGE}`);
}

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    connections: { type: "string", default: "10000" },
    only: { type: "string", multiple: true, default: [""] },
    seed: { type: "string", default: "1" },
    transport: { type: "string", default: "auto" },
    leak: { type: "string" },
  },
});

const SHORT = "a listener out of descriptors";
const isWanted = (name: string): boolean => values.only.some((begun) => name.startsWith(begun));
const names = ATTACKS.map(({ name }) => name).filter(isWanted);
const count = names.length + (isWanted(SHORT) ? 1 : 0);
if (count === 0) throw new RangeError(`Expected an attack, got ${values.only.join(", ")}\n${USAGE}`);

const rows: Row[] = [];
function tell(row: Row): void {
  rows.push(row);
  console.log(`${row.problem === "" ? "ok     " : "FAILED "} ${row.attack}: ${row.did}`);
  console.log(`         accepted ${row.accepted}, ended: ${row.ends}; guests had ${row.lines} lines`);
}

if (process.platform !== "linux") {
  console.error("SKIPPED: descriptors are counted in /proc, which this system does not have");
  process.exit(0);
}

const plan = {
  ms: (number("seconds", values.seconds) * 1000) / count,
  connections: number("connections", values.connections),
  seed: number("seed", values.seed),
  recoveryMs: 30_000,
  leak: values.leak === undefined ? null : oneOf("leak", values.leak, LEAKS),
  transport: oneOf("transport", values.transport, ["auto", "native", "node"]),
};
console.log(
  `Node ${process.version}, ${availableParallelism()} cores; ${Math.round(plan.ms)} ms of each attack, transport: ${plan.transport}`,
);
const soak = await Soak.create(plan);
try {
  await soak.run(names, tell);
  if (isWanted(SHORT)) await soak.runShort(tell);
} finally {
  await soak.stop();
}
console.table(
  Object.fromEntries(
    rows.map((row) => [
      row.attack,
      {
        "most open": row["most open"],
        "peak MiB so far": row["peak MiB so far"],
        "heap MiB": row["heap MiB"],
        descriptors: row.descriptors,
        timers: row.timers,
        problem: row.problem,
      },
    ]),
  ),
);
const failed = rows.filter(({ problem }) => problem !== "");
console.log(
  failed.length === 0
    ? `Every byte came, below ${PEAK_RSS_MIB} MiB, and nothing was left behind.`
    : `${failed.length} of ${rows.length} attacks had an effect that they must not have.`,
);
process.exit(failed.length === 0 ? 0 : 1);
