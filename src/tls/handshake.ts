/** The TLS handshake of a client or a server over a stream of the runtime. */

import type { Duplex } from "node:stream";
import { checkServerIdentity, connect, TLSSocket, type TLSSocketOptions } from "node:tls";
import { realClock } from "../base/clock.js";
import { asError } from "../base/errors.js";
import { clientProblem, stopTickets } from "../base/undocumented.js";
import { SecureInfo } from "./info.js";
import type { SecureSettings } from "./settings.js";

/** Receives the result of a handshake: exactly one of the two methods is called, once. */
export interface HandshakeListener {
  didHandshake(info: SecureInfo): void;
  didFailHandshake(error: Error): void;
}

/** @param ahead bytes that were received already and belong to the handshake */
export function startHandshake(
  stream: Duplex,
  settings: SecureSettings,
  ahead: Buffer,
  listener: HandshakeListener,
): TLSSocket {
  stream.pause();
  if (ahead.length > 0) stream.unshift(ahead);
  // A stream that delivers synchronously would run the whole handshake before anything listens for its events.
  stream.cork();
  realClock.soon(uncork, stream);
  const socket = settings.isServer ? serverSide(stream, settings) : clientSide(stream, settings);
  const { keyLog } = settings;
  if (keyLog !== undefined) socket.on("keylog", (line: Buffer) => keyLog(line));
  watch(socket, settings, listener);
  return socket;
}

function uncork(stream: Duplex): void {
  stream.uncork();
}

function clientSide(stream: Duplex, settings: SecureSettings): TLSSocket {
  const { context, servername, protocols, session, identity } = settings;
  return connect({
    socket: stream,
    secureContext: context,
    // The runtime's checks are switched off, and `problemOf` makes them instead: it knows every detail of what is
    // wrong, and the delegate can still be asked.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
    ...(identity === undefined ? {} : { host: identity }),
    // An empty name keeps the runtime from sending a name that it derives from the host.
    servername: servername ?? "",
    ...(protocols === undefined ? {} : { ALPNProtocols: [...protocols] }),
    ...(session === undefined ? {} : { session }),
  });
}

function serverSide(stream: Duplex, settings: SecureSettings): TLSSocket {
  const { context, protocols, requestCert, rejectUnauthorized, chooseContext } = settings;
  const options: TLSSocketOptions = {
    isServer: true,
    secureContext: context,
    requestCert,
    rejectUnauthorized: requestCert && rejectUnauthorized,
  };
  if (!settings.mayResume) stopTickets(context);
  if (protocols !== undefined) options.ALPNProtocols = [...protocols];
  if (chooseContext !== undefined) {
    options.SNICallback = (name, done) => {
      // Inside a promise, an exception of the chooser fails only this handshake.
      const choice = new Promise<Awaited<ReturnType<typeof chooseContext>>>((chosen) => chosen(chooseContext(name)));
      choice.then(
        (chosen) => done(null, chosen),
        (error: unknown) => done(asError(error)),
      );
    };
  }
  return new TLSSocket(stream, options);
}

function watch(socket: TLSSocket, settings: SecureSettings, listener: HandshakeListener): void {
  let isOver = false;
  const fail = (error: Error): void => {
    if (isOver) return;
    isOver = true;
    listener.didFailHandshake(error);
  };
  let session: Buffer | undefined;
  let info: SecureInfo | null = null;
  socket.on("session", (ticket: Buffer) => {
    if (info === null) session = ticket;
    else info.session = ticket;
  });
  socket.once(settings.isServer ? "secure" : "secureConnect", () => {
    if (isOver) return;
    isOver = true;
    info = new SecureInfo(socket, settings);
    info.authorizationError = problemOf(socket, settings, info);
    info.session = session;
    listener.didHandshake(info);
  });
  socket.on("error", fail);
  // Without a `tls.Server` the runtime reports a TLS failure by this event alone, and does not end the stream.
  socket.on("_tlsError", (error: Error) => {
    if (isOver) socket.destroy(error);
    else fail(error);
  });
  socket.on("close", () => {
    // Every connection closes, and an error with its stack is not cheap.
    if (!isOver) fail(new Error("the connection was closed during the handshake"));
  });
}

/** Why the peer is not trusted; null if it is. */
function problemOf(socket: TLSSocket, settings: SecureSettings, info: SecureInfo): Error | null {
  const { peerCertificate } = info;
  const { isServer, fingerprints, identity, checkServerIdentity: check } = settings;
  if (isServer && !settings.requestCert && fingerprints === undefined) return null;
  if (fingerprints !== undefined) {
    const shown = peerCertificate?.fingerprint256.replaceAll(":", "").toLowerCase() ?? "none";
    return fingerprints.includes(shown)
      ? null
      : problem("FINGERPRINT", `its fingerprint, ${shown}, is none of those expected`);
  }
  if (isServer) {
    if (info.resumed && !settings.mayResume) return problem("RESUMED", "");
    // The runtime finds no fault with a resumed session that has no certificate.
    return inWords(clientProblem(socket)) ?? (peerCertificate === null ? problem("NO_CERTIFICATE", "") : null);
  }
  // `authorizationError` is typed as an error, but is the code of one.
  const chain = socket.authorizationError as Error | string | null | undefined;
  if (typeof chain === "string") return problem(chain, "");
  if (chain instanceof Error) return inWords(chain);
  if (peerCertificate === null) return problem("NO_CERTIFICATE", "");
  try {
    const found: unknown = (check ?? checkServerIdentity)(identity ?? "", peerCertificate);
    return found === undefined || found === null ? null : asError(found);
  } catch (error) {
    // A check that throws has not accepted the peer.
    return asError(error);
  }
}

const WORDS: Readonly<Record<string, string>> = {
  RESUMED: "its session may come from another name here, which accepts other clients; it needs a full handshake",
  NO_CERTIFICATE: "it has shown no certificate",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is self-signed, and not among those trusted",
  SELF_SIGNED_CERT_IN_CHAIN: "its chain ends in a certificate authority that is not among those trusted",
  UNABLE_TO_GET_ISSUER_CERT: "it has shown no certificate, or one of an unknown issuer",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "the issuer of its certificate is not known here",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "the issuer of its certificate is not known here",
  CERT_HAS_EXPIRED: "its certificate has expired",
  CERT_NOT_YET_VALID: "its certificate is not valid yet",
  CERT_REVOKED: "its certificate is revoked",
  INVALID_PURPOSE: "its certificate is for another purpose",
};

function problem(code: string, words: string): Error {
  return Object.assign(new Error(words === "" ? (WORDS[code] ?? code) : words), { code });
}

function inWords(error: Error | null): Error | null {
  if (error === null) return null;
  const { code } = error as NodeJS.ErrnoException;
  return code !== undefined && WORDS[code] !== undefined ? problem(code, WORDS[code]) : error;
}
