import { isIPv4, isIPv6 } from "node:net";
import { ipv6Bytes } from "./ip-bytes.js";
import type { ProxiedTLVs } from "./proxy-tlvs.js";

/**
 * One end of a connection. An IPv4 peer of a dual-stack listener is shown as IPv4, not as `::ffff:…`. The path of a
 * unix-domain socket is empty where the socket has none.
 */
export type Address =
  | { readonly family: "IPv4" | "IPv6"; readonly address: string; readonly port: number }
  | { readonly family: "unix"; readonly path: string };

/** The two ends of the connection between the client and a proxy, as the proxy's PROXY header names them. */
export interface ProxiedAddresses {
  /** The address of the proxy to which the client connected. */
  readonly local: Address;
  /** The address of the client. */
  readonly remote: Address;
  /** What else the header tells of the client's connection; undefined where it has no extensions. */
  readonly tlvs?: ProxiedTLVs;
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

/** @internal The address in the form `127.0.0.1:80`, `[::1]:80`, or the path. */
export function addressText(address: Address | undefined): string {
  if (address === undefined) return "?";
  if (address.family === "unix") return address.path === "" ? "unix" : address.path.replace("\0", "@");
  return address.family === "IPv6" ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}

/**
 * @internal Whether a socket is connected to itself. TCP allows this: when a socket connects to a port of its own
 * machine on which nobody listens, and the system happens to pick the same port as the local one, the connect succeeds.
 */
export function isOneEnd(local: Address | undefined, remote: Address | undefined): boolean {
  if (local === undefined || remote === undefined || local.family === "unix" || remote.family === "unix") return false;
  if (local.port !== remote.port || local.family !== remote.family) return false;
  if (local.address === remote.address || isUnspecified(remote.address)) return true;
  return local.family === "IPv6" && bytesOf(local.address).equals(bytesOf(remote.address));
}

/** A connect to the unspecified address goes to this machine. */
function isUnspecified(address: string): boolean {
  return address === "0.0.0.0" || (isIPv6(address) && bytesOf(address).every((byte) => byte === 0));
}

/** An IPv6 address can be written in several ways, with or without a zone, so addresses are compared as bytes. */
function bytesOf(address: string): Buffer {
  return ipv6Bytes(withoutZone(address));
}

/** An IPv6 address without the zone that a link-local one may have (`fe80::1%eth0`); any other address as it is. */
export function withoutZone(address: string): string {
  return address.replace(/%.*/, "");
}
