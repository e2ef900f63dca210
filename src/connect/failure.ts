import { AsyncSocketError, inWords, reasonOf } from "../errors.js";
import { socketError } from "../failures.js";
import type { ConnectTarget, ListenTarget } from "../options.js";

interface Attempt extends Error {
  address?: string;
  port?: number;
}

/** A failed connect as one sentence that names every address tried. */
export function connectFailure(target: ConnectTarget, cause: Error): AsyncSocketError {
  if (cause instanceof AsyncSocketError) return cause;
  if (target.path !== null) {
    return socketError("CONNECT", "connect", `Cannot connect to ${target.path}: ${inWords(cause)}`, cause);
  }
  const attempts: readonly Attempt[] = cause instanceof AggregateError ? (cause.errors as Attempt[]) : [cause];
  const words = attempts.map((attempt) =>
    attempt.address === undefined ? plainWords(attempt) : `${attempt.address}: ${plainWords(attempt)}`,
  );
  const message = `Cannot connect to ${target.host} port ${target.port}: ${words.join("; ")}`;
  return socketError("CONNECT", "connect", message, cause);
}

function plainWords(attempt: Attempt): string {
  return attempt.name === "AbortError" || reasonOf(attempt) === "" ? attempt.message : inWords(attempt);
}

/** A failed listen as one sentence that says where. */
export function listenFailure(target: ListenTarget, cause: Error): AsyncSocketError {
  if (cause instanceof AsyncSocketError) return cause;
  const port = target.path === null ? `port ${target.port}` : target.path;
  const where = target.path === null && target.host !== undefined ? `${target.host} ${port}` : port;
  return socketError("LISTEN", "listen", `Cannot listen on ${where}: ${inWords(cause)}`, cause);
}
