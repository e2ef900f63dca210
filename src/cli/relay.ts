/** `asyncsocket relay`: a forwarder that puts TLS on, or takes it off. */

import {
  type AsyncSocket,
  type AsyncSocketError,
  type ConnectOptions,
  relay as join,
  type RelayResult,
} from "../index.js";
import type { Command } from "./command.js";
import { type ConnectionValues, dial, endRecording, refuseTLSOptionsInTheClear, tlsOptions } from "./dial.js";
import { EXIT, UsageError } from "./exit-code.js";
import { CONNECTION, GENERAL, parse, RECORDING, type Values, wholeNumber } from "./options.js";
import { Report } from "./report.js";
import { serve, SERVING } from "./serve.js";
import { parseTarget, type Target } from "./target.js";
import { bytesInWords, type Terminal } from "./terminal.js";

const { cert, key, idle } = SERVING;
const { insecure, ca, servername, fingerprint, alpn, proxy, ipv4, ipv6, timeout } = CONNECTION;
const OPTIONS = {
  ...{ cert, key, "proxy-protocol": SERVING["proxy-protocol"] },
  ...{
    insecure,
    ca,
    servername,
    fingerprint,
    alpn,
    proxy,
    "proxy-header": CONNECTION["proxy-header"],
    ipv4,
    ipv6,
    timeout,
  },
  idle,
  json: { type: "boolean", about: "tells of the connections as JSON, one object for each line" },
  ...RECORDING,
  ...GENERAL,
} as const;

export const relay: Command = {
  usage: "FROM TO",
  about: [
    "Listens at FROM, and joins each client to a connection of its own to TO, until both sides have ended; Ctrl-C ends it.",
    "Both are [HOST:]PORT, a path, or a URI: tls:// speaks TLS on that side. --cert, --key and --proxy-protocol are for",
    "the clients, the other options of TLS for TO.",
  ].join("\n"),
  options: OPTIONS,
  examples: [
    ["8080 tls://example.org:443", "lets a program without TLS speak to a server with it"],
    ["tls://:8443 localhost:80 --cert cert.pem --key key.pem", "takes TLS off in front of a server"],
    ["5432 /var/run/postgresql/.s.PGSQL.5432", "makes a Unix-domain socket a port"],
    [":8000 10.0.0.7:80 --proxy-header 2", "tells the server who its clients are"],
  ],
  run,
};

async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parse(args, OPTIONS);
  const [from, to] = positionals;
  if (from === undefined || to === undefined || positionals.length > 2) throw new UsageError("Expected FROM and TO");
  const forwarder = new Forwarder(parseTarget([to]), values, terminal);
  const { listener, recording } = await serve(parseTarget([from]), values, forwarder);
  forwarder.report.didListen(listener);
  try {
    await forwarder.ended();
  } finally {
    await listener.disconnect();
    await forwarder.finished();
  }
  return endRecording(recording, forwarder.report, EXIT.ok);
}

/** The delegate of the listener, which joins its clients to the other side. */
class Forwarder {
  readonly report: Report;
  readonly #to: Target;
  readonly #values: Values<typeof OPTIONS>;
  readonly #terminal: Terminal;
  readonly #relays = new Set<Promise<void>>();
  #clients = 0;
  #didMisuse: (error: UsageError) => void = () => undefined;

  /** @throws UsageError */
  constructor(to: Target, values: Values<typeof OPTIONS>, terminal: Terminal) {
    if (to.path === undefined && to.port === undefined) throw new UsageError("Expected a port in TO, got none");
    const forServer = { ...values, cert: undefined, key: undefined };
    refuseTLSOptionsInTheClear(to, forServer);
    tlsOptions(forServer); // A file that is not there is told of before any client.
    this.report = new Report(terminal, values);
    this.#to = to;
    this.#values = values;
    this.#terminal = terminal;
  }

  /** Waits until the program is to end. @throws UsageError if the first client shows that the arguments were wrong */
  ended(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#terminal.interrupted.addEventListener("abort", () => resolve());
      this.#didMisuse = reject;
    });
  }

  async finished(): Promise<void> {
    await Promise.all(this.#relays);
  }

  didAccept(_listener: AsyncSocket, client: AsyncSocket): void {
    const number = ++this.#clients;
    this.report.didAccept(number, client);
    const server = this.#connect(client);
    if (server === null) return;
    const { interrupted: signal } = this.#terminal;
    const ended = join(client, server, { signal, idleMs: wholeNumber("idle", this.#values.idle) });
    const told = ended.then((result) => {
      this.#relays.delete(told);
      this.report.ofClient(number, "closed", factsOf(result), inWords(result));
    });
    this.#relays.add(told);
  }

  didFailAccept(_listener: AsyncSocket, error: AsyncSocketError): void {
    this.report.didFail(error);
  }

  /** What fails here is told by the relay. */
  #connect(client: AsyncSocket): AsyncSocket | null {
    const { remote, local, proxied } = client;
    const forServer: ConnectionValues = {
      ...this.#values,
      cert: undefined,
      key: undefined,
      idle: undefined,
      record: undefined,
    };
    const version = this.#values["proxy-header"] === "1" ? 1 : 2;
    const ends = { source: proxied?.remote ?? remote, destination: proxied?.local ?? local };
    const header: Partial<ConnectOptions> =
      this.#values["proxy-header"] === undefined ? {} : { proxyProtocol: { version, ...ends } };
    try {
      const { socket, ready } = dial(this.#to, forServer, header);
      ready.catch(() => undefined);
      return socket;
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      client.reset();
      this.#didMisuse(error);
      return null;
    }
  }
}

function factsOf({ aToB, bToA, ended, side, error }: RelayResult): object {
  return { sent: aToB, received: bToA, ended, side: sideInWords(side), code: error?.code ?? null };
}

function inWords({ aToB, bToA, ended, side, error }: RelayResult): string {
  const where = side === null ? "" : ` on the side of the ${sideInWords(side) ?? ""}`;
  const why = error === null ? "" : `: ${error.message}`;
  return `${ended}${where}; ${bytesInWords(aToB)} to the server, ${bytesInWords(bToA)} back${why}`;
}

function sideInWords(side: RelayResult["side"]): string | null {
  return side === null ? null : side === "a" ? "client" : "server";
}
