import { getSystemErrorMap, getSystemErrorName, inspect } from "node:util";
import type { Address } from "./address.js";

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ECONNRESET: "the peer reset the connection",
  EPIPE: "the peer no longer takes data",
  ETIMEDOUT: "no answer",
  EHOSTUNREACH: "no route to that host",
  ENETUNREACH: "no route to that network",
  ENETDOWN: "the network is down",
  EADDRINUSE: "the address is in use",
  EADDRNOTAVAIL: "no such address on this machine, or no free port there",
  EAFNOSUPPORT: "that address family is not supported here",
  EACCES: "permission denied",
  EPERM: "not permitted",
  ENOENT: "no such file",
  ENOTCONN: "the peer was gone already",
  ENOTSOCK: "not a socket",
  ENOTDIR: "not a directory",
  EMFILE: "the process has no free file descriptors",
  ENFILE: "the system has no free file descriptors",
  EAGAIN: "the system has no room for another connection now, for example because the backlog is full",
  EINVAL: "the system does not accept that argument",
  ENOBUFS: "the system is out of buffers",
  ENOMEM: "the system is out of memory",
  ENOTFOUND: "no such host name",
  ERR_TLS_SESSION_ATTACK: "the peer renegotiates too often",
  EAI_AGAIN: "the name server could not be reached or had no answer for now; check the network and the resolver",
  EAI_FAIL: "the name server failed",
  EAI_NODATA: "the name exists but has no address",
  ENODATA: "the name exists but has no address",
};

/** The reason of a failure in words that a person can read: `nothing listens there (ECONNREFUSED)`. */
export function inWords(thrown: unknown): string {
  const reason = reasonOf(thrown);
  const words = wordsFor(reason, WORDS) ?? wordsOfOpenSSL(thrown, reason) ?? ownWords(thrown, reason);
  return words === undefined ? reason : `${words} (${reason})`;
}

/**
 * The code of an error, such as "ECONNREFUSED", or its message where it has no code. The result is a string whatever
 * was thrown: codes can be numbers (of a database, of gRPC, of a DOMException), and getters can throw.
 */
export function reasonOf(thrown: unknown): string {
  const code = propertyOf(thrown, "code");
  if (isText(code)) return code;
  const message = propertyOf(thrown, "message");
  if (isText(message)) return message;
  const name = propertyOf(thrown, "name");
  if (isText(name) && isText(propertyOf(thrown, "stack"))) return name;
  return isText(thrown) ? thrown : printed(thrown);
}

/** OpenSSL's own reason, such as `peer did not return a certificate`. */
function wordsOfOpenSSL(thrown: unknown, code: string): string | undefined {
  if (!code.startsWith("ERR_SSL_")) return undefined;
  const reason = propertyOf(thrown, "reason");
  return isText(reason) ? reason : undefined;
}

/** An error with the properties and the message of a system error of the runtime's own sockets. */
export function systemError(status: number, call: string, where?: Address): Error {
  const code = getSystemErrorName(status);
  // The runtime adds a description of the errno to the message of a failed listen, and only there.
  const words = call === "listen" ? `: ${getSystemErrorMap().get(status)?.[1] ?? "unknown error"}` : "";
  const message = `${call} ${code}${words}${where === undefined ? "" : ` ${inError(where)}`}`;
  return Object.assign(new Error(message), { errno: status, code, syscall: call, ...(where && placeOf(where)) });
}

/** Whether a code is one of the operating system or its resolver, such as "EPIPE", and none of a library. */
export function isSystemCode(code: unknown): boolean {
  return typeof code === "string" && SYSTEM_CODE.test(code);
}

const SYSTEM_CODE = /^E(?!RR_)[A-Z0-9_]+$/;

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

/** The message of an error whose code begins with `ERR_`, as Node's and this library's do: such codes say little. */
function ownWords(thrown: unknown, code: string): string | undefined {
  if (!code.startsWith("ERR_")) return undefined;
  const message = propertyOf(thrown, "message");
  return isText(message) && message !== code ? message : undefined;
}

/** A thrown value that has neither code nor message, as the runtime prints it. */
function printed(value: unknown): string {
  try {
    return inspect(value, { depth: 0, breakLength: Infinity });
  } catch {
    return "something that cannot be printed";
  }
}

function propertyOf(value: unknown, name: string): unknown {
  if ((typeof value !== "object" || value === null) && typeof value !== "function") return undefined;
  try {
    return (value as Record<string, unknown>)[name];
  } catch {
    return undefined;
  }
}

/** The words that a table has for a reason. A reason may be any text, even `"constructor"`, so only own keys count. */
export function wordsFor(reason: string, table: Readonly<Record<string, string>>): string | undefined {
  return Object.hasOwn(table, reason) ? table[reason] : undefined;
}

export function inError(where: Address): string {
  if (where.family === "unix") return where.path;
  return where.port > 0 ? `${where.address}:${where.port}` : where.address;
}

export function placeOf(where: Address): { address: string; port?: number } {
  if (where.family === "unix") return { address: where.path };
  return where.port > 0 ? { address: where.address, port: where.port } : { address: where.address };
}
