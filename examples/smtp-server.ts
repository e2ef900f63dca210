/**
 * A mail server (SMTP, RFC 5321) that accepts mail for anybody, keeps none, and prints a line for each. With a key and a
 * certificate it offers STARTTLS (RFC 3207). It is written in delegate style: it reads commands as text and lines of mail as
 * bytes, so `didReadText` gets commands and `didRead` gets mail. What a client sends ahead (pipelining) waits in the socket.
 *
 *   node build/examples/smtp-server.js --port 2525 --key key.pem --cert cert.pem --require-tls
 *   swaks --server localhost:2525 --tls --from me@example.org --to you@example.org
 */

import { createHash, type Hash } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { parseArgs } from "node:util";
import { AsyncSocket, type AsyncSocketDelegate } from "asyncsocket";

const { values } = parseArgs({
  options: {
    host: { type: "string" }, // none: every address of this machine
    port: { type: "string", default: "0" }, // 0: any free one
    key: { type: "string" }, // PEM files
    cert: { type: "string" },
    "require-tls": { type: "boolean", default: false }, // takes no mail in the clear
    "max-size": { type: "string", default: String(10 * 2 ** 20) }, // bytes of one mail
    timeout: { type: "string", default: "300000" }, // ms for a command, or for a line of mail
  },
});
const timeout = Number(values.timeout);
const maxSize = Number(values["max-size"]);
const { key, cert, "require-tls": requireTLS } = values;
const tls = key === undefined || cert === undefined ? null : { key: readFileSync(key), cert: readFileSync(cert) };
if (tls === null && (key !== undefined || cert !== undefined || requireTLS)) {
  console.error("Usage: smtp-server [--host HOST] [--port PORT] [--key FILE --cert FILE [--require-tls]]");
  process.exit(2);
}

const CRLF = "\r\n";
const MAX_COMMAND_BYTES = 2048; // RFC 5321 demands 512, and more for its extensions
const MAX_LINE_BYTES = 64 * 1024; // 1000 by the standard, which not every program keeps
const MAX_RECIPIENTS = 100;
const DOT = 0x2e;

/** A mail that is being received. */
interface Mail {
  from: string;
  to: string[];
  byteCount: number;
  hash: Hash;
}

/** What the server remembers of each client. */
interface Session {
  hasGreeted: boolean;
  mail: Mail | null;
}

type ClientSocket = AsyncSocket<never, Session>;
type Command = (socket: ClientSocket, session: Session, argument: string) => void;

function reply(socket: ClientSocket, text: string): void {
  socket.write(text + CRLF);
}

/** Tells the client why, and closes the connection when that has gone out. */
function sendAway(socket: ClientSocket, text: string): void {
  reply(socket, text);
  socket.disconnectAfterWriting();
}

// Only CRLF ends a line. A server that also accepts a bare LF can be made to see mails that another server did not see.

function waitForCommand(socket: ClientSocket): void {
  socket.readUntil(CRLF, { timeout, maxLength: MAX_COMMAND_BYTES, encoding: "utf8", onFailure: "continue" });
}

function waitForLine(socket: ClientSocket): void {
  socket.readUntil(CRLF, { timeout, maxLength: MAX_LINE_BYTES, onFailure: "continue" });
}

// ------------------------------------------------------------------ commands

function greet(socket: ClientSocket, session: Session): void {
  session.hasGreeted = true;
  session.mail = null;
  reply(socket, `250 ${hostname()}`);
}

function greetExtended(socket: ClientSocket, session: Session): void {
  session.hasGreeted = true;
  session.mail = null;
  const extensions = ["PIPELINING", "8BITMIME", `SIZE ${maxSize}`];
  if (tls !== null && !socket.isSecure) extensions.push("STARTTLS");
  const last = extensions.pop();
  reply(socket, [`250-${hostname()}`, ...extensions.map((name) => `250-${name}`), `250 ${last}`].join(CRLF));
}

/** Everything before came in the clear, and an attacker may have written it: the client begins anew. */
function startTLS(socket: ClientSocket, session: Session, argument: string): void {
  if (argument !== "") return reply(socket, "501 5.5.4 STARTTLS takes no argument");
  if (socket.isSecure) return reply(socket, "503 5.5.1 TLS is active");
  if (tls === null) return reply(socket, "454 4.7.0 TLS is not available");
  session.hasGreeted = false;
  session.mail = null;
  reply(socket, "220 2.0.0 Go ahead");
  // Commands that came in the clear behind STARTTLS are taken for the handshake, which then fails: they are never obeyed.
  socket.startTLS(tls);
}

function beginMail(socket: ClientSocket, session: Session, argument: string): void {
  if (requireTLS && !socket.isSecure) return reply(socket, "530 5.7.0 Say STARTTLS first");
  if (!session.hasGreeted) return reply(socket, "503 5.5.1 Say EHLO first");
  if (session.mail !== null) return reply(socket, "503 5.5.1 There is a mail already");
  const [, from, parameters = ""] = /^FROM: ?<([^<>\s]*)>((?: \S+)*)$/i.exec(argument) ?? [];
  if (from === undefined) return reply(socket, "501 5.5.4 Expected MAIL FROM:<address>");
  const size = /(?:^| )SIZE=(\d{1,15})(?: |$)/i.exec(parameters)?.[1];
  if (Number(size ?? 0) > maxSize) return reply(socket, `552 5.3.4 At most ${maxSize} bytes, please`);
  session.mail = { from, to: [], byteCount: 0, hash: createHash("sha256") };
  reply(socket, "250 2.1.0 OK");
}

function addRecipient(socket: ClientSocket, { mail }: Session, argument: string): void {
  const to = /^TO: ?<([^<>\s]+)>((?: \S+)*)$/i.exec(argument)?.[1];
  if (mail === null) return reply(socket, "503 5.5.1 Say MAIL first");
  if (to === undefined) return reply(socket, "501 5.5.4 Expected RCPT TO:<address>");
  if (mail.to.length === MAX_RECIPIENTS) return reply(socket, `452 4.5.3 At most ${MAX_RECIPIENTS} recipients`);
  mail.to.push(to);
  reply(socket, "250 2.1.5 OK");
}

/** Replies to DATA. @returns whether lines of mail come next, rather than another command */
function beginContent(socket: ClientSocket, { mail }: Session): boolean {
  const canBegin = mail !== null && mail.to.length > 0;
  reply(socket, canBegin ? "354 Go ahead, and end with a dot on a line of its own" : "503 5.5.1 Say RCPT first");
  return canBegin;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  EHLO: greetExtended,
  HELO: greet,
  STARTTLS: startTLS,
  MAIL: beginMail,
  RCPT: addRecipient,
  NOOP: (socket) => reply(socket, "250 2.0.0 OK"),
  VRFY: (socket) => reply(socket, "252 2.5.0 Try, and see"),
  QUIT: (socket) => sendAway(socket, "221 2.0.0 Bye"),
  RSET: (socket, session) => {
    session.mail = null;
    reply(socket, "250 2.0.0 OK");
  },
};

function obey(socket: ClientSocket, session: Session, line: string): void {
  const [, name = "", argument = ""] = /^([a-z]*) ?(.*?)\s*$/is.exec(line) ?? [];
  const verb = name.toUpperCase();
  if (verb === "DATA" && beginContent(socket, session)) return waitForLine(socket);
  if (verb !== "DATA") {
    const command = Object.hasOwn(COMMANDS, verb) ? COMMANDS[verb] : undefined;
    if (command === undefined) reply(socket, "500 5.5.2 No such command");
    else command(socket, session, argument);
  }
  if (verb !== "QUIT") waitForCommand(socket);
}

// ------------------------------------------------------------------ mail

function takeLine(socket: ClientSocket, mail: Mail, line: Buffer): void {
  // Clients put a second dot before a line that begins with a dot, because a single dot ends the mail.
  const content = line[0] === DOT ? line.subarray(1) : line;
  mail.byteCount += content.length;
  if (mail.byteCount <= maxSize) mail.hash.update(content);
  waitForLine(socket);
}

function finishMail(socket: ClientSocket, session: Session, mail: Mail): void {
  session.mail = null;
  if (mail.byteCount > maxSize) reply(socket, `552 5.3.4 At most ${maxSize} bytes, please`);
  else {
    const way = socket.isSecure ? "TLS" : "clear";
    const checksum = mail.hash.digest("hex");
    console.log(
      `from <${mail.from}> to <${mail.to.join(">, <")}>, ${mail.byteCount} bytes, ${way}, SHA-256 ${checksum}`,
    );
    reply(socket, "250 2.0.0 Taken");
  }
  waitForCommand(socket);
}

const REGRETS: Readonly<Record<string, string>> = {
  ERR_ASYNCSOCKET_READ_TIMEOUT: "421 4.4.2 That took too long",
  ERR_ASYNCSOCKET_READ_LIMIT: "500 5.5.2 That line is too long",
};

const delegate: AsyncSocketDelegate<never, Session> = {
  didAccept(_listener, socket) {
    socket.userData = { hasGreeted: false, mail: null };
    reply(socket, `220 ${hostname()} ESMTP AsyncSocket example`);
    waitForCommand(socket);
  },

  didReadText(socket, line) {
    if (socket.userData !== undefined) obey(socket, socket.userData, line);
  },

  didRead(socket, line) {
    const { mail = null } = socket.userData ?? {};
    if (socket.userData === undefined || mail === null) return;
    if (line.length === 3 && line[0] === DOT) finishMail(socket, socket.userData, mail);
    else takeLine(socket, mail, line);
  },

  // A read that fails while the connection stays open failed through the client's fault: the client is told why.
  didFailRead(socket, error) {
    const regret = REGRETS[error.code];
    if (regret !== undefined) sendAway(socket, regret);
  },

  didDisconnect(socket, { error }) {
    if (socket.userData !== undefined && error !== null) console.error(`Client ${socket.id}: ${error.message}`);
  },
};

// The most memory for replies that a client does not read while it continues to send commands.
const listener = new AsyncSocket({ delegate, limits: { writeQueue: 2 ** 20 } });
await listener.listen({ host: values.host, port: Number(values.port) });
if (listener.local?.family !== "unix") console.log(`Mail server on port ${listener.local?.port ?? "?"}`);

// On Ctrl-C the server accepts no new clients, and gives the present ones a second to finish.
process.once("SIGINT", () => void listener.shutdown({ graceMs: 1_000 }));
process.once("SIGTERM", () => void listener.shutdown({ graceMs: 1_000 }));
