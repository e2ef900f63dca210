/** The types of TLS, and of connecting. What is here is checked by compiling it; nothing of it is run. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DetailedPeerCertificate, SecureContext } from "node:tls";
import {
  AsyncSocket,
  type Address,
  type AsyncSocketDelegate,
  type Certificate,
  type CertificateChooser,
  type ConnectOptions,
  type ListenOptions,
  type ProxiedAddresses,
  type ProxiedTLVs,
  type SecureSink,
  type SocketRequest,
  type StartTLSOptions,
  type TLSInfo,
  type TLSOptions,
  type Transport,
} from "asyncsocket";
import { expectTypeOf } from "expect-type";

type Tag = "header" | "body";
interface User {
  readonly name: string;
}
type Socket = AsyncSocket<Tag, User>;

/** Compiled, not called. */
function compiles(name: string, check: (socket: Socket) => unknown): void {
  it(name, () => assert.equal(typeof check, "function"));
}

/** The optional properties that do not also take `undefined`, though `exactOptionalPropertyTypes` is on. */
type Refusing<T> = {
  [K in keyof T]-?: object extends Pick<T, K> ? (Record<K, undefined> extends Pick<T, K> ? never : K) : never;
}[keyof T];

describe("the types of TLS", () => {
  compiles("are a request for what was negotiated", async (socket) => {
    expectTypeOf(socket.startTLS()).toEqualTypeOf<SocketRequest<TLSInfo>>();
    expectTypeOf(socket.startTLS({ servername: "x", timeout: 5, tag: "header" })).resolves.toEqualTypeOf<TLSInfo>();
    const { version, cipher, alpn, peerCertificate, resumed, session, truncated } = await socket.startTLS();
    for (const text of [version, cipher, alpn]) expectTypeOf(text).toEqualTypeOf<string | null>();
    for (const flag of [resumed, truncated, socket.isSecure]) expectTypeOf(flag).toEqualTypeOf<boolean>();
    expectTypeOf(peerCertificate).toEqualTypeOf<DetailedPeerCertificate | null>();
    expectTypeOf(session).toEqualTypeOf<Buffer | undefined>();
    expectTypeOf(socket.tls).toEqualTypeOf<TLSInfo | undefined>();
    expectTypeOf(socket.setTLS.bind(socket)).returns.toBeVoid();
  });

  compiles("take undefined for every option", () => {
    expectTypeOf<Refusing<{ a?: string; b?: number | undefined; c: string }>>().toEqualTypeOf<"a">();
    expectTypeOf<Refusing<TLSOptions>>().toBeNever();
    expectTypeOf<Refusing<StartTLSOptions>>().toBeNever();
  });

  compiles("may be asked for from the start: by true or options of a client, by options of a server", () => {
    expectTypeOf<ConnectOptions["tls"]>().toEqualTypeOf<TLSOptions | boolean | undefined>();
    expectTypeOf<ListenOptions["tls"]>().toEqualTypeOf<TLSOptions | false | undefined>();
    // @ts-expect-error a server needs a certificate
    AsyncSocket.listen({ port: 1, tls: true });
    // @ts-expect-error versions are said by minVersion and maxVersion
    AsyncSocket.connect({ port: 1, tls: { secureProtocol: "TLSv1_method" } });
    // @ts-expect-error no such option
    AsyncSocket.connect({ port: 1, tls: { verify: false } });
    // @ts-expect-error the role is asked for by startTLS alone
    return AsyncSocket.connect({ port: 1, tls: { isServer: true } });
  });

  compiles("take certificates by name, or a function of the name that may answer later", () => {
    const one: Certificate = { key: "k", cert: "c" };
    expectTypeOf<SecureContext>().toExtend<Certificate>();
    expectTypeOf((name: string) => (name === "x" ? one : undefined)).toExtend<CertificateChooser>();
    expectTypeOf(async (name: string) =>
      Promise.resolve(name === "x" ? one : undefined),
    ).toExtend<CertificateChooser>();
    AsyncSocket.listen({ port: 1, tls: { certificates: { "*.example.org": one } } });
    return AsyncSocket.listen({ port: 1, tls: { certificates: (name) => (name === "x" ? one : undefined) } });
  });

  compiles("ask the delegate for yes or no, now or later", () => {
    type Delegate = Required<AsyncSocketDelegate<Tag, User>>;
    expectTypeOf<Delegate["didSecure"]>().toEqualTypeOf<(socket: Socket) => void>();
    expectTypeOf<Delegate["shouldTrustPeer"]>().toEqualTypeOf<
      (socket: Socket, certificate: DetailedPeerCertificate, error: Error | null) => boolean | Promise<boolean>
    >();
    // @ts-expect-error an answer is needed
    return new AsyncSocket({ delegate: { shouldTrustPeer: () => undefined } });
  });

  compiles("let a transport of one's own be secured", () => {
    expectTypeOf<Parameters<Transport["secure"]>[2]>().toEqualTypeOf<SecureSink>();
  });

  compiles("refuse tags of another kind", (socket) => {
    // @ts-expect-error no such tag
    socket.startTLS({ tag: "trailer" });
  });
});

describe("the types of connecting", () => {
  compiles("take a service, a proxy, and where to connect from", (socket) => {
    socket.connect({ service: "xmpp-client", host: "example.org" });
    socket.connect({ host: "example.org", port: 1, proxy: "socks5h://host:1080" });
    socket.connect({ host: "example.org", port: 1, interface: "eth0", localPort: 5, family: 6, attemptDelay: 100 });
    socket.connect({ port: 1, proxy: { url: "http://host", headers: { "X-A": "b", "X-B": undefined } } });
    socket.connect({ port: 1, proxy: { url: "https://host", tls: { ca: "", fingerprints: [] } } });
    // @ts-expect-error a proxy is no server that is upgraded
    socket.connect({ port: 1, proxy: { url: "https://host", tls: { isServer: true } } });
    // @ts-expect-error the proxy has a URL
    socket.connect({ port: 1, proxy: { headers: {} } });
    // @ts-expect-error a URL is a string here
    socket.connect({ port: 1, proxy: new URL("http://host") });
    socket.connect({ port: 1, resolver: (host, { signal }) => [host, { address: String(signal.aborted) }] });
    socket.connect({ port: 1, resolver: (host) => Promise.resolve([host]) });
    socket.connect({ port: 1, resolver: "c-ares", resolverTimeout: 500 });
    // @ts-expect-error a resolver gives a list
    socket.connect({ port: 1, resolver: () => "192.0.2.1" });
    // @ts-expect-error there are two families
    return socket.connect({ port: 1, preferFamily: 5 });
  });

  compiles("show whose connection a proxy passes on", (socket) => {
    socket.listen({ port: 1, proxyProtocol: true });
    expectTypeOf(socket.proxied).toEqualTypeOf<ProxiedAddresses | undefined>();
    expectTypeOf(socket.proxied?.remote).toEqualTypeOf<Address | undefined>();
    expectTypeOf(socket.proxied?.tlvs).toEqualTypeOf<ProxiedTLVs | undefined>();
    expectTypeOf(socket.proxied?.tlvs?.tls?.commonName).toEqualTypeOf<string | undefined>();
    const { remote: source, local: destination } = socket.proxied ?? socket;
    socket.connect({ port: 1, proxyProtocol: { version: 2, source, destination, tlvs: socket.proxied?.tlvs } });
    socket.connect({ port: 1, proxyProtocol: { version: 1, source: undefined, destination: undefined } });
    // @ts-expect-error the version must be said
    socket.connect({ port: 1, proxyProtocol: {} });
    // @ts-expect-error it is on or off
    return socket.listen({ port: 1, proxyProtocol: "v2" });
  });
});
