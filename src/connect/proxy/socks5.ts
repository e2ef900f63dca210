import { ipv4Bytes, ipv6Bytes } from "../../base/ip-bytes.js";
import type { ConversationSocket } from "./conversation.js";
import { ProxyDialog } from "./dialog.js";
import { checkTargetHost, type ProxyServer, type ProxyTarget } from "./proxy-url.js";

const VERSION = 5;
const CONNECT = 1;
const NO_LOGIN = 0;
const BY_PASSWORD = 2;
const NO_WAY = 0xff;
/** The version of the user name and password exchange (RFC 1929), which differs from the version of SOCKS. */
const LOGIN_VERSION = 1;

const IPV4 = 1;
const NAME = 3;
const IPV6 = 4;

/** The reply codes of RFC 1928, section 6, in words. */
const REPLIES: ReadonlyMap<number, string> = new Map([
  [1, "it failed, and does not say why"],
  [2, "its rules do not allow that"],
  [3, "no route to that network"],
  [4, "no route to that host"],
  [5, "nothing listens there"],
  [6, "the way there has too many hops"],
  [7, "it makes no outgoing connections"],
  [8, "it does not take that kind of address"],
]);

/** The replies that tell of one address, so that another address of the same host may be reached all the same. */
const OF_ONE_ADDRESS = [1, 3, 4, 5, 6, 8];

/** Why an address was not reached, by the errors that say so. */
const reasons = new WeakMap<Error, string>();

/** Why the proxy did not reach the address, if the error says that; undefined if another address would fare no better. */
export function whyNotReached(error: unknown): string | undefined {
  return error instanceof Error ? reasons.get(error) : undefined;
}

/**
 * Asks a SOCKS5 proxy to connect to a target (RFC 1928, RFC 1929). `socket` must be connected to the proxy, with
 * nothing queued. After success, the socket reads from and writes to the target, and no byte of the target's has been
 * consumed.
 *
 * A host name is sent to the proxy as it is; the caller decides whether it should be (`proxy.resolvesNames`). After a
 * failure the socket is of no use, and the caller closes it. There is no timeout except those of the socket.
 * @throws PROXY when the proxy refuses, fails, closes the connection, or does not speak SOCKS5; the message never shows
 * the password
 * @throws RangeError before a byte is sent, if a proxy cannot be asked for the host
 * @throws CANCELED, CLOSED if this side ended the connection
 */
export async function socks5Handshake(
  socket: ConversationSocket,
  proxy: ProxyServer,
  target: ProxyTarget,
): Promise<void> {
  const request = encodeRequest(target);
  const dialog = new ProxyDialog(socket, proxy, target);
  await logIn(dialog, proxy);
  dialog.send(request);
  await readReply(dialog);
}

async function logIn(dialog: ProxyDialog, proxy: ProxyServer): Promise<void> {
  const offered = proxy.username === null ? [NO_LOGIN] : [NO_LOGIN, BY_PASSWORD];
  dialog.send(Buffer.of(VERSION, offered.length, ...offered));
  const method = await readCode(dialog);
  if (method === NO_WAY) {
    const why = proxy.username === null ? "asks for a user name and a password" : "takes no user name and password";
    throw dialog.failure(`it ${why}, or for some other way to log in`);
  }
  if (!offered.includes(method)) throw dialog.failure(`it chose a way to log in (${method}) that was not offered`);
  if (method === BY_PASSWORD) await sendPassword(dialog, proxy);
}

async function sendPassword(dialog: ProxyDialog, { username, password }: ProxyServer): Promise<void> {
  const name = Buffer.from(username ?? "");
  const secret = Buffer.from(password);
  dialog.send(Buffer.concat([Buffer.of(LOGIN_VERSION, name.length), name, Buffer.of(secret.length), secret]));
  // The first byte should be LOGIN_VERSION. It is not checked, since some proxies send 5 and nothing depends on it.
  const answer = await dialog.read(2);
  if (answer.readUInt8(1) !== 0) throw dialog.failure("it does not accept the user name and the password");
}

/**
 * Reads the reply: VER REP RSV ATYP, then an address and a port, which are those the proxy connects from and are not
 * needed.
 */
async function readReply(dialog: ProxyDialog): Promise<void> {
  // The first two bytes tell a refusal, and some proxies send no more than those.
  const code = await readCode(dialog);
  if (code !== 0) throw refusal(dialog, code);
  const addressType = (await dialog.read(2)).readUInt8(1);
  await dialog.skip((await addressBytes(dialog, addressType)) + 2);
}

function refusal(dialog: ProxyDialog, code: number): Error {
  const why = `${REPLIES.get(code) ?? "it gives a reason that nobody knows"} (reply ${code})`;
  const error = dialog.failure(why);
  if (OF_ONE_ADDRESS.includes(code)) reasons.set(error, why);
  return error;
}

async function addressBytes(dialog: ProxyDialog, addressType: number): Promise<number> {
  if (addressType === IPV4) return 4;
  if (addressType === IPV6) return 16;
  if (addressType === NAME) return (await dialog.read(1)).readUInt8();
  throw dialog.failure(`its answer has an unknown kind of address (${addressType})`);
}

/** Reads the version byte and returns the code after it. */
async function readCode(dialog: ProxyDialog): Promise<number> {
  const answer = await dialog.read(2);
  if (answer.readUInt8() !== VERSION) {
    throw dialog.failure(`it does not speak SOCKS5 (its answer begins with the bytes ${answer.join(" ")})`);
  }
  return answer.readUInt8(1);
}

function encodeRequest({ host, port }: ProxyTarget): Buffer {
  const { family, text } = checkTargetHost(host);
  return Buffer.concat([
    Buffer.of(VERSION, CONNECT, 0),
    family === "IPv4" ? Buffer.of(IPV4) : family === "IPv6" ? Buffer.of(IPV6) : Buffer.of(NAME, text.length),
    family === "IPv4" ? ipv4Bytes(text) : family === "IPv6" ? ipv6Bytes(text) : Buffer.from(text),
    Buffer.of(port >> 8, port & 255),
  ]);
}
