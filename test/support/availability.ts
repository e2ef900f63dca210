import { AsyncSocket } from "asyncsocket";

/**
 * What a runtime is known not to have, with reasons, as `npm run test:runtimes` gives it: kinds of transports, or
 * "uncaught exceptions".
 */
export const LEFT_OUT: ReadonlyMap<string, string> = new Map(
  Object.entries(JSON.parse(process.env["ASYNCSOCKET_LEFT_OUT"] ?? "{}") as Record<string, string>),
);

/** Why tests that throw something uncaught on purpose are skipped; false where they need not be. */
export const NO_UNCAUGHT: string | false = LEFT_OUT.get("uncaught exceptions") ?? false;

/** Why tests that look for stores in callbacks are skipped; false where the runtime shows what stores there are. */
export const SHOWS_STORES: string | false =
  process.versions["bun"] === undefined && process.versions["deno"] === undefined
    ? false
    : "this runtime does not show what stores the running code has";

/** Why tests of the native transport are skipped; false where it is there. */
export const NO_NATIVE: string | false = reason();

function reason(): string | false {
  try {
    const { state } = new AsyncSocket({ transport: "native" });
    return state === "idle" ? false : `it is ${state} from the beginning`;
  } catch (error) {
    return (error as Error).message;
  }
}
