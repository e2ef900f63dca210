import type { ConversationSocket } from "./conversation.js";
import { bracketed, ProxyDialog } from "./dialog.js";
import { checkTargetHost, type ProxyServer, type ProxyTarget } from "./proxy-url.js";

/** Of the whole answer, down to the empty line, interim answers counted. */
export const HEADER_MAX_BYTES = 16 * 1024;
/** Of a status line, in a message. */
const SHOWN_MAX = 120;

/** What statuses mean where CONNECT was asked for; the rest speak for themselves. */
const STATUSES: ReadonlyMap<number, string> = new Map([
  [400, "it does not understand the request"],
  [403, "its rules do not allow that"],
  [404, "it takes no such requests, and is perhaps no proxy"],
  [405, "it takes no such requests, and is perhaps no proxy"],
  [407, "it asks for a user name and a password"],
  [501, "it takes no such requests, and is perhaps no proxy"],
  [502, "it cannot reach that host"],
  [503, "it cannot reach that host now"],
  [504, "it had no answer from that host"],
]);

/**
 * Has an HTTP proxy connect (CONNECT, RFC 9110 section 9.3.6; user name and password by the Basic scheme). `socket` is
 * connected to the proxy, with nothing queued. Any 2xx is success: then all that is read and written goes to and comes
 * from the target, and no byte behind the empty line has been taken.
 *
 * On a failure the socket is of no more use; the caller closes it. There is no timeout but those the socket has.
 *
 * @throws PROXY when the proxy refuses, goes away, speaks something else, or sends a header of more than 16 KiB: in
 *   words, without the password
 * @throws RangeError before a byte is sent, where a proxy cannot be asked for the host
 * @throws whatever a read fails with that this side has ended: `CANCELED`, `CLOSED`
 */
export async function httpConnectHandshake(
  socket: ConversationSocket,
  proxy: ProxyServer,
  target: ProxyTarget,
): Promise<void> {
  const request = encodeRequest(proxy, target);
  const dialog = new ProxyDialog(socket, proxy, target);
  dialog.send(request);
  let left = HEADER_MAX_BYTES;
  for (;;) {
    const answer = await readAnswer(dialog, left);
    left = answer.left;
    if (answer.status >= 300 || answer.status === 101) throw refusal(dialog, proxy, answer);
    // Interim answers say that it is at work.
    if (answer.status >= 200) return;
  }
}

interface Answer {
  readonly status: number;
  readonly line: string;
  /** How many bytes more may come. */
  readonly left: number;
}

const TOO_LONG = `its answer has no end within ${HEADER_MAX_BYTES} bytes`;

/** The status line is looked at before the rest is waited for: what speaks no HTTP may never send an empty line. */
async function readAnswer(dialog: ProxyDialog, most: number): Promise<Answer> {
  const first = await dialog.line(most, TOO_LONG);
  const line = shown(first);
  const status = /^HTTP\/1\.[0-9] ([1-5][0-9]{2})(?: |$)/.exec(line)?.[1];
  if (status === undefined) throw dialog.failure(`it does not speak HTTP/1.1 (its answer begins with "${line}")`);
  let left = most - first.length;
  for (;;) {
    const field = await dialog.line(left, TOO_LONG);
    left -= field.length;
    // A bare LF ends a line, too (RFC 9112, section 2.2).
    if (field.length === 1 || (field.length === 2 && field[0] === 0x0d)) break;
  }
  return { status: Number(status), line, left };
}

function refusal(dialog: ProxyDialog, proxy: ProxyServer, { status, line }: Answer): Error {
  const isLoginWrong = status === 407 && proxy.username !== null;
  const words = isLoginWrong ? "it does not accept the user name and the password" : STATUSES.get(status);
  return dialog.failure(words === undefined ? `it answered "${line}"` : `${words} ("${line}")`);
}

/** What a stranger sent goes into logs: without its ending and control characters, and not too much of it. */
function shown(line: Buffer): string {
  const text = line.toString("latin1", 0, SHOWN_MAX + 2).replace(/\r?\n$/, "");
  const safe = text.replace(/[^\x20-\x7e]/g, "?");
  return safe.length > SHOWN_MAX ? `${safe.slice(0, SHOWN_MAX)}…` : safe;
}

function encodeRequest({ username, password }: ProxyServer, { host, port }: ProxyTarget): string {
  const authority = `${bracketed(checkTargetHost(host).text)}:${port}`;
  const login = Buffer.from(`${username ?? ""}:${password}`).toString("base64");
  const authorization = username === null ? "" : `Proxy-Authorization: Basic ${login}\r\n`;
  return `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${authorization}\r\n`;
}
