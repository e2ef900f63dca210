/** PROXY headers as HAProxy sends and reads them. */

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, AsyncSocketError, type ConnectOptions, type ProxyHeaderOptions } from "asyncsocket";
import { LOCALHOST, startSilent } from "../connect/silent-program.js";
import { FiledAuthority } from "../support/key-files.js";
import { needs, temporaryFolder } from "../support/programs.js";
import { portOf } from "../support/transports.js";

interface Between {
  /** What its `bind` line says. */
  readonly bind?: string;
  /** What its `server` line says about headers. */
  readonly server: string;
}

/** The id of a connection, as HAProxy makes it of what it was told itself. */
const ID = "unique-id-format %ci/%[fc_pp_authority]/%[fc_pp_unique_id]";

/** A proxy in front of the port. */
function startProxy(t: TestContext, port: number, { bind = "", server }: Between): Promise<number> {
  const configuration = join(temporaryFolder(t), "haproxy.cfg");
  return startSilent(t, "haproxy", (proxyPort) => {
    writeFileSync(
      configuration,
      `defaults
  mode tcp
  timeout connect 60s
  timeout client 60s
  timeout server 60s
listen proxy
  ${ID}
  bind ${LOCALHOST}:${proxyPort} ${bind}
  server behind ${LOCALHOST}:${port} ${server}
`,
    );
    return ["-db", "-f", configuration];
  });
}

async function isOther(socket: AsyncSocket): Promise<boolean> {
  try {
    assert.equal(await socket.readLine(), "hello");
    return false;
  } catch (error) {
    if (error instanceof AsyncSocketError) return true;
    throw error;
  }
}

/** Connects through a proxy to a listener of ours. */
async function through(t: TestContext, between: Between, options: ConnectOptions = {}) {
  const listener = await AsyncSocket.listen({ host: LOCALHOST, port: 0, proxyProtocol: true });
  t.after(() => listener.shutdown({ graceMs: 0 }));
  const port = await startProxy(t, portOf(listener), between);
  const client = await AsyncSocket.connect({ host: LOCALHOST, port, ...options });
  t.after(() => client.disconnect());
  client.write("hello\n");
  for await (const socket of listener.connections()) {
    // Another one may have come before: that by which it was seen that the proxy is ready.
    if (!(await isOther(socket))) return { client, proxied: socket.proxied };
  }
  return assert.fail("the listener was closed");
}

const NONE = { crc32c: false, others: new Map() };
const WAYS = [
  ["send-proxy", {}],
  ["send-proxy-v2", {}],
  [
    "send-proxy-v2 proxy-v2-options unique-id,crc32c",
    { tlvs: { ...NONE, crc32c: true, uniqueId: Buffer.from(`${LOCALHOST}//`) } },
  ],
] as const;

describe("a PROXY header from HAProxy", needs("haproxy", "haproxy"), () => {
  for (const [server, tlvs] of WAYS) {
    it(`tells who connected, by ${server}`, async (t) => {
      const { client, proxied } = await through(t, { server });
      assert.deepEqual(proxied, { local: client.remote, remote: client.local, ...tlvs });
    });
  }

  it("tells of the TLS between the client and it", async (t) => {
    const authority = await FiledAuthority.create(t);
    const { keyFile, certFile } = await authority.issue("localhost");
    const { key, cert } = await authority.identity("someone");
    const file = join(authority.folder, "both.pem");
    writeFileSync(file, [certFile, keyFile].map((one) => readFileSync(one, "utf8")).join("\n"));
    const { client, proxied } = await through(
      t,
      {
        bind: `ssl crt ${file} ca-file ${authority.caFile} verify required alpn h2 ssl-min-ver TLSv1.3`,
        server: "send-proxy-v2 proxy-v2-options ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority",
      },
      { tls: { ca: authority.cert, servername: "localhost", ALPNProtocols: ["h2"], key, cert } },
    );
    const { tls, ...rest } = proxied?.tlvs ?? {};
    assert.deepEqual(rest, { ...NONE, alpn: "h2", authority: "localhost" });
    assert.ok(tls !== undefined);
    const { commonName, signatureAlgorithm, keyAlgorithm, ...others } = tls;
    assert.deepEqual(others, {
      isSecure: true,
      certificateInConnection: true,
      certificateInSession: true,
      verify: 0,
      version: "TLSv1.3",
      cipher: client.tls?.cipher,
      others: new Map(),
    });
    assert.match(`${commonName} ${signatureAlgorithm} ${keyAlgorithm}`, /^someone \S+ (RSA|EC)\S+$/);
  });
});

const ENDS = {
  source: { family: "IPv4", address: "192.0.2.1", port: 1234 },
  destination: { family: "IPv4", address: "192.0.2.2", port: 443 },
} as const;
const ENDS_V6 = {
  source: { family: "IPv6", address: "2001:db8::1", port: 1234 },
  destination: { family: "IPv6", address: "2001:db8::2", port: 443 },
} as const;
const TOLD = { authority: "a.test", uniqueId: Buffer.from("u"), alpn: "h2", netns: "n", tls: { commonName: "c" } };
const LONG = { others: new Map([[0xe0, Buffer.alloc(3_000)]]) };

describe("a PROXY header of ours, to HAProxy", needs("haproxy", "haproxy"), () => {
  for (const [name, proxyProtocol, seen] of [
    ["version 1", { version: 1, ...ENDS }, "/"],
    ["version 1 of IPv6", { version: 1, ...ENDS_V6 }, "/"],
    ["version 2", { version: 2, ...ENDS }, "/"],
    ["version 2 of IPv6", { version: 2, ...ENDS_V6 }, "/"],
    ["version 2 with extensions", { version: 2, ...ENDS, tlvs: TOLD }, "a.test/u"],
    [
      "version 2 with extensions and their checksum",
      { version: 2, ...ENDS, tlvs: { ...TOLD, crc32c: true } },
      "a.test/u",
    ],
    ["version 2 with many bytes of extensions", { version: 2, ...ENDS, tlvs: { ...LONG, authority: "b" } }, "b/"],
  ] as readonly (readonly [string, ProxyHeaderOptions, string])[]) {
    it(`is understood: ${name}`, async (t) => {
      const between = { bind: "accept-proxy", server: "send-proxy-v2 proxy-v2-options unique-id" };
      const { proxied } = await through(t, between, { proxyProtocol });
      const { source, destination } = proxyProtocol;
      assert.ok(source !== undefined && source.family !== "unix");
      const uniqueId = Buffer.from(`${source.address}/${seen}`);
      assert.deepEqual(proxied, { local: destination, remote: source, tlvs: { ...NONE, uniqueId } });
    });
  }

  for (const version of [1, 2] as const) {
    it(`is understood: version ${version} of this side itself`, async (t) => {
      const { client, proxied } = await through(
        t,
        { bind: "accept-proxy", server: "send-proxy" },
        { proxyProtocol: { version } },
      );
      assert.deepEqual(proxied, { local: client.remote, remote: client.local });
    });
  }
});
