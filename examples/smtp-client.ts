/**
 * Sends one mail (SMTP, RFC 5321), which it reads from its input, to a mail server, encrypted by STARTTLS (RFC 3207)
 * unless told otherwise. It is written in promise style: the conversation reads from top to bottom.
 *
 *   node build/examples/smtp-client.js --host mail.example.org --from me@example.org --to you@example.org <mail.txt
 *   node build/examples/smtp-client.js --port 2525 --ca ca.pem --from me@example.org --to you@example.org <mail.txt
 *
 * The exit code is 0 when the server has accepted the mail, 1 when it has not, and 2 when the arguments are wrong.
 */

import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { buffer } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { AsyncSocket, type TLSOptions } from "asyncsocket";

const USAGE = `Usage: smtp-client --from ADDRESS --to ADDRESS [--to ADDRESS] [--host HOST] [--port PORT]
         [--starttls required|no] [--ca FILE] [--servername NAME] <MAIL`;
const CRLF = "\r\n";
const CONNECT_TIMEOUT_MS = 30_000;
/** The timeouts of the standard: five minutes for a line, ten for the answer to the whole mail. */
const REPLY_TIMEOUT_MS = 300_000;
const TAKING_TIMEOUT_MS = 600_000;
const GOODBYE_TIMEOUT_MS = 5_000;
const MAX_LINE_BYTES = 4096;
const MAX_REPLY_LINES = 128;

interface Settings {
  host: string;
  port: number;
  from: string;
  to: string[];
  /** Null sends the mail in the clear. */
  tls: TLSOptions | null;
}

interface Reply {
  code: number;
  lines: string[];
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Reads a reply: lines with one code; a hyphen behind the code says that another line follows. */
async function readReply(socket: AsyncSocket, timeout = REPLY_TIMEOUT_MS): Promise<Reply> {
  const lines: string[] = [];
  let firstCode: string | undefined;
  while (lines.length < MAX_REPLY_LINES) {
    const line = await socket.readLine({ timeout, maxLength: MAX_LINE_BYTES });
    const [, code, mark, text = ""] = /^([2-5]\d\d)(?:([ -])(.*))?$/.exec(line) ?? [];
    firstCode ??= code;
    if (code === undefined || code !== firstCode)
      throw new Error(`Expected an SMTP reply, got ${JSON.stringify(line)}`);
    lines.push(text);
    if (mark !== "-") return { code: Number(code), lines };
  }
  throw new Error(`Expected an SMTP reply of at most ${MAX_REPLY_LINES} lines, got more`);
}

/** Reads a reply, and throws unless it is the expected one. */
async function expectReply(socket: AsyncSocket, what: string, expected: number, timeout?: number): Promise<Reply> {
  let reply: Reply;
  try {
    reply = await readReply(socket, timeout);
  } catch (error) {
    throw new Error(`${what}: ${messageOf(error)}`, { cause: error });
  }
  if (reply.code === expected) return reply;
  throw new Error(`${what}: the server says ${reply.code} ${reply.lines.join(" / ")}`);
}

function command(socket: AsyncSocket, line: string, expected: number): Promise<Reply> {
  socket.write(line + CRLF);
  return expectReply(socket, line, expected);
}

/** The server's extensions: the first word of each line, except the first line, which has the server's name. */
async function sayHello(socket: AsyncSocket): Promise<Map<string, string>> {
  const { lines } = await command(socket, `EHLO ${hostname()}`, 250);
  return new Map(lines.slice(1).map((line) => [line.split(" ", 1)[0]?.toUpperCase() ?? "", line]));
}

/** Encrypts, and asks for the extensions again: an attacker may have written what came in the clear. */
async function secure(
  socket: AsyncSocket,
  extensions: Map<string, string>,
  tls: TLSOptions,
): Promise<Map<string, string>> {
  if (!extensions.has("STARTTLS")) throw new Error("The server does not offer STARTTLS: no mail was sent");
  await command(socket, "STARTTLS", 220);
  const { version, cipher } = await socket.startTLS(tls);
  console.error(`Encrypted by ${version}, ${cipher}`);
  return sayHello(socket);
}

/**
 * The mail as it is sent: each line ends in CRLF, and a line that begins with a dot gets another dot before it, because a single
 * dot ends the mail. The text is decoded as Latin-1, so that every byte of the mail stays as it is, whatever its encoding.
 */
function encode(mail: Buffer): Buffer {
  const text = mail.toString("latin1").replace(/\r\n|\r|\n/g, CRLF);
  const lines = text === "" || text.endsWith(CRLF) ? text : text + CRLF;
  return Buffer.from(`${lines.replace(/^\./gm, "..")}.${CRLF}`, "latin1");
}

/** The parameters that announce the mail's size and encoding, as far as the server supports them. */
function parametersFor(content: Buffer, extensions: Map<string, string>): string {
  const isPlain = content.every((byte) => byte < 128);
  const size = extensions.has("SIZE") ? ` SIZE=${content.length}` : "";
  return size + (extensions.has("8BITMIME") && !isPlain ? " BODY=8BITMIME" : "");
}

/** @returns the server's answer to the mail */
async function send(socket: AsyncSocket, { from, to, tls }: Settings, mail: Buffer): Promise<string> {
  await expectReply(socket, "Welcome", 220);
  let extensions = await sayHello(socket);
  if (tls !== null) extensions = await secure(socket, extensions, tls);
  const content = encode(mail);
  await command(socket, `MAIL FROM:<${from}>${parametersFor(content, extensions)}`, 250);
  for (const recipient of to) await command(socket, `RCPT TO:<${recipient}>`, 250);
  await command(socket, "DATA", 354);
  socket.write(content);
  const { lines } = await expectReply(socket, "The mail", 250, TAKING_TIMEOUT_MS);
  return lines.join(" ");
}

async function connectAndSend(settings: Settings, mail: Buffer): Promise<string> {
  const { host, port } = settings;
  // The mail is in memory anyway, so it costs nothing more while it waits to be sent.
  const limits = { writeQueue: Infinity };
  await using socket = await AsyncSocket.connect({ host, port, timeout: CONNECT_TIMEOUT_MS, limits });
  try {
    return await send(socket, settings, mail);
  } finally {
    // The mail is accepted or refused already: the answer to QUIT changes nothing.
    if (socket.state === "open") socket.write(`QUIT${CRLF}`);
    await readReply(socket, GOODBYE_TIMEOUT_MS).catch(() => undefined);
  }
}

/** @throws where the arguments cannot be used */
function readArguments(): Settings {
  const { values } = parseArgs({
    options: {
      host: { type: "string", default: "localhost" },
      port: { type: "string", default: "25" },
      from: { type: "string", default: "" }, // none is for mails about mails
      to: { type: "string", multiple: true, default: [] },
      starttls: { type: "string", default: "required" },
      ca: { type: "string" }, // a PEM file, in place of the authorities that Node.js knows
      servername: { type: "string" }, // whom the certificate is for, if not the host
    },
  });
  const { host, from, to, starttls, servername } = values;
  const isAddress = /^[^<>\s]+$/; // no line break, above all: what follows would be another command
  const wrong = [...to, ...(from === "" ? [] : [from])].find((address) => !isAddress.test(address));
  if (wrong !== undefined) throw new Error(`Expected an address, got ${JSON.stringify(wrong)}`);
  if (to.length === 0) throw new Error("Expected --to ADDRESS, got none");
  if (starttls !== "required" && starttls !== "no") {
    throw new Error(`Expected --starttls required or no, got ${JSON.stringify(starttls)}`);
  }
  const ca = values.ca === undefined ? undefined : readFileSync(values.ca);
  return { host, port: Number(values.port), from, to, tls: starttls === "no" ? null : { ca, servername } };
}

/** @returns the exit code of the program */
async function main(): Promise<number> {
  let settings: Settings;
  try {
    settings = readArguments();
  } catch (error) {
    console.error(`${messageOf(error)}\n${USAGE}`);
    return 2;
  }
  try {
    console.log(await connectAndSend(settings, await buffer(process.stdin)));
    return 0;
  } catch (error) {
    console.error(messageOf(error));
    return 1;
  }
}

process.exitCode = await main();
