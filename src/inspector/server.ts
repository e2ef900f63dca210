/** The page's HTTP server: GET alone, one request for each connection, for whoever knows the token. */

import { createHash, timingSafeEqual } from "node:crypto";
import { isIPv4, isIPv6 } from "node:net";
import { AsyncSocket } from "../index.js";
import { own } from "./own.js";
import { PAGE } from "./page.js";
import { SCRIPT } from "./script.js";
import { STYLE } from "./style.js";
import type { Watcher } from "./watcher.js";

const HEAD_BYTES = 16 * 1024;
const HEAD_MS = 10_000;
/** Event streams have a limit of their own, and the rest makes room for newer ones, so that neither keeps the other out. */
const STREAMS = 24;
const GUESTS = 24;
const CONNECTIONS = 64;

const HEADERS = [
  "Cache-Control: no-store",
  "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "Cross-Origin-Opener-Policy: same-origin",
  "Cross-Origin-Resource-Policy: same-origin",
  "Referrer-Policy: no-referrer",
  "X-Content-Type-Options: nosniff",
  "Connection: close",
];

const FILES: Readonly<Record<string, readonly [type: string, body: string]>> = {
  "": ["text/html; charset=utf-8", PAGE],
  "script.js": ["text/javascript; charset=utf-8", SCRIPT],
  "style.css": ["text/css; charset=utf-8", STYLE],
};

interface Site {
  readonly host: string;
  readonly port: number;
  readonly token: string;
  readonly watcher: Watcher;
}

/** The open connections: those that are event streams, and those that are not, or not yet, oldest first. */
interface Visitors {
  readonly streams: Set<AsyncSocket>;
  readonly guests: Set<AsyncSocket>;
}

interface RequestHead {
  readonly method: string;
  readonly path: string;
  readonly fields: ReadonlyMap<string, string>;
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}

/** Begins to serve the page. @throws LISTEN if the port is taken */
export async function listenOn(site: Site): Promise<{ listener: AsyncSocket; url: string }> {
  const visitors: Visitors = { streams: new Set(), guests: new Set() };
  const listener = new AsyncSocket({
    limits: { connections: CONNECTIONS, readLength: HEAD_BYTES },
    delegate: {
      didAccept(_listener, socket) {
        own.add(socket);
        socket.unref();
        welcome(socket, visitors);
        answer(socket, { ...site, port: listener.port ?? 0 }, visitors).catch(() => socket.disconnect());
      },
    },
  });
  own.add(listener);
  await listener.listen({ host: site.host, port: site.port });
  listener.unref();
  const host = isIPv6(site.host) ? `[${site.host}]` : site.host;
  return { listener, url: `http://${host}:${listener.port}/${site.token}/` };
}

/** Lets a connection in. Those that send nothing, or do not go, must keep nobody out: the oldest makes room. */
function welcome(socket: AsyncSocket, { streams, guests }: Visitors): void {
  const [oldest] = guests;
  if (oldest !== undefined && guests.size >= GUESTS) {
    guests.delete(oldest);
    void oldest.disconnect();
  }
  guests.add(socket);
  void socket.closed.then(() => {
    guests.delete(socket);
    streams.delete(socket);
  });
}

async function answer(socket: AsyncSocket, site: Site, visitors: Visitors): Promise<void> {
  const text = await socket.readUntil("\r\n\r\n", { timeout: HEAD_MS, maxLength: HEAD_BYTES, encoding: "latin1" });
  const head = parse(text);
  const refusal = head === null ? "400 Bad Request" : refusalOf(head, site);
  if (head === null || refusal !== null) respond(socket, refusal ?? "", "text/plain", `${refusal}\n`);
  else serve(socket, head.path.split("/")[2] ?? "", site.watcher, visitors);
}

function parse(text: string): RequestHead | null {
  const [line = "", ...rest] = text.trimEnd().split("\r\n");
  const [, method, path] = /^([A-Z]+) (\/\S*) HTTP\/1\.[01]$/.exec(line) ?? [];
  if (method === undefined || path === undefined) return null;
  const fields = new Map<string, string>();
  for (const field of rest) {
    const [, name, value] = /^([\w-]+):[ \t]*(.*?)[ \t]*$/.exec(field) ?? [];
    // A field twice, such as two hosts, may mean one thing here and another elsewhere.
    if (name === undefined || value === undefined || fields.has(name.toLowerCase())) return null;
    fields.set(name.toLowerCase(), value);
  }
  return { method, path, fields };
}

/** Why a request is refused; null if it is not. A page of another site can ask for this one, but not as this one. */
export function refusalOf({ method, path, fields }: RequestHead, site: Omit<Site, "watcher">): string | null {
  const { host, port, token } = site;
  const hosts = [host, "localhost", "127.0.0.1", "[::1]"].map((name) => (isIPv6(name) ? `[${name}]` : name));
  const names = hosts.map((name) => `${name}:${port}`);
  // Browsers leave the port out where it is that of HTTP.
  if (port === 80) names.push(...hosts);
  const asked = fields.get("host") ?? "";
  if (!names.includes(asked)) return "421 Misdirected Request";
  const origin = fields.get("origin");
  if (origin !== undefined && origin !== `http://${asked}`) return "403 Forbidden";
  const from = fields.get("sec-fetch-site");
  if (from !== undefined && from !== "same-origin" && from !== "none") return "403 Forbidden";
  const [, given = "", file = "", ...deeper] = path.split("/");
  if (!isEqual(given, token)) return "403 Forbidden";
  if (method !== "GET") return "405 Method Not Allowed";
  return deeper.length === 0 && (Object.hasOwn(FILES, file) || file === "events") ? null : "404 Not Found";
}

/** Compares in a time that does not depend on where the texts differ. */
function isEqual(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

function headOf(status: string, type: string, ...more: readonly string[]): string {
  return [`HTTP/1.1 ${status}`, `Content-Type: ${type}`, ...HEADERS, ...more, "", ""].join("\r\n");
}

function respond(socket: AsyncSocket, status: string, type: string, body: string): void {
  socket.write(headOf(status, type, `Content-Length: ${Buffer.byteLength(body)}`) + body);
  void socket.disconnectAfterWriting();
}

function serve(socket: AsyncSocket, file: string, watcher: Watcher, { streams, guests }: Visitors): void {
  const found = FILES[file];
  if (found !== undefined) {
    respond(socket, "200 OK", ...found);
    return;
  }
  if (streams.size >= STREAMS) {
    respond(socket, "503 Service Unavailable", "text/plain", "Too many pages are open\n");
    return;
  }
  guests.delete(socket);
  streams.add(socket);
  socket.write(headOf("200 OK", "text/event-stream"));
  const stop = watcher.watch((json) => {
    // A page that is slow, or sleeps, misses some: what is old is of no use to it.
    if (socket.state === "open" && socket.pendingWrites === 0) socket.write(`data: ${json}\n\n`);
  });
  // The peer says nothing more, so this read ends with the connection.
  void socket.skip(1).catch(() => undefined);
  void socket.closed.then(stop);
}
