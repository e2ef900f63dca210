/** From arguments to a listener. */

import { accessSync, constants, statSync } from "node:fs";
import { hostname } from "node:os";
import type { Recording } from "../capture/index.js";
import { AsyncSocket, type AsyncSocketDelegate, type ListenOptions, type TLSOptions } from "../index.js";
import { asUsage, UsageError } from "./exit-code.js";
import { fileOf, refuseWithoutTLS, startRecording } from "./dial.js";
import { type OptionTable, type RECORDING, type Values, wholeNumber } from "./options.js";
import { selfSigned } from "./self-signed.js";
import type { Target } from "./target.js";

export const SERVING = {
  tls: { type: "boolean", about: "TLS for every client" },
  cert: { type: "string", value: "FILE", about: "the certificate (PEM); without it one is made up for this run" },
  key: { type: "string", value: "FILE", about: "its key (PEM)" },
  "proxy-protocol": { type: "boolean", about: "expects a PROXY header at the front of every connection" },
  idle: { type: "string", value: "MS", about: "closes a connection on which nothing has passed for so long" },
} as const satisfies OptionTable;

export interface Served {
  readonly listener: AsyncSocket;
  readonly recording: Recording | undefined;
}

/** Listens as the arguments say. A target without a port takes any free one. @throws UsageError, AsyncSocketError */
export async function serve(
  target: Target,
  values: Values<typeof SERVING & typeof RECORDING>,
  delegate: AsyncSocketDelegate,
): Promise<Served> {
  const isSecure = target.tls || values.tls === true;
  refuseWithoutTLS(isSecure, values, ["cert", "key"]);
  const where = target.path === undefined ? { host: target.host, port: target.port ?? 0 } : { path: target.path };
  const options: ListenOptions = {
    ...where,
    proxyProtocol: values["proxy-protocol"],
    tls: isSecure ? identityOf(target, values) : false,
  };
  const limits = { idleMs: wholeNumber("idle", values.idle) };
  const listener = new AsyncSocket({ allowHalfOpen: true, limits, delegate });
  const recording = startRecording(listener, values);
  try {
    await asUsage(() => listener.listen(options));
  } catch (error) {
    recording?.stop();
    throw error;
  }
  return { listener, recording };
}

/** The certificate that was given, or one of our own for the names of this machine. */
function identityOf({ host }: Target, values: Values<typeof SERVING>): TLSOptions {
  if ((values.cert === undefined) !== (values.key === undefined)) {
    throw new UsageError("Expected both --cert and --key, got one of them");
  }
  const cert = fileOf("cert", values.cert);
  const key = fileOf("key", values.key);
  if (cert !== undefined && key !== undefined) return { cert, key };
  const names = new Set(["localhost", hostname(), "127.0.0.1", "::1", ...(host === undefined ? [] : [host])]);
  return selfSigned(["localhost", ...[...names].slice(1)]);
}

/** @throws UsageError if a file that will be needed cannot be read */
export function needReadable(name: string, path: string | undefined): void {
  if (path === undefined) return;
  try {
    accessSync(path, constants.R_OK);
    if (statSync(path).isDirectory()) throw new Error("it is a directory");
  } catch (error) {
    throw new UsageError(`Cannot read the file of --${name}: ${(error as Error).message}`);
  }
}
