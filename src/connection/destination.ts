/** The destination of connections that are sent to another thread: a run loop, or a pool of run loops. */
export interface Destination {
  /** How many connections the destination has. */
  readonly sockets: number;
  /** @internal The object that sends connections there. It is made and understood by the folder `threads`. */
  readonly _sending: object;
}

/** A connection that is on another thread, or on its way there, as this thread knows it. */
export interface RemoteConnection {
  readonly state: "waiting" | "there" | "over";
  /** Closes the connection on the other thread at once, even if that thread never takes it. */
  end(): void;
}
