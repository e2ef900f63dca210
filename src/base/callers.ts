/**
 * Remembers where in the user's program a request was made. A request fails in a later turn of the event loop, when the
 * stack no longer shows that place.
 */

import { debuglog } from "node:util";

/**
 * Whether every request remembers its caller: set by NODE_DEBUG=asyncsocket. Capturing a stack costs more than a
 * request. Bun and Deno do not tell whether a `debuglog` is enabled.
 */
export const REMEMBERS_ALL =
  debuglog("asyncsocket").enabled || /(?:^|,) *asyncsocket *(?:,|$)/i.test(process.env["NODE_DEBUG"] ?? "");

/** How many frames of this library may stand above the user's own. */
const OWN_FRAMES = 8;

const stacks = new WeakMap<object, { readonly stack?: unknown }>();

/**
 * Remembers the present stack for a request. The runtime formats a captured stack only when it is read.
 * @param owner the object whose method `name` is running; the frame of that method and those above it are left out
 */
export function rememberCaller<K extends string>(request: object, owner: Readonly<Record<K, unknown>>, name: K): void {
  const place = {};
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = limit + OWN_FRAMES;
  Error.captureStackTrace(place, owner[name] as () => void);
  Error.stackTraceLimit = limit;
  stacks.set(request, place);
}

/** Gives an error the stack of the caller that made the failed request, where that stack is known. */
export function nameCaller(request: object, error: unknown): void {
  const stack = stacks.get(request)?.stack;
  if (typeof stack !== "string" || !(error instanceof Error)) return;
  const frames = stack.indexOf("\n    at ");
  if (frames >= 0) error.stack = `${error.name}: ${error.message}${stack.slice(frames)}`;
}

/** The folder of this package, as it stands in stacks; undefined where the code was made a part of another file. */
const OWN_ROOT = /^(?:file:\/\/)?(.*\/)dist\//.exec(import.meta.url)?.[1];

/** Where in the user's program a request was made, as `file:line:column`; undefined where that is not known. */
export function callerOf(request: object): string | undefined {
  const stack = stacks.get(request)?.stack;
  const frames = typeof stack === "string" ? stack.split("\n").filter((line) => line.startsWith("    at ")) : [];
  const users = frames.find((frame) => !isOwn(frame) && !frame.includes("node:"));
  return users === undefined ? undefined : /(?:\()?([^()\s]+:\d+:\d+)\)?$/.exec(users)?.[1];
}

function isOwn(frame: string): boolean {
  return OWN_ROOT !== undefined && (frame.includes(`${OWN_ROOT}dist/`) || frame.includes(`${OWN_ROOT}src/`));
}
