/** The `proxy` option of `connect`: a URL, or more than that. */

import { checkOptions } from "../../base/checks.js";
import { checkNames, type OptionNames } from "../../base/option-names.js";
import type { TLSOptions } from "../../tls/options.js";
import { checkProxyURL, hidden, type ProxyServer } from "./proxy-url.js";

/** A proxy to connect through, with what a URL cannot say. */
export interface ProxyOptions {
  /** The URL of the proxy, as `proxy` itself may be one. */
  url: string;
  /**
   * Header fields to send to an `http` or `https` proxy with CONNECT, by name, such as
   * `{ "Proxy-Authorization": "Bearer …" }`. Names are tokens, and values have no line breaks and no characters above
   * U+00FF. `Host`, `Content-Length` and `Transfer-Encoding` cannot be set, and `Proxy-Authorization` not together with
   * a user name in `url`. No error message ever shows a value.
   * @default none
   */
  headers?: Readonly<Record<string, string | undefined>> | undefined;
  /**
   * How the connection to an `https` proxy is encrypted, as the options of `tls` say: the proxy's certificate must be
   * valid for its own name. The option `tls` of `connect` is for the target.
   * @default the defaults of TLS, and the protocol `"http/1.1"`
   */
  tls?: TLSOptions | undefined;
}

const PROXY_OPTIONS: OptionNames<ProxyOptions> = { url: true, headers: true, tls: true };

/**
 * Checks the `proxy` option.
 * @throws TypeError, RangeError that show nothing that might be a password
 */
export function checkProxy(value: string | ProxyOptions | undefined): ProxyServer | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "object" || (value as unknown) === null) return checkProxyURL("proxy", value);
  checkNames("options of proxy", value, PROXY_OPTIONS);
  const tls = checkOptions(value.tls, "proxy.tls");
  const server = checkProxyURL("proxy.url", value.url, tls);
  if (tls !== undefined && server.secure === null) {
    throw new TypeError("Expected proxy.tls only with an https:// proxy, got another one");
  }
  return { ...server, fields: checkHeaders(server, value.headers) };
}

/** The names that an HTTP field may have, and the characters of its value (RFC 9110, section 5). */
const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/i;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** Fields that say where the request goes, and where it ends. */
const OWN = ["host", "content-length", "transfer-encoding"];

/** Checks header fields, and returns them as they are sent. */
function checkHeaders(server: ProxyServer, given: ProxyOptions["headers"]): string {
  const headers = checkOptions(given, "proxy.headers") ?? {};
  const fields = Object.entries(headers).filter(([, value]) => value !== undefined);
  if (fields.length > 0 && server.kind !== "http") {
    throw new TypeError("Expected proxy.headers only with an http:// or https:// proxy, got a SOCKS5 proxy");
  }
  return fields.map(([name, value]) => checkField(server, name, value)).join("");
}

function checkField({ username }: ProxyServer, name: string, value: unknown): string {
  if (!TOKEN.test(name)) throw hidden("the names in proxy.headers", "names of header fields");
  if (OWN.includes(name.toLowerCase())) {
    throw new RangeError(`Expected the names in proxy.headers to be none of ${OWN.join(", ")}, got "${name}"`);
  }
  if (username !== null && name.toLowerCase() === "proxy-authorization") {
    throw new TypeError("Expected either a user name in proxy.url or Proxy-Authorization in proxy.headers, got both");
  }
  if (typeof value !== "string" || !VALUE.test(value)) {
    throw hidden("the values in proxy.headers", "strings without line breaks and characters above U+00FF");
  }
  return `${name}: ${value}\r\n`;
}
