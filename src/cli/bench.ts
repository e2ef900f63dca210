/** `asyncsocket bench`: a small load, and how long the answers take. */

import { setMaxListeners } from "node:events";
import { performance } from "node:perf_hooks";
import type { AsyncSocket } from "../index.js";
import type { Command } from "./command.js";
import { dial } from "./dial.js";
import { asUsage, EXIT, UsageError } from "./exit-code.js";
import { latencyFacts, latencyLines } from "./histogram.js";
import { CONNECTION, GENERAL, parse, type Values, wholeNumber } from "./options.js";
import { Report } from "./report.js";
import { parseTarget, type Target } from "./target.js";
import { duration, print, type Terminal } from "./terminal.js";

const OPTIONS = {
  connections: { type: "string", short: "c", value: "N", about: "how many connections work at once (1)" },
  requests: { type: "string", short: "n", value: "N", about: "how many requests are made in all (1000)" },
  send: { type: "string", value: "TEXT", about: "each request, with \\r, \\n, \\t, \\0 and \\xHH as bytes (ping\\n)" },
  until: { type: "string", value: "TEXT", about: "what each answer ends with (\\n)" },
  bytes: { type: "string", value: "N", about: "how long each answer is, instead of --until" },
  frames: { type: "string", value: "BYTES", about: "requests and answers are frames with a length of so many bytes" },
  reconnect: { type: "boolean", about: "makes a connection for each request, whose time counts" },
  ...CONNECTION,
  json: { type: "boolean", about: "prints the figures as JSON" },
  ...GENERAL,
} as const;

export const bench: Command = {
  usage: "HOST PORT | PATH | URI",
  about: [
    "Sends requests, one after the other on each connection, and shows how long the answers took, as percentiles and as a",
    "histogram. It is a small load: one thread that also reads the clock, so it finds slow answers, not the limits of a",
    "fast server.",
  ].join("\n"),
  options: OPTIONS,
  examples: [
    ["localhost 7 -n 10000 -c 8", "an echo server, line by line"],
    ["localhost 6379 --send 'PING\\r\\n' --until '+PONG\\r\\n'", "Redis"],
    [
      "https://example.org --reconnect -n 20 --send 'HEAD / HTTP/1.0\\r\\n\\r\\n' --until '\\r\\n\\r\\n'",
      "HTTP, with its handshakes",
    ],
  ],
  run,
};

async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parse(args, OPTIONS);
  const load = new Load(parseTarget(positionals), values, terminal.interrupted);
  const startMs = performance.now();
  await load.run();
  const ms = performance.now() - startMs;
  const { samplesMs, connections } = load;
  if (values.json === true) {
    const facts = { requests: samplesMs.length, connections, ms, perSecond: (samplesMs.length * 1000) / ms };
    new Report(terminal, values).event("bench", { ...facts, latencyMs: latencyFacts(samplesMs) });
  } else {
    const rate = ((samplesMs.length * 1000) / ms).toFixed(0);
    const head = `${samplesMs.length} requests over ${connections} at once in ${duration(ms)}: ${rate} per second`;
    await print(terminal.stdout, `${[head, "", ...latencyLines(samplesMs)].join("\n")}\n`);
  }
  return terminal.interrupted.aborted ? EXIT.interrupted : EXIT.ok;
}

class Load {
  readonly samplesMs: number[] = [];
  readonly connections: number;
  readonly #target: Target;
  readonly #values: Values<typeof OPTIONS>;
  readonly #interrupted: AbortSignal;
  readonly #exchange: (socket: AsyncSocket) => Promise<unknown>;
  readonly #sockets = new Set<AsyncSocket>();
  #left: number;

  /** @throws UsageError */
  constructor(target: Target, values: Values<typeof OPTIONS>, interrupted: AbortSignal) {
    this.#target = target;
    this.#values = values;
    this.#interrupted = interrupted;
    this.#left = wholeNumber("requests", values.requests) ?? 1000;
    this.connections = Math.min(wholeNumber("connections", values.connections) ?? 1, this.#left);
    this.#exchange = exchangeOf(values);
    if (this.connections === 0) throw new UsageError("Expected at least one request and one connection");
  }

  /** @throws AsyncSocketError if a connection fails; the others are closed */
  async run(): Promise<void> {
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.#interrupted]);
    setMaxListeners(0, signal); // Each connect listens to it.
    signal.addEventListener("abort", () => {
      for (const socket of this.#sockets) socket.disconnect();
    });
    const workers = Array.from({ length: this.connections }, () => this.#work(signal));
    try {
      await Promise.all(workers);
    } finally {
      stop.abort();
      await Promise.allSettled(workers);
    }
  }

  async #work(signal: AbortSignal): Promise<void> {
    const reconnects = this.#values.reconnect === true;
    let socket: AsyncSocket | null = null;
    try {
      if (!reconnects) socket = await this.#connect(signal);
      while (this.#left > 0 && !signal.aborted) {
        this.#left--;
        const startMs = performance.now();
        socket ??= await this.#connect(signal);
        await this.#exchange(socket);
        this.samplesMs.push(performance.now() - startMs);
        if (!reconnects) continue;
        await socket.disconnect();
        socket = null;
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      await socket?.disconnect();
    }
  }

  async #connect(signal: AbortSignal): Promise<AsyncSocket> {
    const { socket, ready } = dial(this.#target, this.#values, { signal });
    this.#sockets.add(socket);
    void socket.closed.then(() => this.#sockets.delete(socket));
    await ready;
    return socket;
  }
}

/** One request and its answer. @throws UsageError */
function exchangeOf(values: Values<typeof OPTIONS>): (socket: AsyncSocket) => Promise<unknown> {
  const request = bytesOf(values.send ?? "ping\\n");
  const lengthBytes = wholeNumber("frames", values.frames);
  const answerBytes = wholeNumber("bytes", values.bytes);
  const ways = [values.until, values.bytes, values.frames].filter((way) => way !== undefined);
  if (ways.length > 1) throw new UsageError("Expected one of --until, --bytes and --frames, got several");
  if (lengthBytes !== undefined) {
    const frame = { lengthBytes: lengthBytes as 4 };
    return (socket) =>
      asUsage(() => {
        socket.writeFrame(request, frame);
        return socket.readFrame(frame);
      });
  }
  const delimiter = bytesOf(values.until ?? "\\n");
  if (delimiter.length === 0) throw new UsageError("Expected --until not to be empty");
  return (socket) => {
    socket.write(request);
    return answerBytes === undefined ? socket.readUntil(delimiter) : socket.readExactly(answerBytes);
  };
}

const ESCAPES: Readonly<Record<string, string>> = { r: "\r", n: "\n", t: "\t", "0": "\0", "\\": "\\" };

/** A text in which escapes stand for bytes. */
export function bytesOf(text: string): Buffer {
  const parts = text.split(/(\\x[0-9a-f]{2}|\\[rnt0\\])/i).map((part, i) => {
    if (i % 2 === 0) return Buffer.from(part);
    const [, kind = "", digits = ""] = /^\\(.)(.*)$/.exec(part) ?? [];
    return digits === "" ? Buffer.from(ESCAPES[kind] ?? kind) : Buffer.from(digits, "hex");
  });
  return Buffer.concat(parts);
}
