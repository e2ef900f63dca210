/** The first thing that runs on the thread of a run loop: it gives the thread its link, and then runs the module. */

import { createRequire, syncBuiltinESMExports } from "node:module";
import { workerData } from "node:worker_threads";
import type { Start } from "./messages.js";
import { enterRunLoop } from "./run-loop.js";

const start = workerData as Start;
// The module finds what `spawn` was given for it, and no port.
(createRequire(import.meta.url)("node:worker_threads") as { workerData: unknown }).workerData = start.workerData;
syncBuiltinESMExports();
const ready = enterRunLoop(start.name, start.port);
await import(start.module);
ready();
