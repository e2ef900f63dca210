import dns from "node:dns";
import { Resolver, type SrvRecord } from "node:dns";
import type { ResolveSrv } from "../transport/transport.js";

/** Asks the system's name servers, by a resolver of its own, so that the question can be given up with its descriptor. */
export const systemSrv: ResolveSrv = (name, done) => {
  const resolver = new Resolver();
  // By way of the object: a named import does not see what `dns.setServers` has changed.
  resolver.setServers(dns.getServers());
  resolver.resolveSrv(name, (error, records) => {
    if (error === null) done(null, records);
    else done(error, []);
  });
  return () => resolver.cancel();
};

/** The name under which a domain's service over TCP is found (RFC 2782). */
export function srvName(service: string, host: string): string {
  return `_${service}._tcp.${host}`;
}

/** Whether the records say that the domain decidedly does not offer the service. */
export function isDenied(records: readonly SrvRecord[]): boolean {
  const [first] = records;
  return records.length === 1 && first !== undefined && (first.name === "." || first.name === "");
}

/**
 * The order in which to try them: by priority, the lowest first; those of one priority drawn by lot, each with a chance
 * that its weight gives it among those left (RFC 2782, page 3).
 * @param random as `Math.random`: from 0, included, to 1, excluded
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
  // Those of weight 0 first, so that the lot falls on them only when it is 0 (or when they alone are left).
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
