/** A number, or two between which one is drawn each time by the network's seed, or a function that is asked each time. */
export type Amount = number | readonly [least: number, most: number] | (() => number);

/** The properties of the path between two ends of a connection. */
export interface LinkOptions {
  /**
   * How long bytes take from one end to the other, in ms. They never overtake each other.
   * @default 0: a turn of the event loop
   */
  latencyMs?: Amount | undefined;
  /** The bandwidth of each direction, in bytes per ms. @default Infinity */
  bytesPerMs?: number | undefined;
  /**
   * The most bytes that are delivered at once. A function is asked before each delivery.
   * @default all that have arrived
   */
  chunkBytes?: Amount | undefined;
  /**
   * The most bytes of a write that are taken at once; the rest is taken in later turns of the event loop. With 0, no
   * bytes are taken in the call itself, and all in the next turn.
   * @default all bytes for which there is room
   */
  writeBytes?: Amount | undefined;
  /** How many bytes a direction holds before its sender has to wait, like the buffers of a socket. @default 64 KiB */
  capacityBytes?: number | undefined;
}

/** Those options, each as a function or a number. */
export interface Link {
  readonly latencyMs: () => number;
  readonly bytesPerMs: number;
  readonly chunkBytes: () => number;
  readonly writeBytes: () => number;
  readonly capacityBytes: number;
}

export function linkFrom(options: LinkOptions, random: () => number): Link {
  return {
    latencyMs: drawn("latencyMs", options.latencyMs ?? 0, random, false),
    bytesPerMs: checked("bytesPerMs", options.bytesPerMs ?? Infinity, Number.MIN_VALUE),
    chunkBytes: drawn("chunkBytes", options.chunkBytes ?? Infinity, random, true),
    writeBytes: drawn("writeBytes", options.writeBytes ?? Infinity, random, true),
    capacityBytes: checked("capacityBytes", options.capacityBytes ?? 65_536, 1),
  };
}

function checked(name: string, value: number, least: number): number {
  if (typeof value === "number" && value >= least) return value;
  const words = least === Number.MIN_VALUE ? "more than 0" : `${least} or more`;
  throw new RangeError(`Expected ${name} to be ${words}, got ${String(value)}`);
}

/** Sizes are whole, and drawn so that small ones are as likely as large ones: those are where the mistakes are. */
function drawn(name: string, amount: Amount, random: () => number, isSize: boolean): () => number {
  if (typeof amount === "function") return amount;
  if (typeof amount === "number") {
    checked(name, amount, 0);
    return () => amount;
  }
  const [least, most] = amount;
  checked(name, least, 0);
  checked(name, most, least);
  if (!isSize) return () => least + random() * (most - least);
  return () => least + Math.floor((most - least + 1) ** random()) - 1;
}
