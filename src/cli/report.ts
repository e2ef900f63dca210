/** What the program says about connections: to people on stderr, or as JSON on stdout. */

import type { AsyncSocket, ConnectMessage } from "../index.js";
import { tlsFacts, tlsSummary } from "./certificate.js";
import { jsonLine, printable } from "./printable.js";
import { traceFacts, traceLines } from "./trace.js";
import { addressInWords, bytesInWords, duration, painted, type Terminal } from "./terminal.js";

/** How the program reports. */
export interface ReportOptions {
  readonly json?: boolean | undefined;
  readonly quiet?: boolean | undefined;
}

export class Report {
  readonly #terminal: Terminal;
  readonly #isJson: boolean;
  readonly #isQuiet: boolean;

  constructor(terminal: Terminal, { json, quiet }: ReportOptions) {
    this.#terminal = terminal;
    this.#isJson = json === true;
    this.#isQuiet = quiet === true;
  }

  didTry(message: ConnectMessage): void {
    if (this.#isJson) this.event("trace", traceFacts(message));
    else for (const line of traceLines(message)) this.say("dim", line);
  }

  didConnect(socket: AsyncSocket, ms: number): void {
    const { local, remote } = socket;
    if (this.#isJson) this.event("connected", { ms: Math.round(ms), local, remote });
    else this.say("green", `Connected to ${addressInWords(remote)} in ${duration(ms)}`);
    if (socket.tls === undefined) return;
    if (this.#isJson) this.event("secure", tlsFacts(socket.tls));
    else for (const line of tlsSummary(socket.tls)) this.say(socket.tls.authorized ? "dim" : "yellow", line);
  }

  didClose({ bytesRead, bytesWritten, closeReason }: AsyncSocket): void {
    const by = closeReason?.by ?? "local";
    if (this.#isJson) this.event("closed", { by, bytesRead, bytesWritten, code: closeReason?.error?.code ?? null });
    else this.say("dim", `Closed; received ${bytesInWords(bytesRead)}, sent ${bytesInWords(bytesWritten)}`);
  }

  didListen({ local, port }: AsyncSocket): void {
    if (this.#isJson) this.event("listening", { local, port });
    else this.say("green", `Listening on ${addressInWords(local)}`);
  }

  didAccept(client: number, { local, remote, proxied }: AsyncSocket): void {
    if (this.#isJson) this.event("accepted", { client, local, remote, proxied });
    else this.say("green", `Client ${client} has come from ${addressInWords(proxied?.remote ?? remote)}`);
  }

  /** What a listener tells of a client. */
  ofClient(client: number, event: string, facts: object, words: string): void {
    if (this.#isJson) this.event(event, { client, ...facts });
    else this.say("dim", `Client ${client}: ${words}`);
  }

  /** An error, which is told however quiet the program is to be. */
  didFail(error: Error): void {
    const { code = null } = error as { code?: string | null };
    const message = error.message;
    if (this.#isJson) this.event("error", { code, message });
    else this.#print("red", message);
  }

  event(name: string, facts: object): void {
    this.#terminal.stdout.write(jsonLine({ event: name, ...facts }));
  }

  say(style: "dim" | "green" | "yellow", line: string): void {
    if (!this.#isQuiet && !this.#isJson) this.#print(style, line);
  }

  #print(style: "dim" | "green" | "yellow" | "red", line: string): void {
    const { stderr } = this.#terminal;
    stderr.write(`${painted(stderr, this.#terminal, style, printable(line))}\n`);
  }
}
