import type { ConversationSocket } from "./conversation.js";
import { bracketed, ProxyDialog } from "./dialog.js";
import { checkTargetHost, type ProxyServer, type ProxyTarget } from "./proxy-url.js";

/** The most bytes of the whole answer, including the empty line and interim answers. */
export const HEADER_MAX_BYTES = 16 * 1024;
/** The most characters of a status line that are shown in an error message. */
const SHOWN_MAX = 120;

/** What statuses mean as answers to CONNECT. For any other status, the message shows the status line. */
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
 * Asks an HTTP proxy to connect to a target (CONNECT, RFC 9110 section 9.3.6; user name and password by the Basic
 * scheme). `socket` must be connected to the proxy, with nothing queued. Any 2xx status is success: from then on, the
 * socket reads from and writes to the target, and no byte after the empty line has been consumed.
 *
 * After a failure the socket is of no use, and the caller closes it. There is no timeout except those of the socket.
 * @throws PROXY when the proxy refuses, closes the connection, does not speak HTTP, or sends a header of more than 16
 * KiB; the message never shows the password
 * @throws RangeError before a byte is sent, if a proxy cannot be asked for the host
 * @throws CANCELED, CLOSED if this side ended the connection
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
    // Interim answers (1xx) only say that the proxy is working on the request.
    if (answer.status >= 200) return;
  }
}

interface Answer {
  readonly status: number;
  readonly line: string;
  /** How many more bytes the answer may have. */
  readonly left: number;
}

const TOO_LONG = `its answer has no end within ${HEADER_MAX_BYTES} bytes`;

/**
 * Reads an answer. The status line is checked before the rest is awaited, because a server that speaks no HTTP may
 * never send an empty line.
 */
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

/**
 * A status line as it may appear in logs: without its ending and without control characters, and cut to a maximum
 * length.
 */
function shown(line: Buffer): string {
  const text = line.toString("latin1", 0, SHOWN_MAX + 2).replace(/\r?\n$/, "");
  const safe = text.replace(/[^\x20-\x7e]/g, "?");
  return safe.length > SHOWN_MAX ? `${safe.slice(0, SHOWN_MAX)}…` : safe;
}

function encodeRequest({ username, password, fields }: ProxyServer, { host, port }: ProxyTarget): Buffer {
  const authority = `${bracketed(checkTargetHost(host).text)}:${port}`;
  const login = Buffer.from(`${username ?? ""}:${password}`).toString("base64");
  const authorization = username === null ? "" : `Proxy-Authorization: Basic ${login}\r\n`;
  const request = `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${authorization}${fields}\r\n`;
  return Buffer.from(request, "latin1");
}
