/** The sockets of this thread as plain data, without anything that was sent or received. */

import type { Address, ProxiedAddresses } from "../base/address.js";
import { checkOptions } from "../base/checks.js";
import { noteCurrent, noteQueued, timesOf } from "../base/entry-times.js";
import type { FullLimits } from "../base/limits.js";
import type { RequestKind, RequestState } from "../base/request.js";
import { tagText } from "../base/tag-text.js";
import type { CloseReason } from "../connection/close-reason.js";
import type { Connection } from "../connection/connection.js";
import { liveSockets } from "../connection/live-sockets.js";
import { type Entry, NO_TIMEOUT, type Wait } from "../pump/entry.js";
import { ReadEntry, UNLIMITED } from "../pump/read-entry.js";
import type { TLSInfo } from "../tls/options.js";
import { AsyncSocket } from "./async-socket.js";

/** The most entries of a queue that a snapshot shows, from its head on. */
const ENTRIES = 50;

/** An entry of a queue. Times are in milliseconds; null stands for what is not known, or for no limit. */
export interface EntrySnapshot {
  /** A number that no other entry of this thread has, and that stays the same from one snapshot to the next. */
  id: number;
  kind: RequestKind;
  /** The tag as text, in at most about 100 characters; null without one. */
  tag: string | null;
  state: RequestState;
  /** Since it was queued; where nobody had looked at that time, since a snapshot first saw it. */
  ageMs: number;
  /** Since it became the current one, in the same way; null while it waits for others. */
  currentMs: number | null;
  bytesDone: number;
  bytesTotal: number | null;
  /** The most bytes that the read may take. */
  maxLength: number | null;
  timeoutMs: number | null;
  /** How much of the timeout is left; null while it does not run. */
  dueInMs: number | null;
  /** How many messages a standing read was served; null for all other entries. */
  messages: number | null;
}

/** How much of a limit is used up. */
export interface LimitSnapshot {
  used: number;
  limit: number | null;
}

/** One socket. Null stands for what there is not. */
export interface SocketSnapshot {
  id: number;
  /** The name of its class. */
  name: string;
  state: AsyncSocket["state"];
  /** What carries the bytes, as `socket.transport` tells it. */
  transport: string;
  isStream: boolean;
  local: Address | null;
  remote: Address | null;
  proxied: ProxiedAddresses | null;
  /** The host that was connected to. */
  host: string | null;
  tls: {
    isSecure: boolean;
    version: string | null;
    cipher: string | null;
    alpn: string | null;
    servername: string | null;
    resumed: boolean;
    authorized: boolean;
    /** The name in the peer's certificate, as the peer wrote it. */
    peer: string | null;
  } | null;
  openMs: number | null;
  peerEnded: boolean;
  bytesRead: number;
  bytesWritten: number;
  /** Bytes in a second, on average since the connection was open. */
  readRate: number;
  writeRate: number;
  unreadBytes: number;
  unsentBytes: number;
  /** The first 50 entries of each queue; `pendingReads` and `pendingWrites` count all. */
  reads: EntrySnapshot[];
  writes: EntrySnapshot[];
  pendingReads: number;
  pendingWrites: number;
  limits: {
    readAhead: LimitSnapshot;
    writeQueue: LimitSnapshot;
    /** For a listener: its connections on this thread. */
    connections: LimitSnapshot | null;
    idleMs: number | null;
    lingerMs: number | null;
  };
  closeReason: { by: CloseReason["by"]; code: string | null; message: string | null } | null;
}

/**
 * The sockets of this thread that connect, are connected or close, and the listeners, in the order in which they began.
 * Those that are idle or closed are not among them. The list keeps no socket alive.
 */
export function openSockets(): AsyncSocket[] {
  return liveSockets() as unknown as AsyncSocket[];
}

/**
 * Describes sockets as data that can go to JSON and to other threads.
 * @param sockets those to be described. @default `openSockets()`
 */
export function snapshot(sockets: Iterable<AsyncSocket> = openSockets()): SocketSnapshot[] {
  checkOptions(sockets);
  return Array.from(sockets, describeSocket);
}

function orNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

/** A class may have a `name` of its own, which may be anything, or throw. */
function nameOf(socket: AsyncSocket): string {
  try {
    const name: unknown = socket.constructor.name;
    if (typeof name === "string") return name;
  } catch {
    // It is shown under the name that it inherits from.
  }
  return "AsyncSocket";
}

function describeSocket(socket: AsyncSocket): SocketSnapshot {
  const connection = socket._connection;
  const openMs = connection.timer.openMs ?? null;
  const { bytesRead, bytesWritten, unreadBytes, unsentBytes, closeReason: reason } = socket;
  const rate = (bytes: number): number => (openMs === null || openMs <= 0 ? 0 : Math.round((bytes / openMs) * 1000));
  return {
    id: socket.id,
    name: nameOf(socket),
    state: socket.state,
    transport: socket.transport,
    isStream: socket._isStream,
    local: socket.local ?? null,
    remote: socket.remote ?? null,
    proxied: socket.proxied ?? null,
    host: connection.origin.host ?? null,
    tls: describeTLS(socket.tls, socket.isSecure),
    openMs,
    peerEnded: socket.peerEnded,
    bytesRead,
    bytesWritten,
    readRate: rate(bytesRead),
    writeRate: rate(bytesWritten),
    unreadBytes,
    unsentBytes,
    ...describeQueues(connection),
    limits: describeLimits(socket, connection),
    closeReason:
      reason === undefined
        ? null
        : { by: reason.by, code: reason.error?.code ?? null, message: reason.error?.message ?? null },
  };
}

function describeTLS(info: TLSInfo | undefined, isSecure: boolean): SocketSnapshot["tls"] {
  if (info === undefined) return null;
  const { version, cipher, alpn, servername, resumed, authorized, peerCertificate } = info;
  // The runtime gives a list where a certificate has several names, and no subject at all where it cannot read one.
  const subject = peerCertificate?.subject as { readonly CN?: string | readonly string[] } | undefined;
  const peer = subject?.CN === undefined ? null : [subject.CN].flat().join(", ").slice(0, 200);
  return { isSecure, version, cipher, alpn, servername, resumed, authorized, peer };
}

function describeLimits(socket: AsyncSocket, { limits, reading, writing }: Connection): SocketSnapshot["limits"] {
  const { connections, readAhead, writeQueue, idleMs, lingerMs }: FullLimits = limits;
  const used = socket._listener === null ? 0 : [...socket.sockets].length;
  return {
    readAhead: { used: reading.queue.buffer.length, limit: orNull(readAhead) },
    writeQueue: { used: writing.queue.cost, limit: orNull(writeQueue) },
    connections: socket._listener === null ? null : { used, limit: orNull(connections) },
    idleMs: orNull(idleMs),
    lingerMs: orNull(lingerMs),
  };
}

type Queues = Pick<SocketSnapshot, "reads" | "writes" | "pendingReads" | "pendingWrites">;

function describeQueues({ clock, reading, writing }: Connection): Queues {
  const describe = (first: Entry | null, wait: Wait): EntrySnapshot[] => {
    const entries: EntrySnapshot[] = [];
    for (let entry = first; entry !== null && entries.length < ENTRIES; entry = entry.next) {
      if (timesOf(entry) === undefined) noteQueued(entry, clock);
      entries.push(describeEntry(entry, wait, clock.now()));
    }
    return entries;
  };
  return {
    reads: describe(reading.queue.head, reading.wait),
    writes: describe(writing.queue.head, writing.wait),
    pendingReads: reading.queue.length,
    pendingWrites: writing.queue.length,
  };
}

function describeEntry(entry: Entry, wait: Wait, now: number): EntrySnapshot {
  const isCurrent = entry.state === "current";
  if (isCurrent && timesOf(entry)?.isCurrent === false) noteCurrent(entry);
  const { id = 0, queuedMs = 0, currentMs = 0 } = timesOf(entry) ?? {};
  const limit = entry instanceof ReadEntry && entry.limit !== UNLIMITED ? entry.limit : null;
  return {
    id,
    kind: entry.kind,
    tag: entry.tag === undefined ? null : tagText(entry.tag),
    state: entry.state,
    ageMs: queuedMs + currentMs,
    currentMs: isCurrent ? currentMs : null,
    bytesDone: entry.bytesDone,
    bytesTotal: entry.bytesTotal ?? null,
    maxLength: limit,
    timeoutMs: entry.timeoutMs === NO_TIMEOUT ? null : entry.timeoutMs,
    dueInMs: isCurrent ? orNull(wait.dueAt(entry) - now) : null,
    messages: entry instanceof ReadEntry ? (entry.standing?.messages ?? null) : null,
  };
}
