import { isIPv4, isIPv6 } from "node:net";

/** One end of a connection. An IPv4 peer of a dual-stack listener is shown as IPv4. */
export type Address =
  | { readonly family: "IPv4" | "IPv6"; readonly address: string; readonly port: number }
  | { readonly family: "unix"; readonly path: string };

/** Whose connection a proxy passes on, as a PROXY header tells it. */
export interface ProxiedAddresses {
  /** Where it came in. */
  readonly local: Address;
  /** Who made it. */
  readonly remote: Address;
}

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/** @internal */
export function ipAddress(address: string | undefined, port: number | undefined): Address | undefined {
  if (address === undefined || port === undefined) return undefined;
  const v4 = MAPPED.exec(address)?.[1];
  if (v4 !== undefined) return { family: "IPv4", address: v4, port };
  if (isIPv4(address)) return { family: "IPv4", address, port };
  return isIPv6(address) ? { family: "IPv6", address, port } : undefined;
}

/** @internal `127.0.0.1:80`, `[::1]:80`, or the path. */
export function addressText(address: Address | undefined): string {
  if (address === undefined) return "?";
  if (address.family === "unix") return address.path === "" ? "unix" : address.path.replace("\0", "@");
  return address.family === "IPv6" ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}
