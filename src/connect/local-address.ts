import { networkInterfaces } from "node:os";
import { socketError } from "../failures.js";
import type { Candidate, Family } from "./race.js";

const LINK_LOCAL = /^fe[89ab][0-9a-f]:/i;

/** The addresses to connect from that an interface has. */
export class InterfaceAddresses {
  readonly #name: string;
  readonly #addresses: readonly Candidate[];

  /** @throws CONNECT where there is no such interface, or it has no address of these families */
  constructor(name: string, families: readonly Family[], interfaces = networkInterfaces()) {
    this.#name = name;
    const found = interfaces[name];
    if (found === undefined) {
      const names = Object.keys(interfaces).join(", ");
      const there = names === "" ? "there is none that is up" : `there are ${names}`;
      throw cannot(`there is no network interface "${name}" with an address; ${there}`);
    }
    this.#addresses = found
      .map(({ address, family }): Candidate => ({ address, family: family === "IPv4" ? 4 : 6 }))
      .filter(({ family }) => families.includes(family));
    if (this.#addresses.length > 0) return;
    const wanted = families.map((family) => `IPv${family}`).join(" or ");
    throw cannot(`the network interface "${name}" has no ${wanted} address`);
  }

  get families(): Family[] {
    return ([6, 4] as const).filter((family) => this.#addresses.some((one) => one.family === family));
  }

  /** The one to reach a remote address from. A link-local one means something only together with its interface. */
  addressFor(remote: Candidate): string | undefined {
    const ofFamily = this.#addresses.filter(({ family }) => family === remote.family);
    const isNear = LINK_LOCAL.test(remote.address);
    const best = ofFamily.find(({ address }) => LINK_LOCAL.test(address) === isNear) ?? ofFamily[0];
    return best === undefined ? undefined : this.scoped(best.address);
  }

  /** A link-local address with its interface, where it has none. */
  scoped(address: string): string {
    return LINK_LOCAL.test(address) && !address.includes("%") ? `${address}%${this.#name}` : address;
  }
}

function cannot(why: string): Error {
  return socketError("CONNECT", "connect", `Cannot connect: ${why}`);
}
