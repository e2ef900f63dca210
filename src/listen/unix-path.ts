import { lstat, unlink } from "node:fs/promises";
import { connect } from "node:net";
import { reasonOf } from "../errors.js";
import { socketError } from "../failures.js";

/**
 * Removes a socket file that a dead process left behind. A file of another kind is never touched, nor a socket at
 * which somebody listens.
 */
export async function clearStaleSocket(path: string): Promise<void> {
  const file = await lstat(path);
  if (!file.isSocket()) throw inUse(path, "a file that is not a socket is there");
  const answer = await tryToConnect(path);
  if (answer !== "ECONNREFUSED" && answer !== "ENOENT") throw inUse(path, "another listener is there");
  if (answer === "ECONNREFUSED") await unlink(path);
}

/** What a connect comes to: an errno, or "connected". */
function tryToConnect(path: string): Promise<string> {
  return new Promise((done) => {
    const probe = connect({ path });
    probe.once("error", (error) => done(reasonOf(error)));
    probe.once("connect", () => {
      probe.destroy();
      done("connected");
    });
  });
}

function inUse(path: string, why: string): Error {
  return socketError("LISTEN", "listen", `Cannot listen on ${path}: ${why}`);
}
