/** Kinds of faults that are known, and about to be mended: not held against a run until then. */
export const PENDING: Readonly<Record<"deadlines" | "partialBatches", boolean>> = {
  deadlines: true,
  partialBatches: true,
};
