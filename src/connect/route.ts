import type { Clock } from "../base/clock.js";
import type { AsyncSocketError } from "../base/errors.js";
import type { SocketSettings } from "../transport/options.js";
import type { AcceptedTransport } from "../transport/transport.js";
import type { Tried } from "./messages.js";

/** Whoever wants to be connected. */
export interface RouteOwner {
  readonly clock: Clock;
  /** Whether attempts keep the process alive. */
  readonly isReferenced: boolean;
  didConnect(reached: Reached): void;
  didFailToConnect(error: AsyncSocketError): void;
  /** An attempt holds a descriptor from here … */
  didOpenDescriptor(): void;
  /** … to here. That of the one that was connected is the owner's. */
  didCloseDescriptor(): void;
}

/** What a route ends at. */
export interface Reached {
  readonly transport: AcceptedTransport;
  /** What it has received already, which is the connection's. */
  readonly ahead: Buffer;
  /** Whether the peer's FIN has come, too. */
  readonly hasEnded: boolean;
}

/** A way to one connected transport: straight, or through a proxy. */
export interface Route {
  start(): void;
  /** Ends it all. Descriptors are closed soon after. */
  cancel(): void;
  setReferenced(on: boolean): void;
  /** For the attempts under way, and those to come. */
  change(settings: Partial<SocketSettings>): void;
  /** Every address tried so far: those that failed, and those that have not answered yet. */
  readonly tried: readonly Tried[];
  /** What else is waited for, as parts of a sentence. */
  readonly pending: readonly string[];
}
