/**
 * For tests of protocols: a network inside the process, with the faults of real networks, and a clock on which no real
 * time passes.
 * @module testing
 */
export type { MemoryConnection } from "./memory-connection.js";
export type { MemoryFlow } from "./flow.js";
export type { Amount, LinkOptions } from "./link.js";
export type { Answer, NameAnswer } from "./names.js";
export { MemoryNetwork, type MemoryNetworkOptions } from "./memory-network.js";
export { replay, type Replay, type ReplayOptions } from "./replay.js";
export { seededRandom } from "./random.js";
export { VirtualClock } from "./virtual-clock.js";
export { verifyFraming, type Sample } from "./verify-framing.js";
