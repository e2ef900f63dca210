/** What the simulated sides call, the bytes that they write, and the clock that they live by. */

import type { AsyncSocket, SocketRequest } from "asyncsocket";
import { seededRandom, VirtualClock } from "asyncsocket/testing";
import type { ReadSpec } from "../pump/entries.js";
import type { Closing } from "./program.js";

/** Where written bytes come from: with many line endings and small numbers in them. */
export const POOL = makePool();

function makePool(): Buffer {
  const random = seededRandom(42);
  const pool = Buffer.alloc(700_000);
  for (let i = 0; i < pool.length; i++) {
    const kind = random();
    pool[i] = kind < 0.1 ? 10 : kind < 0.2 ? random() * 8 : kind < 0.26 ? 0 : random() * 256;
    if (kind > 0.96 && i > 0) pool.write("\r\n", i - 1, "latin1");
  }
  return pool;
}

/** Turns are counted: what is done `later` is in another one. */
export class TurnClock extends VirtualClock {
  turn = 0;

  /** @param throws - after an uncaught exception the runtime leaves ticks that wait to a later turn */
  constructor(throws: boolean) {
    super({ quietTurns: throws ? 3 : 0 });
  }

  override later<T>(task: (subject: T) => void, subject: T): void {
    const turn = this.turn + 1;
    super.later((one) => {
      this.turn = Math.max(this.turn, turn);
      task(one);
    }, subject);
  }

  override setTimer(callback: () => void, delayMs: number): object {
    return super.setTimer(() => {
      this.turn++;
      callback();
    }, delayMs);
  }
}

export function read(socket: AsyncSocket, spec: ReadSpec, common: object): SocketRequest<unknown> {
  const { kind, length, encoding, frame, intoSlack, delimiters = [] } = spec;
  const options = { ...common, encoding };
  switch (kind) {
    case "read":
      return socket.read({ ...options, maxLength: length });
    case "readExactly":
      return socket.readExactly(
        length,
        intoSlack === undefined ? options : { ...common, into: Buffer.alloc(length + intoSlack) },
      );
    case "readUntil":
      return socket.readUntil(delimiters, { ...options, maxLength: length });
    case "readLine":
      return socket.readLine({ ...common, maxLength: length });
    case "readFrame":
      return socket.readFrame({ ...common, lengthBytes: 1, ...frame, maxLength: length });
    case "peek":
      return socket.peek({ ...options, length });
    case "skip":
      return socket.skip(length, common);
  }
}

export function close(socket: AsyncSocket, how: Closing): PromiseLike<unknown> {
  switch (how) {
    case "disconnect":
      return socket.disconnect();
    case "reset":
      return socket.reset();
    case "afterReading":
      return socket.disconnectAfterReading();
    case "afterWriting":
      return socket.disconnectAfterWriting();
    case "afterBoth":
      return socket.disconnectAfterReadingAndWriting();
    case "dispose":
      return socket[Symbol.asyncDispose]();
  }
}
