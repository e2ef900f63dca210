import { isIP } from "node:net";
import { CONNECT, type ConnectMessage, type NameLookup, type TriedAddress } from "../base/channels.js";
import type { Clock } from "../base/clock.js";
import type { AsyncSocketError } from "../base/errors.js";
import type { SocketRequest } from "../base/request.js";
import type { Endpoint } from "../transport/options.js";
import type { Candidate, Question } from "./happy-eyeballs.js";
import type { ConnectTarget } from "./options.js";

type Answer = (error: Error | null, found: readonly Candidate[]) => void;

/** Whether anybody has subscribed to the tracing channel of `connect`. */
export function isTraced(): boolean {
  const { start, end, asyncStart, asyncEnd, error } = CONNECT;
  return [start, end, asyncStart, asyncEnd, error].some((channel) => channel.hasSubscribers);
}

/** Tells the tracing channel of one `connect`; made only where somebody has subscribed. */
export class ConnectTrace {
  readonly #message: ConnectMessage;
  readonly #clock: Clock;
  readonly #startedAt: number;

  constructor(socket: object, request: SocketRequest<unknown>, target: ConnectTarget, clock: Clock) {
    const isPath = target.path !== null;
    const proxy = isPath ? undefined : target.proxy;
    this.#clock = clock;
    this.#startedAt = clock.now();
    this.#message = {
      socket,
      request,
      host: isPath ? undefined : target.host,
      port: isPath ? undefined : target.port,
      path: isPath ? target.path : undefined,
      proxy: proxy === undefined ? undefined : `${proxy.host}:${proxy.port}`,
      lookups: [],
      tried: [],
      dnsMs: undefined,
      tlsMs: undefined,
      ms: undefined,
    };
  }

  /** Tells that the `connect` was called, around the call that begins it. */
  start(begin: () => void): void {
    CONNECT.start.publish(this.#message);
    begin();
    CONNECT.end.publish(this.#message);
  }

  /** Notes a question for the addresses of a name. @returns the function to give the answer to */
  lookup(host: string, family: Question, answer: Answer): Answer {
    if (isIP(host) !== 0) return answer;
    const startedAt = this.#clock.now();
    const lookup: NameLookup = { host, family, ms: undefined, addresses: 0, error: undefined };
    this.#message.lookups.push(lookup);
    return (error, found) => {
      lookup.ms = this.#clock.now() - startedAt;
      lookup.addresses = found.length;
      lookup.error = error ?? undefined;
      answer(error, found);
    };
  }

  /** Notes an attempt at one address. @returns the function to tell the outcome to */
  attempt(endpoint: Endpoint, done: (error: Error | null) => void): (error: Error | null) => void {
    const startedAt = this.#clock.now();
    const address = addressOf(endpoint);
    const tried: TriedAddress = { address, outcome: undefined, ms: undefined, error: undefined };
    this.#message.tried.push(tried);
    return (error) => {
      if (tried.outcome === undefined) {
        tried.outcome = error === null ? "connected" : "failed";
        tried.ms = this.#clock.now() - startedAt;
        tried.error = error ?? undefined;
      }
      done(error);
    };
  }

  succeed(tlsMs: number | undefined): void {
    const message = this.#message;
    message.tlsMs = tlsMs;
    message.result = message.socket;
    this.#finish();
  }

  fail(error: AsyncSocketError): void {
    this.#message.error = error;
    CONNECT.error.publish(this.#message);
    this.#finish();
  }

  #finish(): void {
    const message = this.#message;
    message.ms = this.#clock.now() - this.#startedAt;
    for (const tried of message.tried) tried.outcome ??= "canceled";
    const times = message.lookups.map(({ ms }) => ms ?? 0);
    if (times.length > 0) message.dnsMs = Math.max(...times);
    CONNECT.asyncStart.publish(message);
    CONNECT.asyncEnd.publish(message);
  }
}

function addressOf(endpoint: Endpoint): TriedAddress["address"] {
  if (endpoint.path !== null) return { family: "unix", path: endpoint.path };
  const { address, family, port } = endpoint;
  return { family: family === 4 ? "IPv4" : "IPv6", address, port };
}
