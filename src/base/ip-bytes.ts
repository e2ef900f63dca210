/** Converts IP addresses between text and the bytes that protocols send. */

import { isIPv4, isIPv6 } from "node:net";

/** The family of an address, or undefined for other text and for an address with a zone (`fe80::1%eth0`). */
export function ipFamily(text: string): "IPv4" | "IPv6" | undefined {
  if (isIPv4(text)) return "IPv4";
  return isIPv6(text) && !text.includes("%") ? "IPv6" : undefined;
}

/** @param text an IPv4 address */
export function ipv4Bytes(text: string): Buffer {
  return Buffer.from(text.split(".").map(Number));
}

/** @param text an IPv6 address without a zone */
export function ipv6Bytes(text: string): Buffer {
  const [left = [], right = []] = withoutDots(text)
    .split("::")
    .map((half) => half.split(":").filter((group) => group !== ""));
  const zeros = new Array<string>(8 - left.length - right.length).fill("0");
  const groups = [...left, ...zeros, ...right];
  return Buffer.from(groups.map((group) => group.padStart(4, "0")).join(""), "hex");
}

/** Rewrites the last two groups of an IPv6 address, which may be written as an IPv4 address, in hex. */
function withoutDots(text: string): string {
  if (!text.includes(".")) return text;
  const at = text.lastIndexOf(":") + 1;
  const last = ipv4Bytes(text.slice(at));
  return `${text.slice(0, at)}${last.toString("hex", 0, 2)}:${last.toString("hex", 2)}`;
}

/** @param bytes the four bytes of the address */
export function ipv4Text(bytes: Uint8Array): string {
  return bytes.join(".");
}

/** The address in the form of RFC 5952, which URLs use as well. @param bytes the sixteen bytes of the address */
export function ipv6Text(bytes: Uint8Array): string {
  const groups = Buffer.from(bytes).toString("hex").match(/..../g) ?? [];
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}

/**
 * The network of an IPv6 address, such as `2001:db8::/64`. A zone (`fe80::1%eth0`) stays, since the addresses of two
 * zones are not in one network.
 * @param prefixLength how many of the first bits make the network
 */
export function ipv6Network(text: string, prefixLength: number): string {
  const [address = "", zone] = text.split("%");
  const bytes = ipv6Bytes(address).map((byte, at) => {
    const bits = Math.min(8, Math.max(0, prefixLength - 8 * at));
    return byte & (0xff00 >> bits);
  });
  return `${ipv6Text(bytes)}${zone === undefined ? "" : `%${zone}`}/${prefixLength}`;
}

const MAPPED_PREFIX = Buffer.from("00000000000000000000ffff", "hex");

/** Whether an IPv6 address stands for the IPv4 address in its last four bytes. @param bytes the sixteen bytes */
export function isMapped(bytes: Uint8Array): boolean {
  return MAPPED_PREFIX.equals(bytes.subarray(0, 12));
}
