import dns from "node:dns";
import { Resolver, type SrvRecord } from "node:dns";
import type { ResolveSrv } from "../transport/transport.js";

/**
 * Asks the system's name servers. Each question has a resolver of its own, so that it can be cancelled, and its
 * descriptor closed.
 */
export const systemSrv: ResolveSrv = (name, done) => {
  const resolver = new Resolver();
  // The servers are read through the `dns` object, because a named import does not see changes made by
  // `dns.setServers`.
  resolver.setServers(dns.getServers());
  resolver.resolveSrv(name, (error, records) => {
    if (error === null) done(null, records);
    else done(error, []);
  });
  return () => resolver.cancel();
};

/** The name of the SRV records for a service over TCP in a domain (RFC 2782). */
export function srvName(service: string, host: string): string {
  return `_${service}._tcp.${host}`;
}

/** Whether the records say explicitly that the domain does not offer the service. */
export function isDenied(records: readonly SrvRecord[]): boolean {
  const [first] = records;
  return records.length === 1 && first !== undefined && (first.name === "." || first.name === "");
}

/**
 * Orders SRV records for connecting: by priority, the lowest first. Records of the same priority are drawn at random,
 * each with a probability that its weight gives it among those left (RFC 2782, page 3).
 * @param random a function like `Math.random`: from 0 (included) to 1 (excluded)
 */
export function orderTargets(records: readonly SrvRecord[], random: () => number): SrvRecord[] {
  const priorities = [...new Set(records.map(({ priority }) => priority))].sort((a, b) => a - b);
  return priorities.flatMap((priority) =>
    draw(
      records.filter((record) => record.priority === priority),
      random,
    ),
  );
}

function draw(records: readonly SrvRecord[], random: () => number): SrvRecord[] {
  // Records of weight 0 come first, so that they are drawn only if the random number is 0 or no others are left.
  const left = [...records].sort((a, b) => a.weight - b.weight);
  const drawn: SrvRecord[] = [];
  while (left.length > 0) {
    const total = left.reduce((sum, { weight }) => sum + weight, 0);
    const lot = Math.floor(random() * (total + 1));
    let sum = 0;
    const index = left.findIndex(({ weight }) => (sum += weight) >= lot);
    drawn.push(...left.splice(index, 1));
  }
  return drawn;
}
