import { networkInterfaces } from "node:os";
import { socketError } from "../base/errors.js";
import type { Candidate, Family } from "./happy-eyeballs.js";

const LINK_LOCAL = /^fe[89ab][0-9a-f]:/i;

/** The addresses of a network interface, to connect from. */
export class InterfaceAddresses {
  /** The addresses of the interface, as a part of a sentence. */
  readonly inWords: string;
  readonly #name: string;
  readonly #addresses: readonly Candidate[];

  /** @throws CONNECT if there is no such interface, or it has no address of these families */
  constructor(name: string, families: readonly Family[], interfaces = networkInterfaces()) {
    this.#name = name;
    const found = interfaces[name];
    if (found === undefined) throw cannot(notThere(`"${name}" with an address`, interfaces));
    const all = found.map(({ address }) => address).join(", ");
    this.inWords = `the network interface "${name}" has ${all}`;
    this.#addresses = found
      .map(({ address, family }): Candidate => ({ address, family: family === "IPv4" ? 4 : 6 }))
      .filter(({ family }) => families.includes(family));
    if (this.#addresses.length > 0) return;
    const wanted = families.map((family) => `IPv${family}`).join(" or ");
    throw cannot(`the network interface "${name}" has no ${wanted} address${all === "" ? "" : `; it has ${all}`}`);
  }

  get families(): Family[] {
    return ([6, 4] as const).filter((family) => this.#addresses.some((one) => one.family === family));
  }

  /**
   * The local address from which to reach a remote address. A link-local address has a meaning only together with its
   * interface.
   */
  addressFor(remote: Candidate): string | undefined {
    const ofFamily = this.#addresses.filter(({ family }) => family === remote.family);
    const isNear = LINK_LOCAL.test(remote.address);
    const best = ofFamily.find(({ address }) => LINK_LOCAL.test(address) === isNear) ?? ofFamily[0];
    return best === undefined ? undefined : this.scoped(best.address);
  }

  /** Appends the interface to a link-local address that has no zone. */
  scoped(address: string): string {
    return LINK_LOCAL.test(address) && !address.includes("%") ? `${address}%${this.#name}` : address;
  }
}

type Interfaces = ReturnType<typeof networkInterfaces>;

/** The operation that needs the address, for error messages. */
type Operation = "connect" | "listen";

/**
 * Rewrites the zone of an address, if it has one, in the form that the system takes: an interface name (`fe80::1%eth0`)
 * instead of its number (`fe80::1%2`), which people may write. Windows takes only numbers.
 * @throws CONNECT or LISTEN if there is no such interface; the system's own error would be a mere EINVAL
 */
export function zoned(address: string, operation: Operation = "connect", find = networkInterfaces): string {
  const at = address.indexOf("%");
  if (at === -1 || process.platform === "win32") return address;
  const zone = address.slice(at + 1);
  const interfaces = find();
  if (interfaces[zone] !== undefined) return address;
  const name = Object.keys(interfaces).find((one) =>
    interfaces[one]?.some((own) => own.family === "IPv6" && own.scopeid !== 0 && String(own.scopeid) === zone),
  );
  if (name === undefined) throw cannot(notThere(`"${zone}" for the zone of ${address}`, interfaces), operation);
  return `${address.slice(0, at)}%${name}`;
}

function notThere(which: string, interfaces: Interfaces): string {
  const names = Object.keys(interfaces).join(", ");
  return `there is no network interface ${which}; ${names === "" ? "there is none that is up" : `there are ${names}`}`;
}

function cannot(why: string, operation: Operation = "connect"): Error {
  return socketError(operation === "connect" ? "CONNECT" : "LISTEN", operation, `Cannot ${operation}: ${why}`);
}
