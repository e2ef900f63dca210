/** Where to connect to or to listen on: HOST PORT, HOST:PORT, a path, or a URI. */

import { UsageError } from "./exit-code.js";

export interface Target {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly path?: string | undefined;
  /** Whether the scheme of a URI asks for TLS from the first byte. */
  readonly tls: boolean;
}

/** The schemes of URIs: the port that each stands for, and whether it means TLS. */
const SCHEMES: Readonly<Record<string, readonly [port: number | undefined, tls: boolean]>> = {
  tcp: [undefined, false],
  tls: [undefined, true],
  http: [80, false],
  https: [443, true],
  smtp: [25, false],
  submission: [587, false],
  smtps: [465, true],
  imap: [143, false],
  imaps: [993, true],
  pop3: [110, false],
  pop3s: [995, true],
  xmpp: [5222, false],
  ldap: [389, false],
  ldaps: [636, true],
  postgres: [5432, false],
  postgresql: [5432, false],
  redis: [6379, false],
  rediss: [6380, true],
  mqtt: [1883, false],
  mqtts: [8883, true],
};

/** @throws UsageError */
export function parseTarget(words: readonly string[]): Target {
  const [first, second] = words;
  if (first === undefined) throw new UsageError("Expected HOST PORT, a path, or a URI");
  if (words.length > 2) throw new UsageError(`Expected HOST PORT, a path, or a URI, got ${words.length} words`);
  if (second !== undefined) return { host: first, port: portOf(second), tls: false };
  const [, scheme, rest = ""] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(first) ?? [];
  if (scheme !== undefined) return fromURI(scheme.toLowerCase(), rest);
  const [, unixPath] = /^unix:(.+)$/s.exec(first) ?? [];
  if (unixPath !== undefined || first.startsWith("@") || first.includes("/")) return fromPath(unixPath ?? first);
  return { ...fromAuthority(first), tls: false };
}

function fromURI(scheme: string, rest: string): Target {
  if (scheme === "unix") return fromPath(rest);
  const known = SCHEMES[scheme];
  if (known === undefined) {
    throw new UsageError(`Expected a scheme out of unix, ${Object.keys(SCHEMES).join(", ")}, got "${scheme}"`);
  }
  const [defaultPort, tls] = known;
  const { host, port = defaultPort } = fromAuthority(rest.replace(/\/$/, ""));
  return { host, port, tls };
}

/** A path. The name of an abstract socket begins with `@`, as `ss` shows it. */
function fromPath(path: string): Target {
  return { path: path.replace(/^@/, "\0"), tls: false };
}

/** `HOST`, `HOST:PORT`, `[ADDRESS]:PORT`, `:PORT` or `PORT`. */
function fromAuthority(text: string): Pick<Target, "host" | "port"> {
  if (/^\d+$/.test(text)) return { port: portOf(text) };
  const [, address, name, port] = /^(?:\[([^[\]]+)\]|([^:/@[\]]*))(?::(\d+))?$/.exec(text) ?? [];
  const host = address ?? name;
  if (host === undefined)
    throw new UsageError(`Expected a host and a port, such as localhost:80 or [::1]:80, got "${text}"`);
  return { host: host === "" ? undefined : host, port: port === undefined ? undefined : portOf(port) };
}

function portOf(text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw new UsageError(`Expected the port to be a number, got "${text}"`);
  return Number(text);
}
