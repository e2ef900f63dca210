/** `asyncsocket listen`: a server to try clients with. */

import { createReadStream } from "node:fs";
import { AsyncSocket, AsyncSocketError } from "../index.js";
import { tlsFacts, tlsSummary } from "./certificate.js";
import type { Command } from "./command.js";
import { endRecording } from "./dial.js";
import { EXIT, UsageError } from "./exit-code.js";
import { FORMAT, type Format, formatOf, Shown } from "./format.js";
import { GENERAL, parse, RECORDING, type Values } from "./options.js";
import { receive } from "./receive.js";
import { Report } from "./report.js";
import { needReadable, serve, SERVING } from "./serve.js";
import { parseTarget } from "./target.js";
import { bytesInWords, print, type Terminal } from "./terminal.js";

const { lines, frames, hex, json, raw } = FORMAT;
const OPTIONS = {
  echo: { type: "boolean", about: "sends everything back" },
  file: { type: "string", value: "FILE", about: "sends this file to each client" },
  once: { type: "boolean", about: "ends with the first client" },
  ...SERVING,
  ...{ lines, frames, hex, json, raw },
  ...RECORDING,
  ...GENERAL,
} as const;

export const listen: Command = {
  usage: "PORT | HOST PORT | PATH | URI",
  about: [
    "Listens, and shows what any number of clients send; Ctrl-C ends it. Port 0 is any free one. With TLS, and without",
    "--cert, a certificate is made up, which no client trusts unless it is told to.",
  ].join("\n"),
  options: OPTIONS,
  examples: [
    ["7000 --echo", "an echo server, which shows what it echoes"],
    ["tls://:8443 --hex", "shows what TLS clients send, in the clear, as hexadecimal numbers"],
    ["localhost 9000 --file answer.bin --once", "sends a file to one client"],
    ["/tmp/app.sock --lines --json", "lines from a Unix-domain socket, as JSON"],
  ],
  run,
};

async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parse(args, OPTIONS);
  const target = parseTarget(positionals);
  const server = new Server(terminal, values);
  const { listener, recording } = await serve(target, values, server);
  server.report.didListen(listener);
  await server.ended(terminal.interrupted);
  await listener.shutdown({ graceMs: 0 });
  return endRecording(recording, server.report, EXIT.ok);
}

/** The delegate of the listener, which serves its clients. */
class Server {
  readonly report: Report;
  readonly #terminal: Terminal;
  readonly #values: Values<typeof OPTIONS>;
  readonly #format: Format;
  readonly #numbers = new WeakMap<AsyncSocket, number>();
  #clients = 0;
  #didServe: () => void = () => undefined;

  /** @throws UsageError */
  constructor(terminal: Terminal, values: Values<typeof OPTIONS>) {
    if (values.echo === true && values.file !== undefined) {
      throw new UsageError("Expected either --echo or --file, got both");
    }
    needReadable("file", values.file);
    this.report = new Report(terminal, values);
    this.#terminal = terminal;
    this.#values = values;
    this.#format = formatOf(values, terminal.stdout.isTTY === true);
  }

  /** Waits until the program is to end. */
  ended(interrupted: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      interrupted.addEventListener("abort", () => resolve());
      if (this.#values.once === true) this.#didServe = resolve;
    });
  }

  didAccept(_listener: AsyncSocket, socket: AsyncSocket): void {
    const client = ++this.#clients;
    this.#numbers.set(socket, client);
    this.report.didAccept(client, socket);
    void this.#serve(socket, client);
  }

  didFailAccept(_listener: AsyncSocket, error: AsyncSocketError): void {
    this.report.didFail(error);
  }

  didSecure(socket: AsyncSocket): void {
    const { tls } = socket;
    if (tls === undefined) return;
    this.report.ofClient(this.#numbers.get(socket) ?? 0, "secure", tlsFacts(tls), tlsSummary(tls, false).join("; "));
  }

  async #serve(socket: AsyncSocket, client: number): Promise<void> {
    const shown = new Shown(this.#format, client);
    try {
      await Promise.all([this.#answer(socket), this.#receive(socket, shown)]);
      await this.#print(shown.end());
      await socket.disconnectAfterWriting();
    } catch (error) {
      if (!(error instanceof AsyncSocketError)) this.#didFailToRead(socket, error);
      else {
        socket.disconnect();
        this.report.ofClient(client, "error", { code: error.code, message: error.message }, error.message);
      }
    }
    const { bytesRead, bytesWritten } = socket;
    const words = `closed; received ${bytesInWords(bytesRead)}, sent ${bytesInWords(bytesWritten)}`;
    this.report.ofClient(client, "closed", { bytesRead, bytesWritten }, words);
    this.#didServe();
  }

  /** The file has gone since the start. The client is to see that what it got is not whole. */
  #didFailToRead(socket: AsyncSocket, error: unknown): void {
    socket.reset();
    if (!(error instanceof Error) || !("syscall" in error)) throw error;
    this.report.didFail(error);
  }

  async #answer(socket: AsyncSocket): Promise<void> {
    const { file } = this.#values;
    if (file === undefined) return;
    for await (const chunk of createReadStream(file)) await socket.write(chunk as Buffer);
    await socket.end();
  }

  #receive(socket: AsyncSocket, shown: Shown): Promise<void> {
    const { framing, isLines } = this.#format;
    return receive(socket, this.#format, async (bytes) => {
      await this.#print(shown.show("received", bytes));
      if (this.#values.echo !== true) return;
      await (framing === null || isLines ? socket.write(bytes) : socket.writeMessage(framing, bytes));
    });
  }

  async #print(data: string | Uint8Array): Promise<void> {
    if (data.length > 0) await print(this.#terminal.stdout, data);
  }
}
