import type { SocketDelegate } from "./delegate.js";

/** What a connection knows of the socket whose life it is: whom to tell, and how. */
export interface SocketFace {
  /** The delegate of the moment. */
  readonly delegate: SocketDelegate<SocketFace> | null;
  readonly allowHalfOpen: boolean;
  /** Whether it was turned into a stream, which decides by itself when its writing side ends. */
  readonly _isStream: boolean;
  /** One line of facts, for prints. */
  toJSON(): object;
  /** The present life, which tells nothing more of itself until an exception of the delegate has surfaced. */
  readonly _connection: { pause(): void };
}
