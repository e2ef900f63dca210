/** From arguments to a connection. */

import { readFileSync } from "node:fs";
import { record, type Recording } from "../capture/index.js";
import { AsyncSocket, type ConnectOptions, type TLSOptions } from "../index.js";
import { asUsage, UsageError } from "./exit-code.js";
import { CONNECTION, oneOf, RECORDING, type Values, wholeNumber } from "./options.js";
import { startTLS, STARTTLS_PROTOCOLS } from "./starttls.js";
import type { Target } from "./target.js";

export type ConnectionValues = Values<typeof CONNECTION & typeof RECORDING>;

/** A socket, and the promise that it can be used. */
export interface Dialed {
  readonly socket: AsyncSocket;
  readonly ready: Promise<void>;
}

/** Connects as the arguments say, with STARTTLS if it is asked for; other options come on top. @throws UsageError */
export function dial(target: Target, values: ConnectionValues, others: Partial<ConnectOptions> = {}): Dialed {
  const protocol = oneOf("starttls", values.starttls, STARTTLS_PROTOCOLS);
  const isSecure = target.tls || values.tls === true;
  if (protocol !== undefined && isSecure)
    throw new UsageError("Expected either TLS from the start or --starttls, got both");
  const tls = tlsOptions(values);
  const options = { ...connectOptions(target, values), tls: isSecure ? tls : false, ...others };
  const idleMs = wholeNumber("idle", values.idle);
  const socket = new AsyncSocket({ allowHalfOpen: true, limits: { idleMs } });
  startRecording(socket, values);
  const connected = asUsage(() => socket.connect(options));
  return { socket, ready: ready() };

  async function ready(): Promise<void> {
    await connected;
    if (protocol === undefined) return;
    const host = values.servername ?? target.host ?? "localhost";
    const stop = (): void => void socket.disconnect();
    others.signal?.addEventListener("abort", stop);
    try {
      await startTLS(socket, protocol, host, { servername: host, ...tls });
    } finally {
      others.signal?.removeEventListener("abort", stop);
    }
  }
}

function connectOptions(target: Target, values: ConnectionValues): ConnectOptions {
  const version = oneOf("proxy-header", values["proxy-header"], ["1", "2"]);
  if (values.ipv4 === true && values.ipv6 === true) throw new UsageError("Expected either -4 or -6, got both");
  const family = values.ipv4 === true ? 4 : values.ipv6 === true ? 6 : undefined;
  if (target.path !== undefined) return { path: target.path, timeout: wholeNumber("timeout", values.timeout) };
  if (target.port === undefined && values.srv === undefined) throw new UsageError("Expected a port, got none");
  return {
    host: target.host,
    port: target.port,
    service: values.srv,
    family,
    localAddress: values["local-address"],
    proxy: values.proxy,
    proxyProtocol: version === undefined ? undefined : { version: version === "1" ? 1 : 2 },
    timeout: wholeNumber("timeout", values.timeout),
  };
}

/** @throws UsageError if a file cannot be read */
export function tlsOptions(values: ConnectionValues): TLSOptions {
  const version = oneOf("tls-version", values["tls-version"], ["1.2", "1.3"]);
  const given = {
    rejectUnauthorized: values.insecure !== true,
    ca: fileOf("ca", values.ca),
    cert: fileOf("cert", values.cert),
    key: fileOf("key", values.key),
    servername: values.servername,
    fingerprints: values.fingerprint === undefined ? undefined : [values.fingerprint],
    ALPNProtocols: values.alpn?.split(","),
    minVersion: version && (`TLSv${version}` as const),
    maxVersion: version && (`TLSv${version}` as const),
  };
  // The runtime tells an option that is undefined from one that is not there.
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

export function fileOf(name: string, path: string | undefined): Buffer | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UsageError(`Cannot read the file of --${name}: ${(error as Error).message}`);
  }
}

/** Records a socket, or the clients of a listener, if that is asked for. @throws UsageError if there can be no such file */
export function startRecording(target: AsyncSocket, values: Values<typeof RECORDING>): Recording | undefined {
  if (values.record === undefined) return undefined;
  try {
    return record(target, values.record);
  } catch (error) {
    throw new UsageError(`Cannot write the file of --record: ${(error as Error).message}`);
  }
}
