/** `asyncsocket connect`: a conversation with a server. */

import { performance } from "node:perf_hooks";
import type { Command } from "./command.js";
import { dial, endRecording } from "./dial.js";
import { FORMAT, formatOf } from "./format.js";
import { CONNECTION, GENERAL, parse, RECORDING } from "./options.js";
import { Progress } from "./progress.js";
import { Report } from "./report.js";
import { talk } from "./talk.js";
import { parseTarget } from "./target.js";
import type { Terminal } from "./terminal.js";
import { traceConnects } from "./trace.js";

const OPTIONS = {
  ...CONNECTION,
  trace: { type: "boolean", about: "tells which names were looked up and which addresses were tried" },
  ...FORMAT,
  ...RECORDING,
  ...GENERAL,
} as const;

export const connect: Command = {
  usage: "HOST PORT | PATH | URI",
  about: [
    "Connects, sends what you type, and shows what comes back. The end of the input ends this side of the connection;",
    "the program ends when the server has ended its own. On a terminal, lines can be edited and called back.",
  ].join("\n"),
  options: OPTIONS,
  examples: [
    ["localhost 6379 --lines --crlf", "speaks to Redis, line by line"],
    ["https://example.org --alpn http/1.1", "TLS, with a summary of the certificate"],
    ["smtp://mail.example.org --starttls smtp --crlf", "TLS by STARTTLS, and then SMTP by hand"],
    ["/run/app.sock --frames 4 --json", "each line as a frame to a Unix-domain socket, and frames back as JSON"],
    [
      "example.org 443 --tls --trace --record talk.pcapng",
      "how the connection came about, and a capture for Wireshark",
    ],
    ["example.org --srv xmpp-client --starttls xmpp", "finds the server by SRV records"],
    ["tls://10.0.0.7:443 -k --servername app.test", "TLS with a server that has a name, but no certificate to trust"],
  ],
  run,
};

async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parse(args, OPTIONS);
  const format = formatOf(values, terminal.stdout.isTTY === true);
  const report = new Report(terminal, values);
  if (values.trace === true) traceConnects((message) => report.didTry(message));
  const startMs = performance.now();
  const { socket, ready, recording } = dial(parseTarget(positionals), values, { signal: terminal.interrupted });
  try {
    await ready;
    report.didConnect(socket, performance.now() - startMs);
    const progress = values.quiet === true || values.json === true ? null : Progress.of(socket, terminal);
    const code = await talk(socket, terminal, format).finally(() => progress?.stop());
    report.didClose(socket);
    return endRecording(recording, report, code);
  } finally {
    socket.disconnect();
    await socket.closed;
  }
}
