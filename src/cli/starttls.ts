/** What is said before TLS, in the protocols that begin in the clear. */

import { hostname } from "node:os";
import { type AsyncSocket, lengthPrefixed, type TLSInfo, type TLSOptions } from "../index.js";
import { StartTLSError } from "./exit-code.js";
import { printable } from "./printable.js";

export const STARTTLS_PROTOCOLS = ["smtp", "imap", "pop3", "xmpp", "ldap", "postgres"] as const;
export type StartTLSProtocol = (typeof STARTTLS_PROTOCOLS)[number];

/** How long each answer of the server may take, and how long it may be. */
const ANSWER = { timeout: 30_000, maxLength: 65_536 };

type Dialog = (socket: AsyncSocket, host: string) => Promise<void>;

const DIALOGS: Readonly<Record<StartTLSProtocol, Dialog>> = { smtp, imap, pop3, xmpp, ldap, postgres };

/**
 * Asks for TLS as the protocol does, and upgrades the connection.
 * @throws StartTLSError if the server refuses; AsyncSocketError if the connection fails
 */
export async function startTLS(
  socket: AsyncSocket,
  protocol: StartTLSProtocol,
  host: string,
  tls: TLSOptions,
): Promise<TLSInfo> {
  try {
    await DIALOGS[protocol](socket, host);
    return await socket.startTLS(tls);
  } catch (error) {
    socket.disconnect();
    throw error;
  }
}

/** RFC 3207. */
async function smtp(socket: AsyncSocket): Promise<void> {
  await reply(socket, "220");
  socket.writeLine(`EHLO ${hostname()}`, { ending: "\r\n" });
  const offered = await reply(socket, "250");
  if (!offered.some((line) => /^STARTTLS$/i.test(line.slice(4).trim()))) throw notOffered("STARTTLS", offered.at(-1));
  socket.writeLine("STARTTLS", { ending: "\r\n" });
  await reply(socket, "220");
}

/** The lines of an SMTP reply; all but the last have a hyphen behind the code. */
async function reply(socket: AsyncSocket, code: string): Promise<string[]> {
  const lines: string[] = [];
  do lines.push(await socket.readLine(ANSWER));
  while (lines.at(-1)?.[3] === "-" && lines.length < MOST_LINES);
  const last = lines.at(-1) ?? "";
  if (!last.startsWith(code)) throw refused(code, last);
  return lines;
}

const MOST_LINES = 1_000;

/** RFC 3501, section 6.2.1. What the server tells without being asked begins with `*`. */
async function imap(socket: AsyncSocket): Promise<void> {
  const greeting = await socket.readLine(ANSWER);
  if (!/^\* (OK|PREAUTH)\b/i.test(greeting)) throw refused("* OK", greeting);
  socket.writeLine("a1 STARTTLS", { ending: "\r\n" });
  let answer = await socket.readLine(ANSWER);
  while (answer.startsWith("* ")) answer = await socket.readLine(ANSWER);
  if (!/^a1 OK\b/i.test(answer)) throw refused("a1 OK", answer);
}

/** RFC 2595, section 4. */
async function pop3(socket: AsyncSocket): Promise<void> {
  const greeting = await socket.readLine(ANSWER);
  if (!greeting.startsWith("+OK")) throw refused("+OK", greeting);
  socket.writeLine("STLS", { ending: "\r\n" });
  const answer = await socket.readLine(ANSWER);
  if (!answer.startsWith("+OK")) throw refused("+OK", answer);
}

/** RFC 6120, section 5. */
async function xmpp(socket: AsyncSocket, host: string): Promise<void> {
  const names = "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'";
  socket.write(`<?xml version='1.0'?><stream:stream to='${attribute(host)}' ${names}>`);
  const features = await socket.readUntil(["</stream:features>", "</stream:stream>"], { ...ANSWER, encoding: "utf8" });
  if (!features.includes("urn:ietf:params:xml:ns:xmpp-tls")) throw notOffered("STARTTLS", features);
  socket.write("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
  const answer = await socket.readUntil(">", { ...ANSWER, encoding: "utf8" });
  if (!/<proceed\b/.test(answer)) throw refused("<proceed/>", answer);
}

function attribute(text: string): string {
  return text.replace(/[<>&'"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** RFC 4511, section 4.14: an extended request by the name of StartTLS, as message 1. */
async function ldap(socket: AsyncSocket): Promise<void> {
  const name = Buffer.from("1.3.6.1.4.1.1466.20037");
  const request = [0x77, 2 + name.length, 0x80, name.length];
  socket.write([Buffer.from([0x30, 3 + request.length + name.length, 0x02, 0x01, 0x01, ...request]), name]);
  const [, length = 0] = await socket.readExactly(2, ANSWER);
  const longLength = length < 0x80 ? undefined : await socket.readExactly(length & 0x7f, ANSWER);
  const bodyLength = longLength?.reduce((sum, byte) => sum * 256 + byte, 0) ?? length;
  if (bodyLength > ANSWER.maxLength) throw refused("an ExtendedResponse", `${bodyLength} bytes`);
  const body = await socket.readExactly(bodyLength, ANSWER);
  // The message identifier, the response (tag 0x78) with its length, and the result code, 0 for success.
  const result = /^\x02\x01\x01\x78(?:[\0-\x7f]|[\x81-\x84][^]{1,4}?)\x0a\x01([^])/.exec(body.toString("latin1"));
  if (result?.[1] !== "\0") throw refused("success", `result code ${result?.[1]?.charCodeAt(0) ?? "unknown"}`);
}

/** The SSLRequest of the frontend/backend protocol, which is answered by one byte. */
async function postgres(socket: AsyncSocket): Promise<void> {
  const body = Buffer.alloc(4);
  body.writeUInt32BE(80_877_103);
  socket.writeMessage(lengthPrefixed({ lengthBytes: 4, lengthIncludesHeader: true }), body);
  const answer = await socket.readExactly(1, { ...ANSWER, encoding: "latin1" });
  if (answer === "N") throw notOffered("SSL", answer);
  if (answer !== "S") throw refused("S", answer);
}

function refused(expected: string, got: string): StartTLSError {
  return new StartTLSError(`Expected "${expected}" from the server, got "${shortened(got)}"`);
}

function notOffered(what: string, got = ""): StartTLSError {
  return new StartTLSError(`The server does not offer ${what}; it said "${shortened(got)}"`);
}

function shortened(text: string): string {
  return printable(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}
