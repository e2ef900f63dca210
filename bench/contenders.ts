/**
 * Who is measured. A contender is a program that answers `ServerRequests` on its IPC channel, so that another runtime
 * or another transport becomes a row by a line here and a file in servers/.
 */
import { NO_NATIVE } from "../test/native/availability.js";
import { spawnSync } from "node:child_process";
import type { Workload } from "./workloads.js";

export interface Contender {
  readonly name: string;
  /** In servers/, without its extension. */
  readonly file: string;
  readonly style?: string;
  /** Whether it takes part only when asked for (by its name in `--contenders`, or with `--promise`). */
  readonly optional?: boolean;
  /** For one much slower than the others, so that a run stays a few seconds. */
  readonly mostMessages?: number;
  takesPart(workload: Workload): boolean;
}

const everywhere = (): boolean => true;
const inTheClear = ({ isSecure }: Workload): boolean => !isSecure && NO_NATIVE === false;
const framing = ({ protocol, kind }: Workload): boolean => kind === "stream" && protocol !== "echo";
const lines = ({ protocol, kind, isSecure }: Workload): boolean =>
  kind === "stream" && protocol === "lines" && !isSecure;

/** A limit on Linux, where there is a compiler; else it is left out, and the rest is measured. */
function canCompile(): boolean {
  return process.platform === "linux" && spawnSync("cc", ["--version"]).status === 0;
}

const PROMISES = { file: "promise", optional: true, mostMessages: 300_000, takesPart: lines };

/** The first is what the others are compared with. */
export const CONTENDERS: readonly Contender[] = [
  { name: "hand", file: "hand", takesPart: everywhere },
  { name: "hand-joined", file: "hand-joined", optional: true, takesPart: framing },
  { name: "library", file: "library", style: "node", takesPart: everywhere },
  { name: "native", file: "library", style: "native", takesPart: inTheClear },
  { name: "c-epoll", file: "epoll", takesPart: (workload) => !workload.isSecure && canCompile() },
  { name: "library-await", style: "await", ...PROMISES },
  { name: "library-lines", style: "lines", ...PROMISES },
];
