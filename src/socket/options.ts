import type { ReadableStream, WritableStream } from "node:stream/web";
import { type Bytes, wrongType } from "../base/checks.js";
import type { Limits } from "../base/limits.js";
import { type OptionNames, unknownName } from "../base/option-names.js";
import type { SocketDelegate } from "../connection/delegate.js";
import type { SocketFace } from "../connection/owner.js";
import type { TransportChoice } from "../transport/choose.js";

/** What the constructor of a socket takes. */
export interface SocketOptions<Delegate, UserData> {
  /** Told what happens; may be set later. @default none */
  delegate?: Delegate | null | undefined;
  /** Yours. Never used, never copied to accepted sockets. */
  userData?: UserData | undefined;
  /** Whether writing goes on after the peer's FIN. @default false */
  allowHalfOpen?: boolean | undefined;
  limits?: Limits | undefined;
  /** What carries the bytes: the best there is, `node:net`, or a network of your own. @default "auto" */
  transport?: TransportChoice | undefined;
}

export interface MoveOptions {
  /** Goes along as a structured clone. @default the socket's own `userData` */
  userData?: unknown;
}

/** A connection as web streams. */
export interface WebStreams {
  /** Ends with the peer's FIN. To cancel it closes the connection. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Its close is the FIN. To abort it closes the connection. */
  readonly writable: WritableStream<Bytes>;
}

export const SOCKET_OPTIONS: OptionNames<SocketOptions<object, unknown>> = {
  delegate: true,
  userData: true,
  allowHalfOpen: true,
  limits: true,
  transport: true,
};

export const MOVE_OPTIONS: OptionNames<MoveOptions> = { userData: true };

const DELEGATE_METHODS: OptionNames<SocketDelegate<SocketFace>> = {
  wantsRunLoopForNewSocket: true,
  didAccept: true,
  didFailAccept: true,
  didConnect: true,
  didSecure: true,
  shouldTrustPeer: true,
  didRead: true,
  didReadText: true,
  didReadMessage: true,
  didReadPartial: true,
  didWrite: true,
  didWritePartial: true,
  shouldExtendReadTimeout: true,
  shouldExtendWriteTimeout: true,
  didFailRead: true,
  didFailWrite: true,
  didEndReading: true,
  willDisconnect: true,
  didDisconnect: true,
};

/** Methods with such names are meant for sockets; a delegate may have any others of its own. */
const FOR_SOCKETS = /^(did|will|should|wants)[A-Z]/;

/** Delegates, and prototypes of theirs, that were looked at: accepted sockets share their listener's. */
const seen = new WeakSet<object>();

/** @throws TypeError for what is no delegate, and for a method whose name would never be called */
export function checkDelegate<D extends object>(delegate: D | null | undefined): D | null {
  if (delegate === undefined || delegate === null) return null;
  if (typeof delegate !== "object") throw wrongType("delegate", "an object or null", delegate);
  for (let one: unknown = delegate; isObject(one) && one !== Object.prototype; one = Object.getPrototypeOf(one)) {
    if (!seen.has(one)) checkMethods(one);
  }
  return delegate;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function checkMethods(delegate: object): void {
  for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(delegate))) {
    const isUnknown = typeof value === "function" && FOR_SOCKETS.test(name) && !Object.hasOwn(DELEGATE_METHODS, name);
    if (isUnknown) throw unknownName("methods of the delegate", name, Object.keys(DELEGATE_METHODS));
  }
  seen.add(delegate);
}
