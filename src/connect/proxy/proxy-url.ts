/** Checks the URL of a proxy. No error message ever shows a password, or any text that might contain one. */

import { isIPv6 } from "node:net";
import { wrongRange, wrongType } from "../../base/checks.js";
import { asciiName } from "../../base/host-name.js";
import { ipFamily } from "../../base/ip-bytes.js";
import type { TLSOptions } from "../../tls/options.js";
import { clientSettings, type SecureSettings } from "../../tls/settings.js";

/** A proxy to connect through. */
export interface ProxyServer {
  readonly kind: "socks5" | "http";
  /** Whether the proxy looks up names (`socks5h`, `http`), or this machine does (`socks5`). */
  readonly resolvesNames: boolean;
  /** A name, or an address without brackets. */
  readonly host: string;
  readonly port: number;
  /** The user name; null if there is none, and then there is no password either. */
  readonly username: string | null;
  readonly password: string;
  /** Header fields to add to a CONNECT request, each with its CR LF. */
  readonly fields: string;
  /** The TLS settings of the connection to the proxy; null if it is in the clear. */
  readonly secure: SecureSettings | null;
}

/** The host and port that the proxy is asked to connect to. */
export interface ProxyTarget {
  readonly host: string;
  readonly port: number;
}

interface Scheme {
  readonly kind: ProxyServer["kind"];
  readonly resolvesNames: boolean;
  readonly defaultPort: number;
  readonly isSecure?: boolean;
}

const SCHEMES: ReadonlyMap<string, Scheme> = new Map([
  ["socks5", { kind: "socks5", resolvesNames: false, defaultPort: 1080 }],
  ["socks5h", { kind: "socks5", resolvesNames: true, defaultPort: 1080 }],
  ["http", { kind: "http", resolvesNames: true, defaultPort: 80 }],
  ["https", { kind: "http", resolvesNames: true, defaultPort: 443, isSecure: true }],
]);

/**
 * The parts of a URL: scheme, user name and password, host, port. A password may contain an `@`; the last one separates
 * it from the host.
 */
const SHAPE = /^([a-z][a-z0-9+.-]*):\/\/(?:([^/?#]*)@)?(\[[^\]]*\]|[^:/?#@[\]]*)(?::([^:/?#@]*))?\/?$/i;
const SCHEME = /^[a-z][a-z0-9+.-]*:\/\//i;
/** The most bytes of a user name or password, since RFC 1929 has one byte for their length. */
const SOCKS5_MAX_BYTES = 255;

/** The text that replaces a part of a URL in error messages, since any part may turn out to be a misplaced password. */
const HIDDEN = "something else (not shown: it may hold a password)";

/**
 * Checks and parses a proxy URL: `socks5://`, `socks5h://`, `http://` or `https://`, then optionally `user:password@`
 * (percent-encoded), a host, and optionally `:port`. The default port is 1080 for SOCKS, and 80 or 443 for HTTP, as in
 * every URL of these schemes.
 * @param option the option that the URL is given by
 * @param tls the options of TLS for `https://`
 * @throws TypeError for anything but a string
 * @throws RangeError for any other string; its message shows no part of the string but the scheme
 */
export function checkProxyURL(option: string, value: unknown, tls: TLSOptions = {}): ProxyServer {
  if (typeof value !== "string") throw wrongType(option, 'a URL in a string, as "socks5://host:1080"', value);
  const name = SCHEME.exec(value)?.[0].toLowerCase();
  const scheme = SCHEMES.get(name?.slice(0, -3) ?? "");
  if (scheme === undefined) {
    const expected = "a URL that begins with socks5://, socks5h://, http:// or https://";
    throw name === undefined ? hidden(option, expected) : wrongRange(option, expected, name);
  }
  const parts = SHAPE.exec(value);
  if (parts === null) throw hidden(option, "a scheme, then user:password@ or not, a host, and :port or not");
  const [, , login, host = "", port] = parts;
  if (host === "") throw new RangeError(`Expected ${option} to have a host after ${name}, got none`);
  const where = checkHost(host);
  return {
    kind: scheme.kind,
    resolvesNames: scheme.resolvesNames,
    fields: "",
    secure: scheme.isSecure === true ? secureSettings(where, tls) : null,
    host: where,
    port: port === undefined || port === "" ? scheme.defaultPort : checkPort(port),
    ...(login === undefined || login === "" ? { username: null, password: "" } : checkLogin(scheme.kind, login)),
  };
}

function secureSettings(host: string, tls: TLSOptions): SecureSettings {
  // A proxy that is offered no protocol might speak HTTP/2.
  return clientSettings({
    ...tls,
    servername: tls.servername ?? host,
    ALPNProtocols: tls.ALPNProtocols ?? ["http/1.1"],
  });
}

/** An error that shows nothing of the value. */
export function hidden(name: string, expected: string): RangeError {
  return new RangeError(`Expected ${name} to be ${expected}, got ${HIDDEN}`);
}

function checkHost(text: string): string {
  if (text.startsWith("[")) {
    const address = text.slice(1, -1);
    if (!isIPv6(address)) throw hidden("the host of proxy", "an IPv6 address where it stands in brackets");
    return address;
  }
  const name = safeName(decode(text) ?? "");
  if (name === undefined) throw hidden("the host of proxy", "a name or an address");
  return name;
}

function checkPort(text: string): number {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw hidden("the port of proxy", "a whole number from 1 to 65535");
  return port;
}

function checkLogin(kind: ProxyServer["kind"], login: string): Pick<ProxyServer, "username" | "password"> {
  const colon = login.indexOf(":");
  const username = decode(colon === -1 ? login : login.slice(0, colon));
  const password = decode(colon === -1 ? "" : login.slice(colon + 1));
  if (username === undefined || password === undefined) {
    throw hidden("the user name and the password of proxy", "percent-encoded UTF-8");
  }
  if (username === "") throw hidden("the user name of proxy", "there where there is a password");
  if (kind === "socks5") {
    if (Buffer.byteLength(username) > SOCKS5_MAX_BYTES || Buffer.byteLength(password) > SOCKS5_MAX_BYTES) {
      throw hidden("the user name and the password of proxy", `at most ${SOCKS5_MAX_BYTES} bytes long each`);
    }
  } else if (username.includes(":") || hasControls(username + password)) {
    throw hidden("the user name and the password of proxy", "without control characters, and the name without a colon");
  }
  return { username, password };
}

function hasControls(text: string): boolean {
  return /\p{Cc}/u.test(text);
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/**
 * A host name as it is sent to a proxy: in ASCII, and without any character that has another meaning in a request.
 * Undefined if the name is not valid.
 */
function safeName(name: string): string | undefined {
  const ascii = asciiName(name) ?? "";
  return /^[\w.-]{1,255}$/.test(ascii) ? ascii : undefined;
}

/**
 * Checks the host that a proxy is asked to connect to: an address, or a name, which is turned into ASCII.
 * @throws RangeError for a name that is not valid or longer than 255 bytes, and for an address with a zone
 */
export function checkTargetHost(host: string): { readonly family: "IPv4" | "IPv6" | "name"; readonly text: string } {
  const family = ipFamily(host);
  if (family !== undefined) return { family, text: host };
  const text = safeName(host);
  if (text !== undefined) return { family: "name", text };
  throw wrongRange("host", "a name of at most 255 bytes, or an address without a zone, to reach it by a proxy", host);
}
