/**
 * For tests of protocols: a network inside the process, with the faults of real ones, and a clock that waits for nobody.
 *
 * @module testing
 */
export type { MemoryConnection } from "./memory/connection.js";
export type { MemoryFlow } from "./memory/flow.js";
export type { Amount, LinkOptions } from "./memory/link.js";
export type { Answer, NameAnswer } from "./memory/names.js";
export { MemoryNetwork, type MemoryNetworkOptions } from "./memory/network.js";
export { seededRandom } from "./memory/random.js";
export { VirtualClock } from "./virtual-clock.js";
