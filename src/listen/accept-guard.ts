import type { Address } from "../base/address.js";
import type { Clock } from "../base/clock.js";
import { ipv6Network } from "../base/ip-bytes.js";
import type { FullLimits } from "../base/limits.js";
import type { AddressFilter } from "./options.js";

/** Decides which connections a listener lets in, by its limits and its block list. */
export class AcceptGuard {
  readonly #limits: FullLimits;
  readonly #clock: Clock;
  readonly #filter: AddressFilter | undefined;
  /** The number of open connections from each address, or from each network of IPv6 addresses. */
  readonly #perAddress = new Map<string, number>();
  /** The connections that may be accepted now. They grow back with time, to those of one second at most. */
  #acceptsLeft: number;
  #countedAt: number;

  constructor(limits: FullLimits, clock: Clock, filter: AddressFilter | undefined) {
    this.#limits = limits;
    this.#clock = clock;
    this.#filter = filter;
    this.#acceptsLeft = limits.acceptsPerSecond;
    this.#countedAt = clock.now();
  }

  /**
   * Says why a connection is not let in; null if it is.
   * @param remote the address of the client; behind a proxy, the address that connected to the proxy
   * @param open how many connections are open
   */
  refusal(remote: Address | undefined, open: number): string | null {
    const { connections, connectionsPerAddress } = this.#limits;
    if (open >= connections) return `limits.connections, ${connections}, are open`;
    if (remote === undefined) {
      const isGuarded = this.#filter !== undefined || connectionsPerAddress !== Infinity;
      return isGuarded ? "its address is not known, and the rules for addresses cannot be applied" : null;
    }
    if (remote.family === "unix") return null;
    if (this.#filter?.check(remote.address, remote.family === "IPv4" ? "ipv4" : "ipv6") === true) {
      return `${remote.address} is on the block list`;
    }
    if (connectionsPerAddress === Infinity) return null;
    const origin = this.#originOf(remote);
    if ((this.#perAddress.get(origin) ?? 0) < connectionsPerAddress) return null;
    return `limits.connectionsPerAddress, ${connectionsPerAddress}, are open from ${origin}`;
  }

  /**
   * Counts a connection for `limits.acceptsPerSecond`, unless there were too many. Those that are refused do not count.
   * @returns why it is not let in; null if it is
   */
  takeAccept(): string | null {
    const { acceptsPerSecond } = this.#limits;
    if (acceptsPerSecond === Infinity) return null;
    const now = this.#clock.now();
    const grown = ((now - this.#countedAt) * acceptsPerSecond) / 1000;
    this.#acceptsLeft = Math.min(acceptsPerSecond, this.#acceptsLeft + grown);
    this.#countedAt = now;
    if (this.#acceptsLeft < 1) return `limits.acceptsPerSecond, ${acceptsPerSecond}, were accepted within a second`;
    this.#acceptsLeft--;
    return null;
  }

  /** Counts one connection more or less from an address. */
  count(remote: Address | undefined, change: 1 | -1): void {
    if (this.#limits.connectionsPerAddress === Infinity || remote === undefined || remote.family === "unix") return;
    const origin = this.#originOf(remote);
    const count = (this.#perAddress.get(origin) ?? 0) + change;
    if (count === 0) this.#perAddress.delete(origin);
    else this.#perAddress.set(origin, count);
  }

  /** What a connection counts for: its address, or the network of its IPv6 address. */
  #originOf({ family, address }: Exclude<Address, { family: "unix" }>): string {
    const { ipv6PrefixLength } = this.#limits;
    return family === "IPv4" || ipv6PrefixLength >= 128 ? address : ipv6Network(address, ipv6PrefixLength);
  }
}
