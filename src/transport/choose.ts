import { checkOneOf, wrongType } from "../base/checks.js";
import { badState } from "../base/errors.js";
import { nativeProblem } from "./native/addon.js";
import { nativeTransports } from "./native/factory.js";
import { nodeTransports } from "./node/factory.js";
import type { TransportFactory } from "./transport.js";

/**
 * What carries the bytes: `"node"` is `node:net`, `"native"` is the addon, and `"auto"` is the addon where it can be
 * loaded and `node:net` elsewhere. A factory is a network of one's own, such as the network in memory for tests.
 */
export type TransportChoice = "auto" | "node" | "native" | TransportFactory;

export function checkTransport(transport: TransportChoice | undefined): TransportFactory {
  const given = transport as Partial<TransportFactory> | string | null | undefined;
  if (typeof given === "object" && given !== null) {
    const isFactory = typeof given.connect === "function" && typeof given.listen === "function" && given.clock;
    if (isFactory) return given as TransportFactory;
    throw wrongType("transport", '"auto", "node", "native", or something with connect, listen and clock', given);
  }
  const name = checkOneOf("transport", given, ["auto", "node", "native"], "auto");
  if (name === "node") return nodeTransports;
  const problem = nativeProblem();
  if (problem === null) return nativeTransports;
  if (name === "auto") return nodeTransports;
  throw badState('transport "native"', problem);
}

/** Whether the native transport can be used here, and if not, why. */
export interface NativeStatus {
  readonly available: boolean;
  /** The platform, what was looked for, and what to do; null where the native transport is available. */
  readonly reason: string | null;
}

/**
 * Tells whether the native transport can be used on this thread, which loads its addon. Where it cannot, `transport:
 * "auto"` uses `node:net`.
 */
export function nativeStatus(): NativeStatus {
  const reason = nativeProblem();
  return { available: reason === null, reason };
}
