/**
 * The first code that runs on the thread of a run loop. It gives the thread its link to the thread that started it, and
 * then runs the module.
 */

import { createRequire, syncBuiltinESMExports } from "node:module";
import { workerData } from "node:worker_threads";
import type { Start } from "./messages.js";
import { enterRunLoop } from "./run-loop.js";

const start = workerData as Start;
// The module sees the `workerData` that was given to `spawn`, without the port of the link.
(createRequire(import.meta.url)("node:worker_threads") as { workerData: unknown }).workerData = start.workerData;
syncBuiltinESMExports();
const ready = enterRunLoop(start.name, start.port);
await import(start.module);
ready();
