import { apart } from "../base/apart.js";
import type { Clock } from "../base/clock.js";
import { surface } from "../base/uncaught.js";
import type { Connection } from "../connection/connection.js";
import type { SocketFace } from "../connection/owner.js";
import { endOfWrites } from "../connection/permissions.js";
import type { Goodbye } from "./options.js";

/** How many sockets are told goodbye in one turn, so that other sockets have their turn, too. */
const GOODBYES_A_TURN = 500;

/** Tells the sockets of a listener goodbye at a shutdown, some in each turn. */
export class Goodbyes {
  readonly #clock: Clock;
  readonly #connections: Iterator<Connection, undefined>;
  readonly #goodbye: Goodbye<SocketFace>;

  /** @param connections those that have not ended, looked for anew in each turn */
  constructor(clock: Clock, connections: Iterator<Connection, undefined>, goodbye: Goodbye<SocketFace>) {
    this.#clock = clock;
    this.#connections = connections;
    this.#goodbye = goodbye;
  }

  /** Nobody is told before the running code has returned. */
  start(): void {
    this.#clock.soon(say, this);
  }

  /** What one `goodbye` throws does not keep others from theirs. */
  say(): void {
    for (let left = GOODBYES_A_TURN; left > 0; left--) {
      const { value: connection } = this.#connections.next();
      if (connection === undefined) return;
      if (mayBeTold(connection)) apart(tell, connection, this.#goodbye);
    }
    this.#clock.later(say, this);
  }
}

function say(goodbyes: Goodbyes): void {
  goodbyes.say();
}

/** Whether a socket is open and can still be written to: not ended by the application, nor turned into a stream. */
function mayBeTold(connection: Connection): boolean {
  return connection.isOpen && !connection.socket._isStream && endOfWrites(connection, "write") === null;
}

function tell(connection: Connection, goodbye: Goodbye<SocketFace>): void {
  try {
    goodbye(connection.socket);
  } catch (error) {
    surface(error);
    connection.pause();
  }
}
