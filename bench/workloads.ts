/**
 * What is measured: the one list that the servers, the load process and the report share, so that no two of them can
 * disagree about what a workload is.
 */

/** What a server does with what it reads. `relay` sends it to an echo server in a process of its own, and back. */
export type Protocol = "echo" | "lines" | "frames" | "churn" | "relay";

/** `stream`: CPU per message over open connections; `churn`: CPU per connection; the others: memory per connection. */
export type Kind = "stream" | "churn" | "idle" | "idle-used";

export interface Workload {
  readonly name: string;
  readonly kind: Kind;
  readonly protocol: Protocol;
  /** Of one message; of a frame its body, of a line all of it, its newline included. */
  readonly bytes: number;
  readonly connections: number;
  /** Messages that each connection keeps under way. */
  readonly inFlight: number;
  /** Over TLS, with a certificate made for the run. */
  readonly isSecure: boolean;
  /** In one timed run, over all connections, at `--scale 1`: about a second of CPU time by hand. */
  readonly messages: number;
  readonly about: string;
  /** Bytes that are sent at once, where that is less than a message. */
  readonly piece?: number;
  /** Of those that show how cost grows: what grows, and where this one stands. They take part when asked for. */
  readonly growth?: { readonly of: string; readonly at: number };
}

export const HEADER_BYTES = 4;
/** The read timeout of lines and churn, by every contender. It never comes to that. */
export const READ_TIMEOUT_MS = 30_000;
export const MAX_LINE = 8192;
export const MAX_FRAME = 1 << 20;

function stream(
  name: string,
  protocol: Protocol,
  bytes: number,
  [connections, inFlight]: [number, number],
  messages: number,
  about: string,
): Workload {
  return { name, kind: "stream", protocol, bytes, connections, inFlight, isSecure: false, messages, about };
}

/** The same over TLS. */
function secure(workload: Workload, messages: number): Workload {
  return {
    ...workload,
    name: `tls-${workload.name}`,
    isSecure: true,
    messages,
    about: `${workload.about}, over TLS 1.3`,
  };
}

const IDLE = { isSecure: false, protocol: "lines", bytes: 50, connections: 2000, inFlight: 1, messages: 2000 } as const;
const KIB = 1024;

const IN_THE_CLEAR: readonly Workload[] = [
  stream("echo-64", "echo", 64, [50, 1], 120_000, "64 bytes back and forth, whatever comes is sent back"),
  stream("echo-64k", "echo", 64 * KIB, [4, 16], 12_000, "64 KiB messages, whatever comes is sent back"),
  stream("lines-pipelined", "lines", 50, [10, 200], 3_000_000, "50-byte lines, a timeout on every read"),
  stream("lines-pingpong", "lines", 50, [50, 1], 100_000, "50-byte lines, a timeout on every read"),
  stream("frames-64", "frames", 64, [10, 32], 1_000_000, "4-byte length and 64 bytes"),
  stream("frames-1k", "frames", KIB, [10, 32], 500_000, "4-byte length and 1 KiB"),
  stream("frames-64k", "frames", 64 * KIB, [4, 4], 12_000, "4-byte length and 64 KiB"),
  {
    name: "churn",
    kind: "churn",
    protocol: "churn",
    bytes: 50,
    connections: 8,
    inFlight: 1,
    isSecure: false,
    messages: 10_000,
    about: "connect, one line, its reply, close",
  },
  {
    name: "idle",
    kind: "idle",
    ...IDLE,
    about: "memory of a connection with a read and its timeout, nothing sent yet",
  },
  { name: "idle-used", kind: "idle-used", ...IDLE, about: "the same, after one line each" },
];

/** Of the workloads in the clear, and how many messages. */
const SECURE: Readonly<Record<string, number>> = {
  "echo-64": 40_000,
  "echo-64k": 6000,
  "lines-pipelined": 1_000_000,
  "lines-pingpong": 40_000,
  "frames-64": 400_000,
  "frames-1k": 100_000,
  churn: 1500,
};

/** About half a second of CPU time each, however many connections. */
function grown(
  of: string,
  at: number,
  protocol: Protocol,
  bytes: number,
  [connections, inFlight]: [number, number],
  messages: number,
): Workload {
  const name = `grow-${of}-${at}`;
  const about = `how cost grows by ${of}`;
  return { ...stream(name, protocol, bytes, [connections, inFlight], messages, about), growth: { of, at } };
}

const POWERS = [1, 10, 100, 1000, 10_000];

/** Of one that relays, the CPU time of the relay alone. Asked for by name. */
const RELAYED: readonly Workload[] = [
  stream("relay-64", "relay", 64, [50, 1], 40_000, "64 bytes through a relay to an echo server, and back"),
  stream("relay-64k", "relay", 64 * KIB, [4, 4], 8000, "64 KiB through a relay to an echo server, and back"),
];

const GROWTH: readonly Workload[] = [
  ...POWERS.map((n) => grown("connections", n, "echo", 64, [n, 1], Math.max(40_000, 2 * n))),
  ...[16, 64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, KIB * KIB].map((bytes) =>
    grown("bytes", bytes, "frames", bytes, [4, 4], Math.ceil(400_000 / (1 + bytes / 512))),
  ),
  ...[1, 5, 50].map((piece) => ({ ...grown("piece", piece, "lines", 50, [50, 1], 20_000), piece })),
  ...POWERS.map((n) => grown("timeouts", n, "lines", 50, [n, 1], Math.max(40_000, 2 * n))),
];

export const WORKLOADS: readonly Workload[] = [
  ...IN_THE_CLEAR,
  ...IN_THE_CLEAR.flatMap((workload) => {
    const messages = SECURE[workload.name];
    return messages === undefined ? [] : [secure(workload, messages)];
  }),
  ...RELAYED,
  ...GROWTH,
];

export function workloadNamed(name: string): Workload {
  const found = WORKLOADS.find((workload) => workload.name === name);
  if (found === undefined)
    throw new RangeError(`Expected one of ${WORKLOADS.map((w) => w.name).join(", ")}, got ${name}`);
  return found;
}

export function isMemory(workload: Workload): boolean {
  return workload.kind === "idle" || workload.kind === "idle-used";
}
