/** The proxy that the environment names, by the variables that most programs heed. */

import { canonicalName } from "../../base/host-name.js";
import { ipFamily, ipv4Bytes, ipv6Bytes } from "../../base/ip-bytes.js";
import { checkProxyURL, type ProxyServer } from "./proxy-url.js";

/** A name in small letters comes before the same in capitals. A variable that is empty counts as missing. */
const PROXIES = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const EXCEPTIONS = ["no_proxy", "NO_PROXY"];

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Finds the proxy for a host.
 * @param host a name, or an address without brackets
 * @returns undefined if there is none, or none for this host
 * @throws RangeError if the variable is no URL of a proxy; its message shows nothing of it
 */
export function environmentProxy(host: string, port: number, env: Environment = process.env): ProxyServer | undefined {
  const name = firstSet(env, PROXIES);
  const value = env[name ?? ""];
  if (name === undefined || value === undefined) return undefined;
  const exceptions = env[firstSet(env, EXCEPTIONS) ?? ""] ?? "";
  if (exceptions.split(/[\s,]+/).some((entry) => isMeant(entry, host, port))) return undefined;
  return checkProxyURL(`process.env.${name}`, value.includes("://") ? value : `http://${value}`);
}

function firstSet(env: Environment, names: readonly string[]): string | undefined {
  return names.find((name) => (env[name] ?? "") !== "");
}

/** Host and port of an exception: `[::1]:443`, `example.org:443`, or either without a port; an IPv6 address as it is. */
const ENTRY = /^(?:\[([^\]]*)\]|([^:]*))(?::([0-9]+))?$/;

/** Whether an exception means this host. Whatever cannot be understood means none. */
function isMeant(entry: string, host: string, port: number): boolean {
  if (entry === "*") return true;
  const [, bracketed, plain, itsPort] = ENTRY.exec(entry) ?? [];
  if (itsPort !== undefined && Number(itsPort) !== port) return false;
  const where = bracketed ?? plain ?? entry;
  return ipFamily(host) === undefined ? isWithinDomain(host, where) : isWithinNetwork(host, where);
}

/** `example.org`, `.example.org` and `*.example.org` all mean the domain and what is within. */
function isWithinDomain(host: string, domain: string): boolean {
  const wanted = canonicalName(domain.replace(/^\*?\./, ""));
  return wanted !== "" && `.${canonicalName(host)}`.endsWith(`.${wanted}`);
}

/** An address, or a network in CIDR notation. */
function isWithinNetwork(host: string, network: string): boolean {
  const [address = "", length] = network.split("/");
  const family = ipFamily(address);
  if (family === undefined || family !== ipFamily(host)) return false;
  const [a, b] = [bits(address), bits(host)];
  const count = length === undefined ? a.length : /^[0-9]{1,3}$/.test(length) ? Number(length) : Infinity;
  return count <= a.length && a.slice(0, count) === b.slice(0, count);
}

function bits(address: string): string {
  const bytes = ipFamily(address) === "IPv4" ? ipv4Bytes(address) : ipv6Bytes(address);
  return [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
}
