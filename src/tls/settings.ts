/** Checks TLS options at once, and makes of them the settings that every handshake uses. */

import { constants, createHash, type Hash } from "node:crypto";
import { isIP } from "node:net";
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import {
  checkBoolean,
  checkFunction,
  checkHostName,
  checkOneOf,
  checkOptions,
  checkString,
  isThenable,
  wrongRange,
  wrongType,
} from "../base/checks.js";
import { checkNames, type OptionNames } from "../base/option-names.js";
import { asError } from "../base/errors.js";
import { canonicalName, withoutFinalDot } from "../base/host-name.js";
import type { Certificate, CertificateChooser, TLSOptions } from "./options.js";

/** The settings that all handshakes with the same options share. */
export interface SecureSettings {
  readonly isServer: boolean;
  readonly context: SecureContext;
  /** Client: the name to send as SNI; undefined for an address, which SNI does not allow. */
  readonly servername: string | undefined;
  /** Client: the name or address that the certificate must be for; undefined where no name is known. */
  readonly identity: string | undefined;
  readonly protocols: readonly string[] | undefined;
  readonly rejectUnauthorized: boolean;
  readonly requestCert: boolean;
  readonly checkServerIdentity: TLSOptions["checkServerIdentity"];
  /** The fingerprints in lower case, without colons. */
  readonly fingerprints: readonly string[] | undefined;
  readonly session: Buffer | undefined;
  readonly chooseContext:
    ((name: string) => SecureContext | undefined | Promise<SecureContext | undefined>) | undefined;
  readonly keyLog: ((line: Buffer) => void) | undefined;
  readonly requireCloseNotify: boolean;
  /**
   * Server: whether sessions may be resumed. False where a session could let in a client that its name would refuse.
   */
  readonly mayResume: boolean;
}

const VERSIONS = ["TLSv1.2", "TLSv1.3"] as const;

/** Context options of newer versions of Node, which the types used here do not contain. */
const NEWER_OPTIONS = { allowPartialTrustChain: true, certificateCompression: true, groups: true } as const;

const TLS_OPTIONS: OptionNames<TLSOptions> = {
  secureContext: true,
  servername: true,
  ALPNProtocols: true,
  rejectUnauthorized: true,
  requestCert: true,
  checkServerIdentity: true,
  fingerprints: true,
  session: true,
  certificates: true,
  keyLog: true,
  requireCloseNotify: true,
  ca: true,
  cert: true,
  sigalgs: true,
  ciphers: true,
  clientCertEngine: true,
  crl: true,
  dhparam: true,
  ecdhCurve: true,
  honorCipherOrder: true,
  key: true,
  privateKeyEngine: true,
  privateKeyIdentifier: true,
  maxVersion: true,
  minVersion: true,
  passphrase: true,
  pfx: true,
  sessionIdContext: true,
  ticketKeys: true,
  sessionTimeout: true,
  allowPartialTrustChain: true,
};

/** Options of Node that are refused with a message of their own. */
const REFUSED_OPTIONS = { secureProtocol: true, secureOptions: true } as const;

/** The further options of `startTLS`. */
const UPGRADE_OPTIONS = { isServer: true, timeout: true, tag: true, signal: true } as const;

/** Checks all options except certificates and keys, which `createSecureContext` checks. */
function checkTLS(options: TLSOptions): void {
  checkOneOf("minVersion", options.minVersion, VERSIONS, undefined);
  checkOneOf("maxVersion", options.maxVersion, VERSIONS, undefined);
  for (const name of ["secureProtocol", "secureOptions"]) {
    if ((options as Record<string, unknown>)[name] !== undefined) {
      throw new TypeError(`Expected no ${name}, got one: minVersion and maxVersion say which versions are spoken`);
    }
  }
  checkNames("options of TLS", options, TLS_OPTIONS, UPGRADE_OPTIONS, NEWER_OPTIONS, REFUSED_OPTIONS);
  checkFunction("checkServerIdentity", options.checkServerIdentity);
  checkFunction("keyLog", options.keyLog);
  if (options.session !== undefined && !Buffer.isBuffer(options.session)) {
    throw wrongType("session", "a Buffer", options.session);
  }
  const { ALPNProtocols } = options as { ALPNProtocols?: unknown };
  if (ALPNProtocols === undefined) return;
  if (!Array.isArray(ALPNProtocols)) throw wrongType("ALPNProtocols", "a list of names", ALPNProtocols);
  for (const one of ALPNProtocols) {
    if (Buffer.byteLength(checkString("ALPNProtocols[]", one)) > 255) {
      throw wrongRange("ALPNProtocols[]", "at most 255 bytes long", one);
    }
  }
}

function contextOf(options: Certificate, common: SecureContextOptions): SecureContext {
  if ("context" in options) return options;
  checkAuthorities(options.ca);
  try {
    return createSecureContext({ minVersion: "TLSv1.2", ...common, ...withoutUndefined(options) });
  } catch (error) {
    // OpenSSL's message says what is wrong and never contains a key.
    throw new TypeError(`Expected usable TLS keys and certificates, got an error: ${asError(error).message}`, {
      cause: error,
    });
  }
}

/** OpenSSL silently ignores authorities that are not certificates, so they are checked here. */
function checkAuthorities(ca: SecureContextOptions["ca"]): void {
  for (const one of [ca ?? []].flat()) {
    const isPEM = (typeof one === "string" || Buffer.isBuffer(one)) && one.includes("-----BEGIN ");
    if (!isPEM) throw new TypeError("Expected ca to be certificates in PEM form, got something else");
  }
}

function withoutUndefined(options: SecureContextOptions): SecureContextOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** Without tickets no session is resumed, because the runtime's servers remember no sessions. */
const NO_TICKETS: SecureContextOptions = { secureOptions: constants.SSL_OP_NO_TICKET };

/** The options besides `requestCert` that decide which clients are accepted. A `pfx` may contain authorities. */
const CLIENTS_BY = ["ca", "crl", "pfx", "allowPartialTrustChain"] as const;

/**
 * The session id context, which keeps a session from being resumed by a server that accepts other clients, even if the
 * servers share their ticket keys. Without one, OpenSSL fails each resumption where clients are asked for certificates.
 */
function contextIdOf(options: TLSOptions): string {
  const hash = createHash("sha256").update(options.requestCert === true ? "clients of " : "anybody");
  for (const name of CLIENTS_BY) {
    hash.update(`\0${name}\0`);
    for (const one of [(options as Record<string, unknown>)[name] ?? []].flat() as unknown[]) addTo(hash, one);
  }
  return hash.digest("hex").slice(0, 32);
}

function addTo(hash: Hash, value: unknown): void {
  if (typeof value === "string" || ArrayBuffer.isView(value)) hash.update(value as string | Uint8Array);
  else if (typeof value === "object" && value !== null) for (const one of Object.values(value)) addTo(hash, one);
  else hash.update(String(value));
}

/**
 * Whether all names of a listener accept the same clients. The runtime checks a session against the listener's own
 * context, before it asks for the context of the name. So a session made under one name could be resumed under each
 * other name, even where that name does not accept the client.
 */
function namesAgree(options: TLSOptions): boolean {
  const { certificates, requestCert, fingerprints, secureContext } = options;
  // Fingerprints are checked for every connection and every name, whether the session was resumed or not.
  if (certificates === undefined || requestCert !== true || fingerprints !== undefined) return true;
  // A function or a context does not reveal which clients are accepted.
  if (typeof certificates === "function" || secureContext !== undefined) return false;
  const common = sharedByNames(options);
  return Object.values(certificates).every(
    (one) => !("context" in one) && contextIdOf({ ...common, ...withoutUndefined(one) }) === contextIdOf(options),
  );
}

function fingerprintsOf(list: unknown): readonly string[] | undefined {
  if (list === undefined) return undefined;
  if (!Array.isArray(list) || list.length === 0) throw wrongType("fingerprints", "a list of fingerprints", list);
  return list.map((one) => {
    const hex = checkString("fingerprints[]", one).replaceAll(":", "").toLowerCase();
    if (!/^[0-9a-f]{64}$/.test(hex)) throw wrongRange("fingerprints[]", "the 32 bytes of SHA-256, in hex", one);
    return hex;
  });
}

/** The options that the certificates by name inherit from their listener, above all which clients are accepted. */
function sharedByNames(options: TLSOptions): SecureContextOptions {
  return withoutUndefined({ ...options, key: undefined, cert: undefined, pfx: undefined, passphrase: undefined });
}

function chooserOf(
  certificates: TLSOptions["certificates"],
  common: SecureContextOptions,
): SecureSettings["chooseContext"] {
  if (certificates === undefined) return undefined;
  if (typeof certificates === "function") return (name) => chosen(certificates, withoutFinalDot(name), common);
  const given: unknown = certificates;
  if (typeof given !== "object" || given === null) throw wrongType("certificates", "an object, or a function", given);
  const contexts = new Map<string, SecureContext>();
  for (const [name, one] of Object.entries(certificates)) contexts.set(canonicalName(name), contextOf(one, common));
  return (name) => {
    const asked = canonicalName(name);
    return contexts.get(asked) ?? contexts.get(asked.replace(/^[^.]+/, "*"));
  };
}

function chosen(
  choose: CertificateChooser,
  name: string,
  common: SecureContextOptions,
): SecureContext | undefined | Promise<SecureContext | undefined> {
  const answer = choose(name);
  const contextFor = (one: Certificate | undefined) => (one === undefined ? undefined : contextOf(one, common));
  return isThenable(answer) ? Promise.resolve(answer).then(contextFor) : contextFor(answer);
}

function shared(options: TLSOptions, isServer: boolean): Omit<SecureSettings, "servername" | "identity"> {
  checkTLS(options);
  const fingerprints = fingerprintsOf(options.fingerprints);
  const common = { sessionIdContext: contextIdOf(options), ...withoutUndefined(options) };
  const chooseContext = chooserOf(options.certificates, sharedByNames(common));
  const mayResume = !isServer || namesAgree(options);
  return {
    isServer,
    context: options.secureContext ?? contextOf(options, mayResume ? common : { ...common, ...NO_TICKETS }),
    protocols: options.ALPNProtocols,
    // A fingerprint is required whatever `rejectUnauthorized` says.
    rejectUnauthorized:
      checkBoolean("rejectUnauthorized", options.rejectUnauthorized, true) || fingerprints !== undefined,
    requestCert: checkBoolean("requestCert", options.requestCert, false),
    checkServerIdentity: options.checkServerIdentity,
    fingerprints,
    session: options.session,
    chooseContext,
    keyLog: options.keyLog,
    requireCloseNotify: checkBoolean("requireCloseNotify", options.requireCloseNotify, false),
    mayResume,
  };
}

/** Whether TLS is wanted. `tls: false` means the same as no `tls` option. */
export function isAskedFor<T>(tls: T | false | undefined): tls is T & (object | true) {
  return tls !== undefined && tls !== false;
}

export function clientSettings(given: TLSOptions | true): SecureSettings {
  const options = given === true ? {} : (checkOptions(given, "tls") ?? {});
  const { servername } = options;
  const settings = { ...shared(options, false), servername: undefined, identity: undefined };
  return servername === undefined ? settings : withName(settings, checkHostName("servername", servername));
}

/** @param host a host name in ASCII, or an address */
function withName(settings: SecureSettings, host: string): SecureSettings {
  const identity = withoutFinalDot(host);
  return { ...settings, identity, servername: isIP(identity) === 0 ? identity : undefined };
}

/**
 * Verifies the name of the host connected to, unless the options contain another name.
 * @returns null where a name must be verified and none is known
 */
export function withHost(settings: SecureSettings, host: string | undefined): SecureSettings | null {
  if (settings.isServer || settings.identity !== undefined) return settings;
  if (host !== undefined) return withName(settings, host);
  const isChecked = settings.rejectUnauthorized && settings.fingerprints === undefined;
  return isChecked && settings.checkServerIdentity === undefined ? null : settings;
}

export function serverSettings(given: TLSOptions): SecureSettings {
  if ((given as unknown) === true) throw wrongType("tls", "an object with key and cert", given);
  const options = checkOptions(given, "tls") ?? {};
  const common = shared(options, true);
  const requestCert = common.requestCert || common.fingerprints !== undefined;
  const settings = { ...common, requestCert, servername: undefined, identity: undefined };
  const hasKey = [options.key, options.pfx, options.secureContext, options.certificates].some(
    (one) => one !== undefined,
  );
  if (!hasKey) throw new TypeError("Expected tls to have key and cert, pfx, secureContext or certificates, got none");
  return settings;
}
