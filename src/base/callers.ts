/** Where in the user's program requests were asked for: what fails later, in a turn of its own, would not tell. */

import { debuglog } from "node:util";

/** Set by NODE_DEBUG=asyncsocket. A stack costs more than most requests do, so the others remember none. */
export const REMEMBERS_ALL = debuglog("asyncsocket").enabled;

/** Frames of this library that may be above the user's. */
const OWN_FRAMES = 8;

const stacks = new WeakMap<object, { readonly stack?: unknown }>();

/**
 * Remembers from where a request is asked for. The runtime writes the stack out only when somebody looks at it.
 * @param owner what has the method `name`, which is running: its frame, and those that it called, are left out
 */
export function rememberCaller<K extends string>(request: object, owner: Readonly<Record<K, unknown>>, name: K): void {
  const place = {};
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = limit + OWN_FRAMES;
  Error.captureStackTrace(place, owner[name] as () => void);
  Error.stackTraceLimit = limit;
  stacks.set(request, place);
}

/** Gives an error the stack of whoever asked for what failed, where that is known. */
export function nameCaller(request: object, error: unknown): void {
  const stack = stacks.get(request)?.stack;
  if (typeof stack !== "string" || !(error instanceof Error)) return;
  const frames = stack.indexOf("\n    at ");
  if (frames >= 0) error.stack = `${error.name}: ${error.message}${stack.slice(frames)}`;
}
