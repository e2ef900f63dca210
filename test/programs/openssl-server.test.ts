/** A TLS client on AsyncSocket, against `openssl s_server`. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, AsyncSocketError, type TLSInfo, type TLSOptions } from "asyncsocket";
import { FiledAuthority } from "../support/key-files.js";
import { needs, Program } from "../support/programs.js";

const DEADLINE_MS = 30_000;

/** Sends back each line, its characters in reverse; after "CLOSE" it ends with close_notify. */
async function serve(
  t: TestContext,
  authority: FiledAuthority,
  ...args: string[]
): Promise<{ server: Program; port: number }> {
  const { keyFile, certFile } = await authority.issue("localhost");
  const identity = ["-key", keyFile, "-cert", certFile];
  const server = new Program(t, "openssl", ["s_server", "-accept", "127.0.0.1:0", ...identity, "-rev", ...args]);
  return { server, port: Number((await server.sees(/^ACCEPT 127\.0\.0\.1:(\d+)/m))[1]) };
}

function connect(port: number, tls: TLSOptions): Promise<AsyncSocket> {
  const options = { host: "127.0.0.1", port, timeout: DEADLINE_MS, limits: { idleMs: DEADLINE_MS } };
  return AsyncSocket.connect({ ...options, tls: { servername: "localhost", ...tls } }).then((socket) => socket);
}

async function talk(socket: AsyncSocket): Promise<void> {
  socket.write("hello\n");
  assert.equal(await socket.readLine(), "olleh");
}

/** Speaks, and closes after the server has. */
async function visit(port: number, tls: TLSOptions): Promise<TLSInfo> {
  await using socket = await connect(port, tls);
  await talk(socket);
  socket.write("CLOSE\n");
  const { by, error } = await socket.closed;
  assert.equal(error, null);
  assert.equal(by, "remote");
  assert.ok(socket.tls !== undefined);
  return socket.tls;
}

/** How it fails: at once, or, in TLS 1.3, after the client's part of the handshake. */
async function refusal(port: number, tls: TLSOptions): Promise<AsyncSocketError> {
  let error: unknown;
  try {
    await using socket = await connect(port, tls);
    ({ error } = await socket.closed);
  } catch (failure) {
    error = failure;
  }
  assert.ok(error instanceof AsyncSocketError);
  return error;
}

describe("a TLS client, against openssl s_server", needs("openssl", "openssl"), () => {
  for (const [option, version] of [
    ["-tls1_2", "TLSv1.2"],
    ["-tls1_3", "TLSv1.3"],
  ] as const) {
    it(`speaks ${version}`, async (t) => {
      const authority = await FiledAuthority.create(t);
      const { port } = await serve(t, authority, option);
      const info = await visit(port, { ca: authority.cert });
      assert.equal(info.version, version);
      assert.equal(info.authorized, true);
      assert.equal(info.truncated, false);
      assert.equal(info.peerCertificate?.subject.CN, "localhost");
    });

    it(`shows a certificate where one is demanded, in ${version}`, async (t) => {
      const authority = await FiledAuthority.create(t);
      const stranger = await FiledAuthority.create(t, "CN=A stranger");
      const demand = ["-Verify", "1", "-verify_return_error", "-CAfile", authority.caFile];
      const { server, port } = await serve(t, authority, option, ...demand);
      const { key, cert } = await authority.identity("client");
      await visit(port, { ca: authority.cert, key, cert });
      await server.sees(/CN ?= ?client$/m);
      const unknown = await stranger.identity("stranger");
      for (const [shown, reason] of [
        [{}, /alert certificate required|alert handshake failure/],
        [{ key: unknown.key, cert: unknown.cert }, /alert unknown ca/],
      ] as const) {
        const error = await refusal(port, { ca: authority.cert, ...shown });
        assert.match(error.message, reason);
        assert.equal(error.code, "ERR_ASYNCSOCKET_TLS");
      }
    });

    it(`resumes a session of ${version}`, async (t) => {
      const authority = await FiledAuthority.create(t);
      const { port } = await serve(t, authority, option);
      const first = await visit(port, { ca: authority.cert });
      assert.equal(first.resumed, false);
      assert.ok(first.session !== undefined);
      const second = await visit(port, { ca: authority.cert, session: first.session });
      assert.equal(second.resumed, true);
      assert.equal(second.authorized, true);
    });

    it(`tells an end by close_notify from a cut, in ${version}`, async (t) => {
      const authority = await FiledAuthority.create(t);
      const { server, port } = await serve(t, authority, option);
      const ended = await visit(port, { ca: authority.cert, requireCloseNotify: true });
      assert.equal(ended.truncated, false);
      await using socket = await connect(port, { ca: authority.cert, requireCloseNotify: true });
      await talk(socket);
      await server.stop();
      const { error } = await socket.closed;
      assert.equal(error?.code, "ERR_ASYNCSOCKET_TLS");
      assert.match(error.message, /without close_notify/);
      assert.equal(socket.tls?.truncated, true);
    });
  }

  it("does not speak TLS 1.1", async (t) => {
    const authority = await FiledAuthority.create(t);
    const { port } = await serve(t, authority, "-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0");
    const error = await refusal(port, { ca: authority.cert });
    assert.match(error.message, /^The TLS handshake failed: .*protocol/);
  });

  it("agrees on a protocol by ALPN", async (t) => {
    const authority = await FiledAuthority.create(t);
    const { port } = await serve(t, authority, "-alpn", "smtp,http/1.1");
    const { alpn } = await visit(port, { ca: authority.cert, ALPNProtocols: ["http/1.1", "smtp"] });
    assert.equal(alpn, "smtp", "the server's choice");
    assert.equal((await visit(port, { ca: authority.cert })).alpn, null);
  });

  it("shows the certificate of the name asked for by SNI, and refuses another's", async (t) => {
    const authority = await FiledAuthority.create(t);
    const other = await authority.issue("other.example.org");
    const second = ["-servername", "other.example.org", "-cert2", other.certFile, "-key2", other.keyFile];
    const { port } = await serve(t, authority, ...second);
    const info = await visit(port, { ca: authority.cert, servername: "other.example.org" });
    assert.equal(info.peerCertificate?.subject.CN, "other.example.org");
    assert.equal((await visit(port, { ca: authority.cert })).peerCertificate?.subject.CN, "localhost");
    const error = await refusal(port, { ca: authority.cert, servername: "third.example.org" });
    assert.match(error.message, /not to be trusted: .*third\.example\.org/);
  });

  it("trusts no authority that it was not told of", async (t) => {
    const authority = await FiledAuthority.create(t);
    const { port } = await serve(t, authority);
    const error = await refusal(port, {});
    assert.equal(error.code, "ERR_ASYNCSOCKET_TLS");
    assert.match(error.message, /not to be trusted/);
  });

  it("takes a mebibyte from a server, and all before close_notify", async (t) => {
    const authority = await FiledAuthority.create(t);
    const { port } = await serve(t, authority);
    await using socket = await connect(port, { ca: authority.cert });
    const lines = Array.from({ length: 1024 }, (_, i) => `${i} `.padEnd(1023, "abcdefg"));
    // One at a time: s_server reads no more while it cannot write.
    for (const line of lines) {
      socket.write(`${line}\n`);
      assert.equal(await socket.readLine(), Buffer.from(line).reverse().toString());
    }
    socket.write("CLOSE\n");
    assert.equal((await socket.closed).by, "remote");
  });
});
