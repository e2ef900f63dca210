/** IP addresses between text and the bytes that protocols send. */

import { isIPv4, isIPv6 } from "node:net";

/** Which kind of address a text is. One with a zone (`fe80::1%eth0`) is none: a zone means nothing elsewhere. */
export function ipFamily(text: string): "IPv4" | "IPv6" | undefined {
  if (isIPv4(text)) return "IPv4";
  return isIPv6(text) && !text.includes("%") ? "IPv6" : undefined;
}

/** @param text as `ipFamily` takes it for IPv4 */
export function ipv4Bytes(text: string): Buffer {
  return Buffer.from(text.split(".").map(Number));
}

/** @param text as `ipFamily` takes it for IPv6 */
export function ipv6Bytes(text: string): Buffer {
  const [left = [], right = []] = withoutDots(text)
    .split("::")
    .map((half) => half.split(":").filter((group) => group !== ""));
  const zeros = new Array<string>(8 - left.length - right.length).fill("0");
  const groups = [...left, ...zeros, ...right];
  return Buffer.from(groups.map((group) => group.padStart(4, "0")).join(""), "hex");
}

/** The last two groups may be written as an IPv4 address. */
function withoutDots(text: string): string {
  if (!text.includes(".")) return text;
  const at = text.lastIndexOf(":") + 1;
  const last = ipv4Bytes(text.slice(at));
  return `${text.slice(0, at)}${last.toString("hex", 0, 2)}:${last.toString("hex", 2)}`;
}

/** @param bytes four of them */
export function ipv4Text(bytes: Uint8Array): string {
  return bytes.join(".");
}

/** In the form of RFC 5952, which is also that of the hosts of URLs. @param bytes sixteen of them */
export function ipv6Text(bytes: Uint8Array): string {
  const groups = Buffer.from(bytes).toString("hex").match(/..../g) ?? [];
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}

const MAPPED_PREFIX = Buffer.from("00000000000000000000ffff", "hex");

/** Whether an IPv4 address is dressed up as an IPv6 one: its last four bytes are it. @param bytes sixteen of them */
export function isMapped(bytes: Uint8Array): boolean {
  return MAPPED_PREFIX.equals(bytes.subarray(0, 12));
}
