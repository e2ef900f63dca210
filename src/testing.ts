/** For tests of protocols: a network inside the process, and a clock that waits for nobody. */
export { MemoryNetwork, type MemoryNetworkOptions } from "./transport/memory.js";
export { VirtualClock } from "./virtual-clock.js";
