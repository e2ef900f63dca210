/** Where connections go that another thread is to have: a run loop, or a pool of them. */
export interface Destination {
  /** How many connections it has. */
  readonly sockets: number;
  /** @internal What sends connections there. The room of threads makes it, and knows what it is. */
  readonly _sending: object;
}

/** A connection that another thread has, or is to have, as this thread knows it. */
export interface RemoteConnection {
  readonly state: "waiting" | "there" | "over";
  /** Closes it there at once, also where nobody may ever take it. */
  end(): void;
}
