/**
 * Random programs with a TLS mark in the middle: both sides write and read in the clear, upgrade, and go on encrypted, all of
 * it queued in any order and at any time, on a network that chops and delays. Some are disturbed.
 */

import { AsyncSocket, AsyncSocketError, type SocketRequest } from "asyncsocket";
import { MemoryNetwork, seededRandom, VirtualClock } from "asyncsocket/testing";
import { identity } from "../support/identity.js";
import { POOL } from "./calls.js";
import { pretending } from "./pretend-cipher.js";

const DISTURBANCES = ["none", "none", "cancel", "break", "disconnect", "silent", "slip", "end"] as const;
const ENDS = ["TLS", "TLS_TIMEOUT", "CANCELED", "CLOSED", "CONNECTION_LOST", "END_OF_STREAM"];
const HANDSHAKE_MS = 500;
const END_MS = 20_000;

/** What one side says, and what it is to hear: the other's. */
interface Speech {
  readonly clear: Buffer;
  readonly secure: Buffer;
}

interface Read {
  readonly request: SocketRequest<unknown>;
  readonly expected: Buffer;
  readonly isSecure: boolean;
  /** A long skip drops as it goes, and tells how much when it fails. */
  dropped: number;
}

type Step = () => void;

/** One seed, one run. */
export class UpgradeWorld {
  readonly disturbance: (typeof DISTURBANCES)[number];
  failure: string | null = null;
  readonly #random: () => number;
  readonly #clock = new VirtualClock();
  readonly #network: MemoryNetwork;
  readonly #speeches: readonly [Speech, Speech];
  readonly #readAhead: number;

  constructor(readonly seed: number) {
    this.#random = seededRandom(seed);
    this.disturbance = DISTURBANCES[this.#below(DISTURBANCES.length)] ?? "none";
    const chunk = this.#size(1, 4000);
    this.#network = new MemoryNetwork({
      clock: this.#clock,
      seed,
      latencyMs: [0, this.#size(1, 20)],
      chunkBytes: [this.#below(2) === 0 ? 1 : chunk, chunk],
      writeBytes: this.#below(2) === 0 ? [65_536, 65_536] : [0, this.#size(1, 500)],
      capacityBytes: this.#size(16, 65_536),
    });
    this.#readAhead = this.#size(1, 65_536);
    this.#speeches = [this.#speech(), this.#speech()];
  }

  #below(end: number): number {
    return Math.floor(this.#random() * end);
  }

  #size(least: number, most: number): number {
    return least + Math.floor((most - least + 1) ** this.#random()) - 1;
  }

  #speech(): Speech {
    const bytes = (): Buffer => {
      const from = this.#below(100_000);
      return POOL.subarray(from, from + this.#size(1, 1500) - 1);
    };
    return { clear: bytes(), secure: bytes() };
  }

  async run(): Promise<string | null> {
    const transport = pretending(this.#network);
    const limits = { readAhead: this.#readAhead, handshakeMs: HANDSHAKE_MS, lingerMs: 100 };
    const listener = new AsyncSocket({ transport, limits });
    await this.#clock.run(listener.listen({ port: 7 }));
    const accepted = listener.connections().next();
    const client = new AsyncSocket({ transport, limits });
    await this.#clock.run(client.connect({ host: "192.0.2.1", port: 7 }));
    const server = (await this.#clock.run(accepted)).value as AsyncSocket;
    const sides = [this.#side(client, 0), this.#side(server, 1)];
    if (this.disturbance === "break") this.#network.connections[0]?.up.breakAfter(this.#below(3000));
    await this.#clock.runFor(END_MS);
    if (this.disturbance === "none" && !sides.every(({ isAllDone }) => isAllDone))
      this.#fail("something waits for ever");
    for (const side of sides) side.finish();
    await this.#clock.run(() => client.state === "closed" && server.state === "closed");
    await this.#clock.run(listener.disconnect());
    await this.#clock.run();
    for (const side of sides) side.check();
    if (this.disturbance === "slip" && sides[1]?.isUpgraded === true)
      this.#fail("what was slipped in passed as a hello");
    if (this.#clock.size > 0) this.#fail(`${this.#clock.size} timers are left`);
    return this.failure === null ? null : `upgrade seed ${this.seed} (${this.disturbance}): ${this.failure}`;
  }

  #fail(what: string): void {
    this.failure ??= what;
  }

  /** The victim of a disturbance is the server; the client does it. */
  #side(socket: AsyncSocket, number: 0 | 1): Side {
    const side = new Side(socket, (what) => this.#fail(`${number === 0 ? "client" : "server"}: ${what}`));
    const [said, heard] = [this.#speeches[number], this.#speeches[number === 0 ? 1 : 0]];
    const isDisturber = number === 0;
    const before = this.#shuffled(
      this.#pieces(said.clear).map((piece) => () => side.write(piece)),
      this.#pieces(heard.clear).map((piece) => () => side.read(piece, false, this.#below(3))),
    );
    const steps: Step[] = [...before];
    if (isDisturber && this.disturbance === "slip") steps.push(() => side.write(Buffer.from("slipped in\n")));
    if (isDisturber && this.disturbance === "end") steps.push(() => void socket.end());
    else if (!isDisturber || this.disturbance !== "silent") {
      steps.push(() => side.upgrade(number === 1));
      const after = this.#shuffled(
        this.#pieces(said.secure).map((piece) => () => side.write(piece)),
        this.#pieces(heard.secure).map((piece) => () => side.read(piece, true, this.#below(3))),
      );
      steps.push(...after);
    }
    this.#schedule(steps);
    if (!isDisturber) return side;
    const atMs = this.#size(0, 200);
    if (this.disturbance === "cancel") this.#clock.setTimer(() => side.cancelUpgrade(), atMs);
    if (this.disturbance === "disconnect") this.#clock.setTimer(() => void socket.disconnect(), atMs);
    return side;
  }

  /** All at once, or one after the other. */
  #schedule(steps: readonly Step[]): void {
    const isSlow = this.#below(2) === 0;
    let atMs = 0;
    for (const step of steps) {
      if (isSlow && this.#below(3) === 0) atMs += this.#size(1, 30) - 1;
      this.#clock.setTimer(step, atMs);
    }
  }

  #pieces(bytes: Buffer): Buffer[] {
    const pieces: Buffer[] = [];
    for (let at = 0; at < bytes.length;) pieces.push(bytes.subarray(at, (at += this.#size(1, 400))));
    return pieces;
  }

  /** Each list keeps its order. */
  #shuffled(...lists: Step[][]): Step[] {
    const result: Step[] = [];
    for (;;) {
      const left = lists.filter((list) => list.length > 0);
      const next = left[this.#below(left.length)]?.shift();
      if (next === undefined) return result;
      result.push(next);
    }
  }
}

/** One end, what was asked of it, and what came of it. */
class Side {
  readonly #socket: AsyncSocket;
  readonly #fail: (what: string) => void;
  readonly #reads: Read[] = [];
  readonly #all: SocketRequest<unknown>[] = [];
  readonly #settled = new Map<SocketRequest<unknown>, number>();
  #upgrade: SocketRequest<unknown> | null = null;

  constructor(socket: AsyncSocket, fail: (what: string) => void) {
    this.#socket = socket;
    this.#fail = fail;
  }

  #follow(request: SocketRequest<unknown>): void {
    this.#all.push(request);
    const count = (): void => void this.#settled.set(request, (this.#settled.get(request) ?? 0) + 1);
    request.then(count, count);
  }

  write(bytes: Buffer): void {
    this.#follow(this.#socket.write(bytes));
  }

  read(expected: Buffer, isSecure: boolean, kind: number): void {
    const { length } = expected;
    const request =
      kind === 0 ? this.#socket.skip(length) : this.#socket.readExactly(length, kind === 1 ? {} : { timeout: 60_000 });
    const read: Read = { request, expected, isSecure, dropped: 0 };
    this.#reads.push(read);
    this.#follow(request);
    request.then(
      (value: unknown) => {
        if (Buffer.isBuffer(value) && !value.equals(expected)) this.#fail(`a read was given other bytes`);
        if (this.#socket.isSecure !== isSecure) this.#fail(`a read was met ${isSecure ? "in the clear" : "late"}`);
      },
      (error: unknown) => {
        if (kind === 0 && error instanceof AsyncSocketError) read.dropped = error.bytesDone;
      },
    );
  }

  upgrade(isServer: boolean): void {
    const options = isServer ? { ...identity, isServer } : { rejectUnauthorized: false, servername: "localhost" };
    this.#upgrade = this.#socket.startTLS(options);
    this.#follow(this.#upgrade);
  }

  cancelUpgrade(): void {
    this.#upgrade?.cancel();
  }

  finish(): void {
    const isDone = this.#all.every(({ state }) => state === "done");
    if (this.#socket.state === "open" && !isDone) this.#stuck();
    this.#socket.disconnect();
  }

  /** Nothing may wait for ever but what a silent peer owes. */
  #stuck(): void {
    const waiting = this.#all.find(({ state }) => state === "current" || state === "queued");
    if (this.#upgrade?.state !== "done" && waiting?.kind === "startTLS") this.#fail("startTLS waits for ever");
  }

  check(): void {
    const reason = this.#socket.closeReason;
    if (reason === undefined) return this.#fail("it has no reason");
    for (const request of this.#all) {
      const times = this.#settled.get(request);
      if (times !== 1) this.#fail(`${request.kind} was settled ${times ?? 0} times`);
    }
    const isSecure = this.isUpgraded;
    for (const { request, isSecure: wasToBe } of this.#reads) {
      if (wasToBe && !isSecure && request.state === "done") this.#fail("a read behind the mark was met without TLS");
    }
    if (reason.error !== null && !ENDS.includes(shortCode(reason.error)))
      this.#fail(`it ended by ${reason.error.code}`);
    this.#checkUnread(reason.unread, isSecure);
  }

  /** What was not read is what would have been read next, and of the right side of the mark. */
  #checkUnread(unread: Buffer, isSecure: boolean): void {
    const left = this.#reads.filter(({ request, isSecure: one }) => request.state !== "done" && one === isSecure);
    const next = Buffer.concat(left.map(({ dropped, expected }) => expected.subarray(dropped)));
    const length = Math.min(unread.length, next.length);
    if (!unread.subarray(0, length).equals(next.subarray(0, length))) this.#fail("other bytes are unread");
  }

  get isUpgraded(): boolean {
    return this.#upgrade?.state === "done";
  }

  get isAllDone(): boolean {
    return this.#all.every(({ state }) => state === "done");
  }
}

function shortCode(error: AsyncSocketError): string {
  return error.code.replace("ERR_ASYNCSOCKET_", "");
}
