/**
 * `npm start` shows what AsyncSocket does, on loopback.
 * `npm start -- HOST PORT` speaks to a server.
 */

import { parseArgs } from "node:util";
import { talk } from "./talk.js";
import { tour } from "./tour.js";

const USAGE = "Usage: npm start [-- HOST PORT]";

async function start(args: readonly string[]): Promise<void> {
  const { positionals } = parseArgs({ args: [...args], allowPositionals: true });
  const [host, port] = positionals;
  if (positionals.length === 0) await tour();
  else if (host !== undefined && port !== undefined && positionals.length === 2) await talk(host, Number(port));
  else throw new Error(USAGE);
}

try {
  await start(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
