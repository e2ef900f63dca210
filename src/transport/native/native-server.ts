import { getSystemErrorName } from "node:util";
import { type Address, ipAddress } from "../../base/address.js";
import { realClock } from "../../base/clock.js";
import { systemError } from "../../base/errno.js";
import { listenerPath } from "../kernel-facts.js";
import { bindNode } from "../node/node-server.js";
import { probesOf, refusalIn, setKernel, settingsList } from "../kernel-settings.js";
import type { SocketSettings } from "../options.js";
import { type AcceptSink, type Bound, offer, isSet, type Place, soleAddress } from "../place-listener.js";
import { ACCEPT_FAILED, ACCEPTED, addon, KEEP_ALIVE, NO_DELAY, owners, REFERENCED } from "./addon.js";
import { keepAliveSeconds, NativeTransport, PATH } from "./native-transport.js";

/** A listening descriptor. */
class NativeServer implements Bound {
  readonly address: Address | undefined;
  readonly #path: string | null;
  readonly #sole: Address | undefined;
  readonly #sink: AcceptSink;
  #id: number;
  #timer: object | null = null;
  /** The settings that the system does not pass on from the listener to its connections. */
  readonly #unpassed: SocketSettings | null;

  constructor(id: number, path: string | null, settings: SocketSettings, sink: AcceptSink) {
    const { noDelay, keepAliveMs } = settings;
    this.#id = id;
    this.#path = path;
    this.#sink = sink;
    const passesOn = process.platform === "linux" && path === null;
    this.#unpassed = passesOn || settingsList(settings) === undefined ? null : settings;
    owners[id] = this;
    if (path !== null) {
      this.address = this.#sole = { family: "unix", path };
      return;
    }
    const text = addon.addressOf(id, false) ?? "";
    const space = text.indexOf(" ");
    this.address = ipAddress(text.slice(space + 1), Number(text.slice(0, space)));
    this.#sole = soleAddress(this.address);
    addon.set(id, NO_DELAY, noDelay ? 1 : 0);
    if (keepAliveMs === false) return;
    addon.set(id, KEEP_ALIVE, keepAliveSeconds(keepAliveMs));
    setKernel("listen", addon.descriptorOf?.(id) ?? -1, probesOf(settings));
  }

  didHappen(what: number, a: number): void {
    if (what === ACCEPTED) {
      const remote = this.#path === null ? undefined : ({ family: "unix", path: "" } as const);
      const transport = new NativeTransport(a, this.#sole, remote, null);
      if (this.#unpassed === null || isSet(transport, this.#unpassed, this.#sink)) offer(this.#sink, transport);
    } else if (what === ACCEPT_FAILED) {
      this.#timer = realClock.setTimer(() => addon.setRoom(this.#id, 1), ACCEPT_PAUSE_MS, false);
      this.#sink.didFailAccept(systemError(-a, "accept"));
    }
  }

  close(): void {
    if (this.#timer !== null) realClock.clearTimer(this.#timer);
    owners[this.#id] = null;
    addon.close(this.#id, false);
  }

  ref(): void {
    addon.set(this.#id, REFERENCED, 1);
  }

  unref(): void {
    addon.set(this.#id, REFERENCED, 0);
  }
}

/** Listens on every address of the machine: on both families with one descriptor, or on IPv4 where IPv6 is missing. */
function bindAll({ port, backlog, ipv6Only, reusePort }: Place, list: Int32Array | undefined): number {
  const id = addon.listen("::", port, backlog, ipv6Only, reusePort, list);
  const isAbsent = id < 0 && ["EAFNOSUPPORT", "EADDRNOTAVAIL", "EINVAL"].includes(getSystemErrorName(id));
  return isAbsent && !ipv6Only ? addon.listen("0.0.0.0", port, backlog, false, reusePort, list) : id;
}

/** Listens on a descriptor that listens already. An addon of an older version leaves that to `node:net`. */
async function adoptNative(fd: number, place: Place, settings: SocketSettings, sink: AcceptSink): Promise<Bound> {
  if (addon.adopt === undefined) return bindNode(place, settings, sink);
  const path = listenerPath(fd) ?? null;
  setKernel("listen", fd, settings);
  const id = addon.adopt(fd, place.backlog);
  if (id < 0) throw systemError(id, "listen");
  return new NativeServer(id, path, settings, sink);
}

export function bindNative(place: Place, settings: SocketSettings, sink: AcceptSink): Promise<Bound> {
  if (place.fd !== null) return adoptNative(place.fd, place, settings, sink);
  const { path, boundPath, address, port, backlog, ipv6Only, reusePort } = place;
  const list = settingsList(settings);
  let id: number;
  if (boundPath !== null) id = addon.listen(boundPath, PATH, backlog, false, false, list);
  else if (address === undefined) id = bindAll(place, list);
  else id = addon.listen(address, port, backlog, ipv6Only, reusePort, list);
  if (id >= 0) return Promise.resolve(new NativeServer(id, path, settings, sink));
  const where = path === null ? ipAddress(address ?? "::", port) : ({ family: "unix", path } as const);
  return Promise.reject(refusalIn(list, "listen") ?? systemError(id, "listen", where));
}

/**
 * How long accepting pauses after it has failed for want of descriptors or memory, since it would fail again at once.
 */
const ACCEPT_PAUSE_MS = 100;
