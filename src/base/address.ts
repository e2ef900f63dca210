import { isIPv4, isIPv6 } from "node:net";
import { ipv6Bytes } from "./ip-bytes.js";

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

/**
 * @internal Whether a connection has one end alone. TCP lets a socket that connects to a port of its own machine at which
 * nobody listens meet itself, where the system has just given it that very port to connect from.
 */
export function isOneEnd(local: Address | undefined, remote: Address | undefined): boolean {
  if (local === undefined || remote === undefined || local.family === "unix" || remote.family === "unix") return false;
  if (local.port !== remote.port || local.family !== remote.family) return false;
  if (local.address === remote.address || isUnspecified(remote.address)) return true;
  return local.family === "IPv6" && bytesOf(local.address).equals(bytesOf(remote.address));
}

/** To connect to no address in particular is to connect to this machine. */
function isUnspecified(address: string): boolean {
  return address === "0.0.0.0" || (isIPv6(address) && bytesOf(address).every((byte) => byte === 0));
}

/** One IPv6 address is written in several ways, and with its zone or not. */
function bytesOf(address: string): Buffer {
  return ipv6Bytes(address.replace(/%.*/, ""));
}
