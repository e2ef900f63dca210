/** What the tests of lifecycles share: peers on plain node:net, child processes, and calls that must throw. */

import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer, Server, type Socket } from "node:net";
import type { TestContext } from "node:test";
import type { Worker } from "node:worker_threads";
import {
  AsyncSocket,
  type AsyncSocketOptions,
  type CloseReason,
  type ConnectOptions,
  type ListenOptions,
  type SocketRequest,
} from "asyncsocket";
import { MemoryNetwork, VirtualClock } from "asyncsocket/testing";
import { settled, shortCode } from "./delegates.js";
import { assertInvariants } from "./invariants.js";
import { moduleArgs, ROOT } from "./module-args.js";
import { assertNothingLeft, type Kind, SAFETY, turn } from "./transports.js";

/** Everything a test opens, one for each test. Closed at its end, and then nothing may be left. */
export class Belongings {
  static readonly #ofTests = new WeakMap<TestContext, Belongings>();
  readonly #sockets: AsyncSocket[] = [];
  readonly #raw: (Socket | Server)[] = [];
  readonly #children: Child[] = [];
  readonly #workers: Worker[] = [];

  private constructor(t: TestContext) {
    // Nothing in memory keeps the process alive, and a test that waits in vain is to fail by its timeout.
    const alive = setTimeout(() => undefined, 2 * SAFETY.timeout);
    t.after(async () => {
      clearTimeout(alive);
      // Peers on threads end first: a close waits for the FIN of a peer, and some send none by themselves.
      await Promise.all(this.#workers.map((worker) => worker.terminate()));
      for (const socket of this.#sockets) assertInvariants(socket);
      await Promise.all(this.#sockets.map((socket) => socket.disconnect()));
      for (const socket of this.#sockets) assertInvariants(socket);
      for (const raw of this.#raw) {
        if (raw instanceof Server) raw.close();
        else raw.destroy();
      }
      for (const one of this.#children) one.process.kill("SIGKILL");
      await Promise.all(this.#children.map(({ ended }) => ended));
      await assertNothingLeft();
    });
  }

  static of(t: TestContext): Belongings {
    let belongings = Belongings.#ofTests.get(t);
    if (belongings === undefined) Belongings.#ofTests.set(t, (belongings = new Belongings(t)));
    return belongings;
  }

  addChild(child: Child): Child {
    this.#children.push(child);
    return child;
  }

  addWorker(worker: Worker): Worker {
    this.#workers.push(worker);
    return worker;
  }

  add<T extends AsyncSocket>(socket: T): T {
    this.#sockets.push(socket);
    return socket;
  }

  addRaw<T extends Socket | Server>(raw: T): T {
    raw.on("error", () => undefined);
    this.#raw.push(raw);
    return raw;
  }
}

export interface RawPair {
  readonly socket: AsyncSocket;
  /** The other side, on plain node:net. It reads nothing until it is resumed, and ends nothing by itself. */
  readonly peer: Socket;
  readonly port: number;
}

/** A socket connected over TCP to a peer whose every move the test decides. */
export async function rawPair(t: TestContext, options: AsyncSocketOptions = {}): Promise<RawPair> {
  const belongings = Belongings.of(t);
  const server = belongings.addRaw(createServer({ allowHalfOpen: true, pauseOnConnect: true }));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const accepted = once(server, "connection");
  const socket = belongings.add(new AsyncSocket(options));
  await socket.connect({ host: "127.0.0.1", port });
  const [peer] = (await accepted) as [Socket];
  return { socket, peer: belongings.addRaw(peer), port };
}

/** All that a raw peer receives until the FIN. */
export async function allOf(peer: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  peer.on("data", (chunk: Buffer) => chunks.push(chunk));
  peer.resume();
  await once(peer, "end");
  return Buffer.concat(chunks);
}

export interface Timed {
  readonly clock: VirtualClock;
  readonly transport: MemoryNetwork;
  readonly belongings: Belongings;
  /** Lets time pass, and then whatever follows from it happen. */
  readonly pass: (ms: number) => Promise<void>;
}

/** A network in memory that lives by a clock of its own. */
export function timedNetwork(t: TestContext, capacityBytes = 65_536): Timed {
  const clock = new VirtualClock();
  return {
    clock,
    transport: new MemoryNetwork({ clock, capacityBytes }),
    belongings: Belongings.of(t),
    async pass(ms) {
      await settled();
      clock.advance(ms);
      await settled();
    },
  };
}

/** A call that can never be right, which throws at once, in words. */
export function throwsBadState(call: () => unknown, operation?: string): void {
  let error: unknown;
  try {
    call();
  } catch (thrown) {
    error = thrown;
  }
  assert.notEqual(error, undefined, `Expected ${operation ?? "the call"} to throw`);
  assert.equal(shortCode(error), "BAD_STATE");
  if (operation !== undefined) assert.equal((error as { operation?: unknown }).operation, operation);
  assert.match((error as Error).message, /\w+ \w+/);
}

/** The short code of a reason's error, or null. */
export function codeOf(reason: CloseReason): string | null {
  return reason.error === null ? null : shortCode(reason.error);
}

/** The errno in the cause of a reason's error. */
export function errnoOf(error: unknown): unknown {
  return (error as { cause?: { code?: unknown } } | null)?.cause?.code;
}

export interface Child {
  readonly process: ChildProcessWithoutNullStreams;
  /** The next line of its output. */
  readonly line: () => Promise<string>;
  /** Its exit code and the signal that ended it, once it has ended. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null; errors: string }>;
}

/**
 * A module in a process of its own, which can import the library. Ended with the test.
 * `limit` bounds its file descriptors.
 */
export function child(t: TestContext, module: string, args: readonly string[] = [], limit?: number): Child {
  const nodeArgs = [...moduleArgs(t, module), ...args];
  const made =
    limit === undefined
      ? spawn(process.execPath, nodeArgs, { cwd: ROOT })
      : spawn("sh", ["-c", `ulimit -n ${limit}; exec "$0" "$@"`, process.execPath, ...nodeArgs], { cwd: ROOT });
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null; errors: string }>((resolve) => {
    let errors = "";
    made.stderr.on("data", (chunk: Buffer) => (errors += String(chunk)));
    made.once("close", (code, signal) => resolve({ code, signal, errors }));
  });
  return Belongings.of(t).addChild({ process: made, line: lines(made, ended), ended });
}

function lines(made: ChildProcessWithoutNullStreams, ended: Child["ended"]): () => Promise<string> {
  let text = "";
  const take = (): string | null => {
    const at = text.indexOf("\n");
    if (at < 0) return null;
    const line = text.slice(0, at);
    text = text.slice(at + 1);
    return line;
  };
  made.stdout.on("data", (chunk: Buffer) => (text += String(chunk)));
  return async () => {
    for (;;) {
      const line = take();
      if (line !== null) return line;
      const end = await Promise.race([once(made.stdout, "data").then(() => null), ended]);
      if (end !== null && !text.includes("\n")) assert.fail(`The child ended: ${end.code ?? end.signal} ${end.errors}`);
    }
  };
}

export interface Opened {
  readonly listener: AsyncSocket;
  readonly belongings: Belongings;
  /** A socket on the same network, idle. */
  readonly socket: (options?: AsyncSocketOptions) => AsyncSocket;
  /** Where the listener listens. */
  readonly target: ConnectOptions;
  /** What it listens with, for another try. */
  readonly listen: ListenOptions;
  /** A new connection, not waited for on the other side. */
  readonly connect: (options?: AsyncSocketOptions) => SocketRequest<AsyncSocket>;
  /** The next connection, for listeners without didAccept. */
  readonly accepted: () => Promise<AsyncSocket>;
}

/** A listener alone. */
export async function opened(t: TestContext, kind: Kind, accepting: AsyncSocketOptions = {}): Promise<Opened> {
  const wire = kind.open();
  t.after(() => wire.dispose());
  const belongings = Belongings.of(t);
  const listener = belongings.add(new AsyncSocket({ ...wire.options, ...accepting }));
  await listener.listen(wire.listen);
  const socket = (options: AsyncSocketOptions = {}): AsyncSocket =>
    belongings.add(new AsyncSocket({ ...wire.options, ...options }));
  const target = wire.connect(listener);
  return {
    listener,
    belongings,
    socket,
    target,
    listen: wire.listen,
    connect: (options) => socket(options).connect(target),
    async accepted() {
      const { value } = await listener.connections().next();
      assert.ok(value !== undefined, "a connection");
      // A TLS client is through with the handshake before its server is.
      while (kind.isSecure && !value.isSecure && value.state === "open") await turn();
      return belongings.add(value);
    },
  };
}

/** More bytes than a peer that does not read lets out. Little where each byte comes alone. */
export function muchFor(kind: Kind): number {
  if (kind.isReal) return 12_000_000;
  return kind.chunkBytes === 1 ? 9000 : 150_000;
}
