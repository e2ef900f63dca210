// Loaded before each test file by `npm run mutate`, which runs them for thousands of mutants: a tenth of the runs of each
// property, the same each time so that the figures are, and a failure is told at once, not made small first.

import fc from "fast-check";

fc.configureGlobal({ numRuns: 10, seed: 1, endOnFailure: true });
