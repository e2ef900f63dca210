/** From arguments to a connection. */

import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { record, type Recording } from "../capture/index.js";
import { AsyncSocket, type ConnectOptions, type TLSOptions } from "../index.js";
import { asUsage, EXIT, TimeoutError, UsageError } from "./exit-code.js";
import { CONNECTION, oneOf, RECORDING, type Values, wholeNumber } from "./options.js";
import type { Report } from "./report.js";
import { startTLS, STARTTLS_PROTOCOLS } from "./starttls.js";
import type { Target } from "./target.js";

export type ConnectionValues = Values<typeof CONNECTION & typeof RECORDING>;

/** A socket, and the promise that it can be used. */
export interface Dialed {
  readonly socket: AsyncSocket;
  readonly ready: Promise<void>;
  readonly recording: Recording | undefined;
}

/** Connects as the arguments say, with STARTTLS if it is asked for; other options come on top. @throws UsageError */
export function dial(target: Target, values: ConnectionValues, others: Partial<ConnectOptions> = {}): Dialed {
  const protocol = oneOf("starttls", values.starttls, STARTTLS_PROTOCOLS);
  const isSecure = target.tls || values.tls === true;
  if (protocol !== undefined && isSecure)
    throw new UsageError("Expected either TLS from the start or --starttls, got both");
  refuseTLSOptionsInTheClear(target, values);
  const tls = tlsOptions(values);
  const options = { ...connectOptions(target, values), tls: isSecure ? tls : false, ...others };
  const idleMs = wholeNumber("idle", values.idle);
  const socket = new AsyncSocket({ allowHalfOpen: true, limits: { idleMs } });
  const recording = startRecording(socket, values);
  const startMs = performance.now();
  const connected = asUsage(() => socket.connect(options));
  return { socket, ready: ready(), recording };

  async function ready(): Promise<void> {
    await connected;
    if (protocol === undefined) return;
    const host = values.servername ?? target.host ?? "localhost";
    const stop = (): void => void socket.disconnect();
    others.signal?.addEventListener("abort", stop);
    const deadline = new Deadline(options.timeout, startMs, stop);
    try {
      await startTLS(socket, protocol, host, { servername: host, ...tls });
    } catch (error) {
      throw deadline.hasPassed ? new TimeoutError(`STARTTLS took longer than --timeout, ${options.timeout} ms`) : error;
    } finally {
      deadline.stop();
      others.signal?.removeEventListener("abort", stop);
    }
  }
}

/** Ends what comes behind connecting when the time that both have together is over. */
class Deadline {
  hasPassed = false;
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(timeoutMs: number | undefined, startMs: number, end: () => void) {
    if (timeoutMs === undefined || timeoutMs === 0) return;
    const pass = (): void => {
      this.hasPassed = true;
      end();
    };
    this.#timer = setTimeout(pass, Math.max(0, startMs + timeoutMs - performance.now()));
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

const TLS_NAMES = [
  "insecure",
  "ca",
  "cert",
  "key",
  "servername",
  "fingerprint",
  "alpn",
  "tls-version",
] as const satisfies (keyof ConnectionValues)[];

/** Refuses options of TLS where nothing would be encrypted or verified. @throws UsageError */
export function refuseWithoutTLS<Name extends string>(
  isSecure: boolean,
  values: { readonly [Key in Name]?: string | boolean | undefined },
  names: readonly Name[],
): void {
  const given = isSecure ? undefined : names.find((name) => values[name] !== undefined && values[name] !== false);
  if (given !== undefined) throw new UsageError(`Expected TLS, such as by tls://, because of --${given}, got none`);
}

/** As `dial` does, before anything is done. @throws UsageError */
export function refuseTLSOptionsInTheClear(target: Target, values: ConnectionValues): void {
  refuseWithoutTLS(target.tls || values.tls === true || values.starttls !== undefined, values, TLS_NAMES);
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

/** Tells of a recording that is not whole. @returns the exit code, which is no success then */
export function endRecording(recording: Recording | undefined, report: Report, code: number): number {
  const error = recording?.error ?? null;
  if (error === null) return code;
  report.didFail(new Error(`Cannot write the file of --record: ${error.message}`, { cause: error }));
  return code === EXIT.ok ? EXIT.failed : code;
}
