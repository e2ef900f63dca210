import type { Clock } from "../base/clock.js";
import type { AsyncSocketError } from "../base/errors.js";
import type { SocketSettings } from "../transport/options.js";
import type { AcceptedTransport } from "../transport/transport.js";
import type { Tried } from "./messages.js";
import type { ConnectTrace } from "./trace.js";

/** The owner of a route, which wants to be connected. */
export interface RouteOwner {
  readonly clock: Clock;
  /** Whether attempts keep the process alive. */
  readonly isReferenced: boolean;
  /** Notes lookups and attempts for the diagnostics channel; null where nobody has subscribed. */
  readonly trace: ConnectTrace | null;
  didConnect(reached: Reached): void;
  didFailToConnect(error: AsyncSocketError): void;
  /** Called when an attempt opens a descriptor. */
  didOpenDescriptor(): void;
  /**
   * Called when an attempt has closed its descriptor. The descriptor of the connected transport is the owner's, and is
   * not reported.
   */
  didCloseDescriptor(): void;
}

/** The result of a route: a connected transport. */
export interface Reached {
  readonly transport: AcceptedTransport;
  /** Bytes that were already received, and belong to the connection. */
  readonly ahead: Buffer;
  /** Whether the peer's FIN has arrived, too. */
  readonly hasEnded: boolean;
}

/** A way to one connected transport: direct, or through a proxy. */
export interface Route {
  start(): void;
  /** Cancels everything that is under way. Descriptors are closed soon after. */
  cancel(): void;
  setReferenced(on: boolean): void;
  /** Changes the settings of the attempts under way and of later ones. */
  change(settings: Partial<SocketSettings>): void;
  /**
   * Whether the system has an event that was not delivered yet, or a conversation on the way has had one, or SRV records
   * have come, since the last call: the route may soon be at its end.
   */
  hasNews(): boolean;
  /** Every address tried so far: those that failed, and those that have not answered yet. */
  readonly tried: readonly Tried[];
  /** Other things that the route is waiting for, as parts of a sentence. */
  readonly pending: readonly string[];
}
