/** The server behind a relay: an echo server in a process of its own, whose CPU time does not count. It ends with this one. */
import { Link } from "../ipc/link.js";
import type { ServerRequests } from "../ipc/requests.js";

const ANSWER_MS = 20_000;

/** @returns its port */
export function startBehind(): Promise<number> {
  const link = new Link<ServerRequests>("The server behind", new URL("./hand.js", import.meta.url), [], []);
  return link.ask("listen", { protocol: "echo", identity: null }, ANSWER_MS);
}
