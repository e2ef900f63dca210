/** `NODE_DEBUG=asyncsocket`: a line on standard error for each message of the diagnostics channels. */

import { type Channel, subscribe } from "node:diagnostics_channel";
import { debuglog } from "node:util";
import { type Address, addressText } from "../base/address.js";
import { callerOf } from "../base/callers.js";
import * as channels from "../base/channels.js";
import type { SocketRequest } from "../base/request.js";
import { tagText } from "../base/tag-text.js";

/** The parts of a socket that a line shows. */
interface LoggedSocket {
  readonly id: number;
  readonly local: Address | undefined;
  readonly remote: Address | undefined;
}

type Describe<M> = (message: M) => string;

function ms(value: number | undefined): string {
  return value === undefined ? "?" : `${value.toFixed(1)} ms`;
}

function failure(error: Error | undefined): string {
  return error === undefined ? "" : `: ${error.message}`;
}

/** The line of the user's program that asked. */
function asked(request: SocketRequest<unknown> | undefined): string {
  const caller = request === undefined ? undefined : callerOf(request);
  return caller === undefined ? "" : ` <- ${caller}`;
}

function entry({ request, kind, tag, bytes, queuedMs, currentMs, error }: channels.EntryMessage<LoggedSocket>): string {
  const times = `queued ${ms(queuedMs)}, current ${ms(currentMs)}`;
  const outcome = error === undefined ? "done" : "failed";
  return `${kind} ${outcome}, ${bytes} bytes, ${times}${tag === undefined ? "" : `, tag ${tagText(tag)}`}${failure(error)}${asked(request)}`;
}

function connect({ socket, request, ...all }: channels.ConnectMessage<LoggedSocket>): string {
  const target = all.path ?? `${all.host}:${all.port}`;
  const names = all.lookups.map(({ host, family, addresses, ms: tookMs }) => {
    const what = family === 0 ? "addresses" : `IPv${family} addresses`;
    return `${addresses} ${what} of ${host} ${ms(tookMs)}`;
  });
  const tried = all.tried.map((one) => `${addressText(one.address)} ${one.outcome} ${ms(one.ms)}`);
  const handshake = all.tlsMs === undefined ? [] : [`TLS ${ms(all.tlsMs)}`];
  const steps = [...names, ...tried, ...handshake].join(", ");
  const outcome = all.error === undefined ? `connected from ${addressText(socket.local)}` : "connect failed";
  return `${outcome} to ${target}, ${ms(all.ms)} (${steps})${failure(all.error)}${asked(request)}`;
}

function closed({ by, error, openMs, request, movedTo, ...counts }: channels.CloseMessage<LoggedSocket>): string {
  const moved = movedTo === undefined ? `by ${by}` : `moved to ${movedTo}`;
  const bytes = `${counts.bytesRead} bytes read, ${counts.bytesWritten} written`;
  const left = `${counts.unreadBytes} unread, ${counts.unsentBytes} unsent`;
  const open = openMs === undefined ? "" : ` after ${ms(openMs)}`;
  return `closed, ${moved}${open}, ${bytes}, ${left}${failure(error)}${asked(request)}`;
}

function secured({ error, ...all }: channels.SecureMessage<LoggedSocket>): string {
  const outcome = error === undefined ? "secure" : "not secure";
  const resumed = all.resumed ? ", resumed" : "";
  return `${outcome}, ${all.version ?? "no version"} ${all.cipher ?? ""}${resumed}, ${ms(all.ms)}${failure(error)}`;
}

/** Logs the messages of one channel. @param socketIn the socket whose number the line begins with */
function follow<M>(
  log: (line: string) => void,
  channel: Channel,
  socketIn: (message: M) => unknown,
  text: Describe<M>,
) {
  subscribe(channel.name, (told) => {
    const message = told as M;
    log(`#${(socketIn(message) as LoggedSocket).id} ${text(message)}`);
  });
}

/** Begins the log. Of bytes it says nothing. */
export function startDebugLog(): void {
  const ofRuntime = debuglog("asyncsocket");
  const log = (text: string): void => {
    const line = text.replace(/\p{Cc}+/gu, " "); // A peer's words may be in it.
    if (ofRuntime.enabled) ofRuntime("%s", line);
    else process.stderr.write(`ASYNCSOCKET ${process.pid}: ${line}\n`);
  };
  type Own = LoggedSocket;
  const socketOf = ({ socket }: { readonly socket: unknown }): unknown => socket;
  const listenerOf = ({ listener }: { readonly listener: unknown }): unknown => listener;
  follow<channels.ConnectMessage<Own>>(log, channels.CONNECT.asyncEnd, socketOf, connect);
  follow<channels.ListenMessage<Own>>(log, channels.LISTEN, socketOf, ({ local, error }) =>
    error === undefined ? `listens on ${addressText(local)}` : `does not listen${failure(error)}`,
  );
  follow<channels.AcceptMessage<Own>>(
    log,
    channels.ACCEPT,
    listenerOf,
    ({ socket, remote }) => `accepted #${socket.id} from ${addressText(remote)}`,
  );
  follow<channels.RefuseMessage<Own>>(
    log,
    channels.REFUSE,
    listenerOf,
    ({ remote, error }) => `refused ${addressText(remote)}${failure(error)}`,
  );
  follow<channels.SecureMessage<Own>>(log, channels.SECURE, socketOf, secured);
  follow<channels.EntryMessage<Own>>(log, channels.READ, socketOf, entry);
  follow<channels.EntryMessage<Own>>(log, channels.WRITE, socketOf, entry);
  follow<channels.TimeoutMessage<Own>>(
    log,
    channels.TIMEOUT,
    socketOf,
    ({ operation, error }) => `timeout of ${operation}${failure(error)}`,
  );
  follow<channels.CloseMessage<Own>>(log, channels.CLOSE, socketOf, closed);
  follow<channels.MoveMessage<Own>>(log, channels.MOVE, socketOf, ({ direction, runLoop }) =>
    direction === "in" ? "came from another thread" : `goes to the run loop ${runLoop}`,
  );
}
