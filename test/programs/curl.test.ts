/** A small HTTPS server on AsyncSocket, as curl finds it. */

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type TLSOptions } from "asyncsocket";
import { FiledAuthority } from "../support/key-files.js";
import { type Ended, needs, Program } from "../support/programs.js";

const LARGE = randomBytes(8 * 2 ** 20);

/** As long as the client asks: a GET is answered by LARGE, a POST by the checksum of its body. */
async function answer(socket: AsyncSocket): Promise<void> {
  for (;;) {
    const head = await socket.readUntil("\r\n\r\n", { encoding: "latin1" });
    const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
    if (/^expect: 100-continue/im.test(head)) socket.write("HTTP/1.1 100 Continue\r\n\r\n");
    const body = await socket.readExactly(length);
    const content = head.startsWith("POST") ? createHash("sha256").update(body).digest("hex") : LARGE;
    socket.write([`HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\n\r\n`, content]);
  }
}

async function serve(t: TestContext, tls: TLSOptions): Promise<{ url: string; sockets: AsyncSocket[] }> {
  const sockets: AsyncSocket[] = [];
  const listener = await AsyncSocket.listen({
    host: "127.0.0.1",
    port: 0,
    tls,
    delegate: {
      didAccept: (_listener, socket) => void sockets.push(socket),
      didSecure: (socket) => void answer(socket).catch(() => undefined), // until it has gone
    },
  });
  t.after(() => listener.shutdown({ graceMs: 0 }));
  if (listener.local === undefined || listener.local.family === "unix") throw new Error("Expected a port");
  return { url: `https://127.0.0.1:${listener.local.port}/`, sockets };
}

function curl(t: TestContext, ...args: string[]): Promise<Ended> {
  return new Program(t, "curl", ["-sS", "--http1.1", "--noproxy", "*", ...args]).ended();
}

describe("an HTTPS server, spoken to by curl", needs("curl", "curl"), () => {
  it("sends a large body, twice over one connection, in TLS 1.2 and 1.3", async (t) => {
    const authority = await FiledAuthority.create(t);
    const { url, sockets } = await serve(t, {
      ...(await authority.identity("127.0.0.1")),
      ALPNProtocols: ["http/1.1"],
    });
    for (const [option, version] of [
      ["1.2", "TLSv1.2"],
      ["1.3", "TLSv1.3"],
    ] as const) {
      const files = ["one", "two"].map((name) => join(authority.folder, name));
      const targets = files.flatMap((file) => ["-o", file, url]);
      const only = ["--cacert", authority.caFile, `--tlsv${option}`, "--tls-max", option];
      const { code, stderr } = await curl(t, ...only, ...targets);
      assert.equal(code, 0, stderr);
      for (const file of files) assert.ok(readFileSync(file).equals(LARGE));
      assert.equal(sockets.at(-1)?.tls?.version, version);
      assert.equal(sockets.at(-1)?.tls?.alpn, "http/1.1");
    }
    assert.equal(sockets.length, 2);
  });

  it("receives a large body", async (t) => {
    const authority = await FiledAuthority.create(t);
    const { url } = await serve(t, await authority.identity("127.0.0.1"));
    const file = join(authority.folder, "large");
    writeFileSync(file, LARGE);
    const { stdout, stderr } = await curl(t, "--cacert", authority.caFile, "--data-binary", `@${file}`, url);
    assert.equal(stdout, createHash("sha256").update(LARGE).digest("hex"), stderr);
  });

  it("is not believed without an authority, or for another name", async (t) => {
    const authority = await FiledAuthority.create(t);
    const { url } = await serve(t, await authority.identity("other.example.org"));
    for (const options of [[], ["--cacert", authority.caFile]]) {
      const { code, stdout } = await curl(t, ...options, url);
      assert.equal(code, 60); // curl: peer certificate cannot be authenticated
      assert.equal(stdout, "");
    }
  });

  it("demands a certificate", async (t) => {
    const authority = await FiledAuthority.create(t);
    const identity = await authority.identity("127.0.0.1");
    const { keyFile, certFile } = await authority.issue("client");
    const { url, sockets } = await serve(t, { ...identity, ca: authority.cert, requestCert: true });
    const trust = ["--cacert", authority.caFile];
    const shown = await curl(t, ...trust, "--key", keyFile, "--cert", certFile, "-d", "", url);
    assert.equal(shown.code, 0, shown.stderr);
    assert.equal(sockets[0]?.tls?.peerCertificate?.subject.CN, "client");
    const { code, stderr } = await curl(t, ...trust, "-d", "", url);
    assert.equal(code, 56); // curl: failure with receiving network data
    assert.match(stderr, /alert certificate required/);
  });
});
