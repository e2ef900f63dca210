/** The tables of options, from which arguments are parsed and help is printed. */

import { parseArgs } from "node:util";
import { UsageError } from "./exit-code.js";

export interface Option {
  readonly type: "boolean" | "string";
  readonly short?: string;
  /** What the help calls the value. */
  readonly value?: string;
  readonly about: string;
}

export type OptionTable = Readonly<Record<string, Option>>;

/** The values of a table of options: those that were not given are undefined. */
export type Values<Table extends OptionTable> = {
  readonly [Name in keyof Table]?: (Table[Name]["type"] extends "boolean" ? boolean : string) | undefined;
};

export const GENERAL = {
  help: { type: "boolean", short: "h", about: "shows this help" },
  quiet: { type: "boolean", short: "q", about: "says nothing about the connection on stderr, except errors" },
} as const satisfies OptionTable;

/** How a connection is made. */
export const CONNECTION = {
  tls: { type: "boolean", about: "TLS from the first byte" },
  starttls: {
    type: "string",
    value: "PROTOCOL",
    about: "TLS from when smtp, imap, pop3, xmpp, ldap, postgres allow it",
  },
  insecure: { type: "boolean", short: "k", about: "goes on whoever the server is" },
  ca: { type: "string", value: "FILE", about: "certificates (PEM) of authorities to trust instead of the usual ones" },
  cert: { type: "string", value: "FILE", about: "a certificate (PEM) to show" },
  key: { type: "string", value: "FILE", about: "its key (PEM)" },
  servername: { type: "string", value: "NAME", about: "the name that the certificate must be for" },
  fingerprint: { type: "string", value: "HEX", about: "the SHA-256 fingerprint that the certificate must have" },
  alpn: { type: "string", value: "NAMES", about: "protocols to offer, with commas between them" },
  "tls-version": { type: "string", value: "VERSION", about: "the only version of TLS to speak: 1.2 or 1.3" },
  proxy: { type: "string", value: "URL", about: "goes through a proxy: socks5, socks5h, http, https, or env" },
  "proxy-header": { type: "string", value: "VERSION", about: "begins with a PROXY header of version 1 or 2" },
  srv: { type: "string", value: "SERVICE", about: "looks up the SRV records of a service, such as xmpp-client" },
  ipv4: { type: "boolean", short: "4", about: "tries only IPv4 addresses" },
  ipv6: { type: "boolean", short: "6", about: "tries only IPv6 addresses" },
  "local-address": { type: "string", value: "ADDRESS", about: "connects from this address" },
  timeout: { type: "string", value: "MS", about: "how long connecting may take, with the handshake" },
  idle: { type: "string", value: "MS", about: "closes the connection when nothing has passed for so long" },
} as const satisfies OptionTable;

/** The capture of a conversation. */
export const RECORDING = {
  record: {
    type: "string",
    value: "FILE",
    about: "writes what passes, in the clear side of TLS, for Wireshark (pcapng)",
  },
} as const satisfies OptionTable;

/** Parses the arguments of a command. @throws UsageError */
export function parse<Table extends OptionTable>(
  args: readonly string[],
  options: Table,
): { values: Values<Table>; positionals: string[] } {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    return { values: values, positionals };
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** An option that is a whole number. @throws UsageError */
export function wholeNumber(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (!/^\d+$/.test(value)) throw new UsageError(`Expected --${name} to be a whole number, got "${value}"`);
  const number = Number(value);
  if (number > MAX_NUMBER) throw new UsageError(`Expected --${name} to be at most ${MAX_NUMBER}, got ${value}`);
  return number;
}

/** What a timer can wait for, in milliseconds; nothing that is counted needs more. */
const MAX_NUMBER = 2 ** 31 - 1;

/** An option that is one of a few words. @throws UsageError */
export function oneOf<Word extends string>(
  name: string,
  value: string | undefined,
  words: readonly Word[],
): Word | undefined {
  if (value === undefined) return undefined;
  const found = words.find((word) => word === value);
  if (found === undefined) throw new UsageError(`Expected --${name} to be ${words.join(" or ")}, got "${value}"`);
  return found;
}
