/**
 * Run by a test in a network of its own: two interfaces, addresses that nobody answers at, and addresses that no route
 * leads to. Prints how connecting went, as JSON.
 */

import { execFileSync } from "node:child_process";
import type { LookupAddress } from "node:dns";
import { writeFileSync } from "node:fs";
import { isIP, type LookupFunction } from "node:net";
import { networkInterfaces } from "node:os";
import { AsyncSocket, AsyncSocketError, type ConnectOptions } from "asyncsocket";
import { portOf } from "../support/transports.js";

export const LIVE = "192.0.2.1";
export const LIVE6 = "2001:db8::1";
/** Of an interface that has no other. */
export const ONLY4 = "203.0.113.1";
export const NEAR = "fe80::77";
/** Packets go out to a card that is not there. */
export const SILENT = "192.0.2.66";
export const SILENT6 = "2001:db8::66";
export const UNREACHABLE = "198.51.100.1";
export const UNREACHABLE6 = "2001:db8:dead::1";

export type Outcome = { readonly local: string; readonly remote: string } | { readonly code: string; message: string };

const NOBODY = "02:00:00:00:00:01";
const SETUP = [
  "link set lo up",
  "link add v0 type veth peer name v1",
  `addr add ${LIVE}/24 dev v0`,
  `addr add ${LIVE6}/64 dev v0 nodad`,
  `addr add ${NEAR}/64 dev v0 nodad`,
  "link set v0 up",
  `addr add ${ONLY4}/24 dev v1`,
  "link set v1 up",
  `neigh add ${SILENT} lladdr ${NOBODY} dev v0 nud permanent`,
  `neigh add ${SILENT6} lladdr ${NOBODY} dev v0 nud permanent`,
  `route add unreachable ${UNREACHABLE}/32`,
  `-6 route add unreachable ${UNREACHABLE6}/128`,
];

function finding(...addresses: string[]): LookupFunction {
  const found: LookupAddress[] = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_host, _options, done) => done(null, found);
}

function numberOf(name: string): number {
  return networkInterfaces()[name]?.find(({ family, scopeid }) => family === "IPv6" && scopeid !== 0)?.scopeid ?? 0;
}

async function outcome(options: ConnectOptions): Promise<Outcome> {
  try {
    await using socket = await AsyncSocket.connect({ host: "name.test", ...options });
    return { local: JSON.stringify(socket.local), remote: JSON.stringify(socket.remote) };
  } catch (error) {
    if (error instanceof AsyncSocketError) return { code: error.code, message: error.message };
    throw error;
  }
}

async function main(): Promise<void> {
  for (const command of SETUP) execFileSync("ip", command.split(" "));
  writeFileSync("/proc/sys/net/ipv6/conf/v1/disable_ipv6", "1");
  await using listener = await AsyncSocket.listen({ port: 0 });
  const port = portOf(listener);
  const cases: Record<string, ConnectOptions> = {
    "a silent address beside a live one": { lookup: finding(SILENT6, LIVE) },
    "a silent address alone": { lookup: finding(SILENT6), timeout: 400 },
    "two silent families": { lookup: finding(SILENT6, SILENT), timeout: 800 },
    "an address without a route beside a live one": { lookup: finding(UNREACHABLE6, LIVE) },
    "two families without a route": { lookup: finding(UNREACHABLE6, UNREACHABLE) },
    "an interface, by IPv6": { lookup: finding(LIVE6), interface: "v0" },
    "an interface, by IPv4": { lookup: finding(LIVE), interface: "v0" },
    "a zone by its name": { host: `${NEAR}%v0` },
    "a zone by its number": { host: `${NEAR}%${numberOf("v0")}` },
    "a zone that is not there": { host: `${NEAR}%v7` },
    "an interface without an address of the family": { host: "::1", interface: "v1" },
    "an interface that is not there": { lookup: finding(LIVE), interface: "v7" },
  };
  const outcomes: Record<string, Outcome> = {};
  for (const [name, options] of Object.entries(cases)) outcomes[name] = await outcome({ port, ...options });
  console.log(JSON.stringify(outcomes));
}

if (process.argv[2] === "run") await main();
