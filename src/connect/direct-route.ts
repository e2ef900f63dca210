import type { SrvRecord } from "node:dns";
import { isIP } from "node:net";
import type { Clock, Timer } from "../base/clock.js";
import { reasonOf } from "../base/errno.js";
import type { Endpoint, SocketSettings } from "../transport/options.js";
import type { TransportFactory } from "../transport/transport.js";
import { applySettings, Attempt } from "./attempt.js";
import type { Family } from "./happy-eyeballs.js";
import { InterfaceAddresses, zoned } from "./local-address.js";
import { connectFailure, lookupInWords, srvFailure, srvWords, type Tried } from "./messages.js";
import type { ConnectTarget, IpTarget } from "./options.js";
import type { Route, RouteOwner } from "./route.js";
import { isDenied, orderTargets, srvName, systemSrv } from "./srv.js";
import { type TargetHostOwner, TargetHost } from "./target-host.js";
import type { ConnectTrace } from "./trace.js";

const NOTHING = Buffer.alloc(0);
/** The first and the longest wait between two attempts at a listener with a full backlog. */
const BACKLOG_WAIT_MS = 1;
const BACKLOG_WAIT_MAX_MS = 50;

/** A target in words, for error messages. */
export function whereOf(target: ConnectTarget): string {
  if (target.path !== null) return target.path;
  if (target.service !== undefined) return `the service ${target.service} of ${target.host}`;
  return `${target.host} port ${target.port}`;
}

/** The address families that may be tried. If the host is an address, it is the family of that address. */
function wantedFamilies({ family, host, service }: IpTarget): readonly Family[] {
  if (family !== undefined) return [family];
  const own = service === undefined ? isIP(host) : 0;
  return own === 0 ? [6, 4] : [own as Family];
}

/**
 * Leads from a target to one connected transport. The SRV records may give several hosts; they are tried one after the
 * other, until one is reached.
 */
export class DirectRoute implements Route, TargetHostOwner {
  readonly #owner: RouteOwner;
  readonly #factory: TransportFactory;
  readonly #target: ConnectTarget;
  /** The target in words. */
  readonly #where: string;
  #settings: SocketSettings;
  /** The attempts that hold a descriptor. */
  readonly #attempts = new Set<Attempt>();
  readonly #failed: Tried[] = [];
  /** The hosts that are still to be tried. */
  #hosts: TargetHost[] = [];
  #host: TargetHost | null = null;
  /** The lookup of SRV records, as long as it is under way. */
  #lookup: { readonly name: string; readonly cancel: () => void } | null = null;
  /** The last attempt at a path whose listener had a full backlog, and the timer for the next one. */
  #busy: { readonly tried: Tried; readonly timer: Timer } | null = null;
  /** Whether SRV records have come since `hasNews` was last asked. */
  #hasRecords = false;
  #isOver = false;

  constructor(
    owner: RouteOwner,
    factory: TransportFactory,
    target: ConnectTarget,
    settings: SocketSettings,
    where = whereOf(target),
  ) {
    this.#owner = owner;
    this.#factory = factory;
    this.#target = target;
    this.#settings = settings;
    this.#where = where;
  }

  get clock(): Clock {
    return this.#owner.clock;
  }

  get isReferenced(): boolean {
    return this.#owner.isReferenced;
  }

  get trace(): ConnectTrace | null {
    return this.#owner.trace;
  }

  start(): void {
    const target = this.#target;
    if (target.path !== null) this.#connectToPath(target.path, this.clock.now() + target.patienceMs, BACKLOG_WAIT_MS);
    else if (target.service !== undefined) this.#findService(target, target.service);
    else this.#try(target, [{ name: target.host, port: target.port }]);
  }

  cancel(): void {
    this.#isOver = true;
    this.#lookup?.cancel();
    this.#lookup = null;
    this.#host?.cancel();
    if (this.#busy !== null) this.clock.clearTimer(this.#busy.timer);
    for (const attempt of this.#attempts) attempt.cancel();
  }

  setReferenced(on: boolean): void {
    for (const attempt of this.#attempts) attempt.setReferenced(on);
  }

  change(settings: Partial<SocketSettings>): void {
    this.#settings = { ...this.#settings, ...settings };
    for (const { transport } of this.#attempts) if (transport !== null) applySettings(transport, settings);
  }

  hasNews(): boolean {
    if (this.#hasRecords) {
      this.#hasRecords = false;
      return true;
    }
    for (const { transport } of this.#attempts) if (transport?.hasNews() === true) return true;
    return false;
  }

  get tried(): Tried[] {
    const busy = this.#busy === null ? [] : [this.#busy.tried];
    return [...this.#failed, ...busy, ...(this.#host?.tried ?? [])];
  }

  /** The name lookups that are under way, in words. */
  get pending(): string[] {
    const host = this.#host;
    const name = this.#lookup?.name ?? (host?.isLookingUp === true ? host.host : undefined);
    return name === undefined ? [] : [lookupInWords(name)];
  }

  /**
   * Connects to a Unix-domain socket. If the listener's backlog is full, the system does not queue the connect as it
   * does for TCP, but fails it at once. So it is tried again, after waits that double.
   */
  #connectToPath(path: string, giveUpAt: number, waitMs: number): void {
    const attempt = this.attempt({ path }, (error) => {
      if (error === null) {
        this.didReach(attempt);
        return;
      }
      const leftMs = giveUpAt - this.clock.now();
      if (reasonOf(error) !== "EAGAIN" || leftMs <= 0) {
        this.#fail({ where: "", error });
        return;
      }
      if (this.#isOver) return;
      const again = (): void => this.#connectToPath(path, giveUpAt, Math.min(2 * waitMs, BACKLOG_WAIT_MAX_MS));
      const timer = this.clock.setTimer(again, Math.min(waitMs, leftMs), this.#owner.isReferenced);
      this.#busy = { tried: { where: "", error }, timer };
    });
  }

  #findService(target: IpTarget, service: string): void {
    const name = srvName(service, target.host);
    const cancel = (this.#factory.resolveSrv ?? systemSrv)(name, (error, records) => {
      if (this.#isOver || this.#host !== null) return;
      this.#lookup = null;
      this.#hasRecords = true;
      this.#didFindService(target, name, error, records);
    });
    const isUnanswered = this.#host === null && !this.#isOver;
    if (isUnanswered) this.#lookup = { name, cancel };
  }

  #didFindService(target: IpTarget, name: string, error: Error | null, records: readonly SrvRecord[]): void {
    const isThere = error === null && records.length > 0;
    let failure: Error | null = null;
    if (isThere && isDenied(records)) failure = srvFailure(name, `${target.host} says that it does not offer it`);
    else if (isThere) this.#try(target, orderTargets(records, Math.random));
    else if (target.port !== 0) this.#try(target, [{ name: target.host, port: target.port }]);
    else failure = srvFailure(name, srvWords(error), error ?? undefined);
    if (failure !== null) this.#fail({ where: "", error: failure });
  }

  #try(target: IpTarget, addresses: readonly { readonly name: string; readonly port: number }[]): void {
    const { lookup, resolver } = target;
    const networkLookup = this.#factory.lookup;
    let families: readonly Family[] = wantedFamilies(target);
    let near: InterfaceAddresses | null = null;
    let localAddress: string | undefined;
    try {
      if (target.interface !== undefined) near = new InterfaceAddresses(target.interface, families);
      if (target.localAddress !== undefined) localAddress = zoned(target.localAddress);
    } catch (error) {
      this.#fail({ where: "", error: error as Error });
      return;
    }
    families = near?.families ?? families;
    const because = near?.inWords ?? (localAddress === undefined ? undefined : `localAddress is ${localAddress}`);
    const from = { ...target, localAddress };
    const query = { families, because, lookup, resolver, networkLookup };
    this.#hosts = addresses.map(({ name, port }) => new TargetHost(this, { ...query, host: name }, port, from, near));
    this.#tryNext();
  }

  #tryNext(): void {
    this.#host = this.#hosts.shift() ?? null;
    if (this.#host !== null) this.#host.start();
    else this.#fail();
  }

  #fail(...why: Tried[]): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#failed.push(...why);
    this.#owner.didFailToConnect(connectFailure(this.#where, this.#failed));
  }

  // ------------------------------------------------------------------ for target hosts

  attempt(endpoint: Endpoint, done: (error: Error | null) => void): Attempt {
    const told = this.trace?.attempt(endpoint, done) ?? done;
    const attempt = new Attempt(told, (one) => {
      this.#attempts.delete(one);
      this.#owner.didCloseDescriptor();
    });
    this.#attempts.add(attempt);
    this.#owner.didOpenDescriptor();
    attempt.begin(this.#factory.connect(endpoint, this.#settings, attempt), this.#owner.isReferenced);
    return attempt;
  }

  didReach(attempt: Attempt): void {
    this.#isOver = true;
    this.#attempts.delete(attempt);
    this.#host = null;
    if (attempt.transport === null) return;
    this.#owner.didConnect({ transport: attempt.transport, ahead: NOTHING, hasEnded: false });
  }

  didNotReach(host: TargetHost): void {
    this.#failed.push(...host.tried);
    this.#tryNext();
  }
}
