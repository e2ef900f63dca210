/** Transports that do what a test tells them to, and note what is done to them: connects without a network. */

import assert from "node:assert/strict";
import type {
  AcceptedTransport,
  ConnectSink,
  Endpoint,
  ResolveSrv,
  SocketSettings,
  Transport,
  TransportFactory,
  TransportSink,
} from "asyncsocket";
import { VirtualClock } from "asyncsocket/testing";
import type { LookupFunction } from "node:net";

/** A connect under way. What happens to it, the test says to `sink`. */
export class ScriptedTransport implements AcceptedTransport {
  readonly local = undefined;
  readonly remote = undefined;
  readonly holdsProcess = true;
  readonly inHandBytes = 0;
  readonly underWayBytes = 0;
  readonly endpoint: Endpoint;
  readonly settings: SocketSettings;
  sink: ConnectSink | TransportSink;
  readonly #note: (deed: string) => void;

  constructor(endpoint: Endpoint, settings: SocketSettings, sink: ConnectSink, note: (deed: string) => void) {
    this.endpoint = endpoint;
    this.settings = settings;
    this.sink = sink;
    this.#note = note;
  }

  open(): void {
    assert.ok("didOpen" in this.sink, "it is open already");
    this.sink.didOpen();
  }

  get name(): string {
    return this.endpoint.path ?? this.endpoint.address;
  }

  adopt(sink: TransportSink): void {
    this.sink = sink;
  }

  hasNews(): boolean {
    return false;
  }

  destroy(reset: boolean): void {
    this.#note(`${this.name}: destroy${reset ? " by RST" : ""}`);
  }

  setNoDelay(on: boolean): void {
    this.#note(`${this.name}: noDelay ${on}`);
  }

  setKeepAlive(idleMs: number | false): void {
    this.#note(`${this.name}: keepAlive ${idleMs}`);
  }

  ref(): void {
    this.#note(`${this.name}: ref`);
  }

  unref(): void {
    this.#note(`${this.name}: unref`);
  }

  setRoom(): void {
    // Nothing is ever received.
  }

  write(): boolean {
    return true;
  }

  end(): void {
    assert.fail("nothing is ever ended");
  }

  /** The handshake never ends. */
  secure(_settings: unknown, _ahead: Buffer, sink: TransportSink): Transport {
    this.sink = sink;
    return this;
  }
}

/** Hosts are looked up at once: in `hosts`, by name. Null: there is never an answer. */
export type Hosts = Readonly<Record<string, readonly string[] | null>>;

export class ScriptedFactory implements TransportFactory {
  readonly clock = new VirtualClock();
  /** All that was done, in order. */
  readonly log: string[] = [];
  readonly made: ScriptedTransport[] = [];
  /** The services of this network. */
  resolveSrv?: ResolveSrv;
  readonly #hosts: Hosts;

  constructor(hosts: Hosts = {}) {
    this.#hosts = hosts;
  }

  /** What was done since this was last asked. */
  take(): string[] {
    return this.log.splice(0);
  }

  /** The latest attempt to reach an address, or a path. */
  to(name: string): ScriptedTransport {
    const found = this.made.findLast((one) => one.name === name);
    assert.ok(found !== undefined, `nobody connects to ${name}`);
    return found;
  }

  connect(endpoint: Endpoint, settings: SocketSettings, sink: ConnectSink): ScriptedTransport {
    const transport = new ScriptedTransport(endpoint, settings, sink, (deed) => void this.log.push(deed));
    this.made.push(transport);
    this.log.push(`${transport.name}: connect`);
    return transport;
  }

  listen(): never {
    assert.fail("nobody listens");
  }

  readonly lookup: LookupFunction = (host, { family }, done) => {
    const found = this.#hosts[host];
    if (found === null) return;
    const all = (found ?? []).map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
    const wanted = all.filter((one) => family === 0 || one.family === family);
    if (wanted.length > 0) done(null, wanted);
    else done(Object.assign(new Error(`no address of ${host}`), { code: "ENOTFOUND" }), []);
  };
}

/** An error of the system. */
export function errno(code: string, message = code): Error {
  return Object.assign(new Error(message), { code });
}
