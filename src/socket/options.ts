import type { ReadableStream, WritableStream } from "node:stream/web";
import { type Bytes, checkFunction, wrongType } from "../base/checks.js";
import type { Limits } from "../base/limits.js";
import { type OptionNames, unknownName } from "../base/option-names.js";
import { surfacing } from "../base/uncaught.js";
import type { AcceptInfo, SocketDelegate } from "../connection/delegate.js";
import { surfaceUnlessHeard } from "../connection/notify.js";
import type { SocketFace } from "../connection/owner.js";
import type { TransportChoice } from "../transport/choose.js";

/** The options of the constructor of a socket. */
export interface SocketOptions<Delegate, UserData> {
  /** The object whose methods are called when something happens. It may be set later. @default none */
  delegate?: Delegate | null | undefined;
  /**
   * Any value that the application wants to keep with the socket. It is not copied to accepted sockets.
   * @default none
   */
  userData?: UserData | undefined;
  /**
   * Makes the `userData` of each socket that this listener accepts, before `didAccept` is called, and after a PROXY
   * header has arrived. What it throws becomes an uncaught exception, the connection is reset, and `didFailAccept` is
   * told with `ACCEPT`. It is not called for connections that go to other threads, nor for a socket that connects. With
   * it, the types of the delegate, of `connections()` and of `sockets` say that accepted sockets have user data; write
   * it before `delegate`, so that its type is known there.
   * @default none: accepted sockets have no `userData`
   */
  userDataFor?: ((info: AcceptInfo) => UserData) | undefined;
  /**
   * Whether this side may still write after the peer has ended its side. If false, the socket closes then.
   * @default false
   */
  allowHalfOpen?: boolean | undefined;
  limits?: Limits | undefined;
  /**
   * What carries the bytes. `"auto"` is the native addon where it is available, else `node:net`; `"native"` and
   * `"node"` ask for one of them; an object is a transport factory of your own.
   * @default "auto"
   */
  transport?: TransportChoice | undefined;
}

export interface MoveOptions {
  /**
   * The value that becomes `userData` on the other thread, as a structured clone.
   * @default the socket's own `userData`
   */
  userData?: unknown;
}

/** A connection as web streams. */
export interface WebStreams {
  /** Ends when the peer ends its side. Cancelling this stream closes the connection. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Closing this stream sends a FIN. Aborting it closes the connection. */
  readonly writable: WritableStream<Bytes>;
}

export const SOCKET_OPTIONS: OptionNames<SocketOptions<object, unknown>> = {
  delegate: true,
  userData: true,
  userDataFor: true,
  allowHalfOpen: true,
  limits: true,
  transport: true,
};

export function checkUserDataFor<F>(value: F | undefined): F | undefined {
  checkFunction("userDataFor", value);
  return value;
}

/** Calls the constructor of a class of the application, which may throw, for a connection that `listener` accepted. */
export function callConstructor<S>(listener: SocketFace, construct: () => S): S {
  try {
    return construct();
  } catch (error) {
    surfaceUnlessHeard(listener, error);
    throw error;
  }
}

/** Calls `userDataFor`. What it throws surfaces, and is thrown, so that the connection is refused. */
export function callUserDataFor<UserData>(
  userDataFor: ((info: AcceptInfo) => UserData) | undefined,
  info: AcceptInfo,
): UserData | undefined {
  return userDataFor && surfacing(() => userDataFor(info));
}

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

/** A delegate method with such a name must be one that sockets call; other methods may have any name. */
const FOR_SOCKETS = /^(did|will|should|wants)[A-Z]/;

/** Delegates and their prototypes that were checked before. Accepted sockets share the delegate of their listener. */
const seen = new WeakSet<object>();

/**
 * Checks a delegate.
 * @throws TypeError for anything that is no object, and for a method whose name no socket would ever call
 */
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
