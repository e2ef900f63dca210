/** A TLS server on AsyncSocket, as `openssl s_client` finds it. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type TLSInfo, type TLSOptions } from "asyncsocket";
import { until } from "../support/delegates.js";
import { FiledAuthority } from "../support/key-files.js";
import { needs, Program } from "../support/programs.js";

interface TLSServer {
  port: number;
  /** Handshakes that went well, and reasons of those that did not. */
  secured: TLSInfo[];
  failures: string[];
}

/** Repeats each line; after "bye" it closes. */
async function serve(t: TestContext, tls: TLSOptions): Promise<TLSServer> {
  const secured: TLSInfo[] = [];
  const failures: string[] = [];
  const listener = await AsyncSocket.listen({
    host: "127.0.0.1",
    port: 0,
    tls,
    delegate: {
      didAccept: (_listener, socket) => void socket.readUntil("\n"),
      didSecure(socket) {
        if (socket.tls !== undefined) secured.push(socket.tls);
      },
      didRead(socket, line) {
        socket.write(["you said ", line]);
        if (line.toString().startsWith("bye")) socket.disconnectAfterWriting();
        else socket.readUntil("\n");
      },
      didDisconnect(_socket, { error }) {
        if (error !== null) failures.push(error.message);
      },
    },
  });
  t.after(() => listener.shutdown({ graceMs: 0 }));
  if (listener.local === undefined || listener.local.family === "unix") throw new Error("Expected a port");
  return { port: listener.local.port, secured, failures };
}

function connect(t: TestContext, port: number, ...args: string[]): Program {
  return new Program(t, "openssl", ["s_client", "-connect", `127.0.0.1:${port}`, "-ign_eof", ...args]);
}

/** Says something, and goodbye. */
async function talk(client: Program): Promise<string> {
  client.type("hello\nbye\n");
  const { stdout, stderr } = await client.ended();
  // Not at the beginning of a line: what s_client tells of session tickets has a buffer of its own.
  assert.match(stdout, /you said hello\n/, stderr);
  assert.match(stdout, /you said bye\n/);
  return stdout;
}

describe("a TLS server, spoken to by openssl s_client", needs("openssl", "openssl"), () => {
  for (const [option, version] of [
    ["-tls1_2", "TLSv1.2"],
    ["-tls1_3", "TLSv1.3"],
  ] as const) {
    it(`speaks ${version}, with a certificate that is verified`, async (t) => {
      const authority = await FiledAuthority.create(t);
      const { port, secured, failures } = await serve(t, await authority.identity("localhost"));
      const trust = ["-CAfile", authority.caFile, "-verify_return_error", "-verify_hostname", "localhost"];
      const stdout = await talk(connect(t, port, option, ...trust));
      assert.match(stdout, /Verify return code: 0 \(ok\)/);
      assert.match(stdout, new RegExp(`^New, ${version}, Cipher is `, "m"));
      assert.match(stdout, /^closed$/m, "s_client was told by close_notify");
      assert.deepEqual(
        secured.map((info) => info.version),
        [version],
      );
      assert.deepEqual(failures, []);
    });
  }

  it("refuses versions older than 1.2, and those that it was told not to speak", async (t) => {
    const authority = await FiledAuthority.create(t);
    const identity = await authority.identity("localhost");
    const old = await serve(t, identity);
    const newest = await serve(t, { ...identity, minVersion: "TLSv1.3" });
    // Security level 0 alone lets s_client itself speak TLS 1.1.
    for (const [{ port, secured, failures }, ...options] of [
      [old, "-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"],
      [newest, "-tls1_2"],
    ] as const) {
      const { code, stdout, stderr } = await connect(t, port, ...options).ended();
      assert.notEqual(code, 0);
      assert.match(stdout + stderr, /alert protocol version|Cipher is \(NONE\)/);
      assert.equal(secured.length, 0);
      await until(() => failures.length === 1, "the server has told of it");
    }
  });

  it("chooses the first of its protocols that the client offers, by ALPN", async (t) => {
    const authority = await FiledAuthority.create(t);
    const { port, secured, failures } = await serve(t, {
      ...(await authority.identity("localhost")),
      ALPNProtocols: ["smtp/2", "smtp"],
    });
    assert.match(await talk(connect(t, port, "-alpn", "http/1.1,smtp,smtp/2")), /^ALPN protocol: smtp\/2$/m);
    assert.match(await talk(connect(t, port, "-alpn", "http/1.1,smtp")), /^ALPN protocol: smtp$/m);
    assert.match(await talk(connect(t, port)), /^No ALPN negotiated$/m);
    assert.deepEqual(
      secured.map((info) => info.alpn),
      ["smtp/2", "smtp", null],
    );
    const { stdout, stderr } = await connect(t, port, "-alpn", "http/1.1").ended();
    assert.match(stdout + stderr, /alert no application protocol/);
    await until(() => failures.length === 1, "the server has told of it");
  });

  it("shows the certificate of the name that is asked for, by SNI", async (t) => {
    const authority = await FiledAuthority.create(t);
    const own = await authority.identity("localhost");
    const certificates = {
      "one.example.org": await authority.identity("one.example.org"),
      "*.example.net": await authority.identity("*.example.net"),
    };
    const { port, secured } = await serve(t, { ...own, certificates });
    for (const [asked, shown] of [
      ["one.example.org", "one.example.org"],
      ["any.example.net", "*.example.net"],
      ["other.example.org", "localhost"],
      [null, "localhost"],
    ] as const) {
      const name = asked === null ? ["-noservername"] : ["-servername", asked];
      const stdout = await talk(connect(t, port, ...name, "-CAfile", authority.caFile));
      assert.match(stdout, new RegExp(`^subject=CN ?= ?${shown.replace(/[*.]/g, "\\$&")}$`, "m"));
      assert.equal(secured.at(-1)?.servername, asked);
    }
  });

  it("demands a certificate of the client's, of an authority that it trusts", async (t) => {
    const [authority, stranger] = [await FiledAuthority.create(t), await FiledAuthority.create(t, "CN=A stranger")];
    const identity = await authority.identity("localhost");
    const known = await authority.issue("client");
    const unknown = await stranger.issue("client");
    for (const option of ["-tls1_2", "-tls1_3"]) {
      const { port, secured, failures } = await serve(t, { ...identity, ca: authority.cert, requestCert: true });
      const show = ({ certFile, keyFile }: typeof known): string[] => ["-cert", certFile, "-key", keyFile];
      await talk(connect(t, port, option, ...show(known)));
      assert.equal(secured[0]?.peerCertificate?.subject.CN, "client");
      assert.equal(secured[0].authorized, true);
      const refused = [
        await connect(t, port, option, ...show(unknown)).ended(),
        await connect(t, port, option).ended(),
      ];
      for (const { code, stdout } of refused) {
        assert.doesNotMatch(stdout, /you said/);
        assert.notEqual(code, 0);
      }
      assert.equal(secured.length, 1);
      await until(() => failures.length === 2, "the server has told of it");
      for (const message of failures) assert.match(message, /not to be trusted|did not return a certificate/);
    }
  });

  it("resumes a session", async (t) => {
    const authority = await FiledAuthority.create(t);
    const { port, secured } = await serve(t, await authority.identity("localhost"));
    for (const option of ["-tls1_2", "-tls1_3"]) {
      const file = join(authority.folder, `session${option}`);
      assert.match(await talk(connect(t, port, option, "-sess_out", file)), /^New, TLS/m);
      assert.match(await talk(connect(t, port, option, "-sess_in", file)), /^Reused, TLS/m);
    }
    assert.deepEqual(
      secured.map((info) => info.resumed),
      [false, true, false, true],
    );
  });

  it("goes on after new keys were agreed upon, as either side may ask in TLS 1.3", async (t) => {
    const authority = await FiledAuthority.create(t);
    const { port, failures } = await serve(t, await authority.identity("localhost"));
    const client = new Program(t, "openssl", ["s_client", "-connect", `127.0.0.1:${port}`, "-tls1_3"]);
    client.type("one\n");
    await client.sees(/you said one/);
    client.type("K\n"); // to s_client itself
    await client.sees(/KEYUPDATE/);
    client.type("two\n");
    await client.sees(/you said two/);
    client.type("bye\n");
    assert.match((await client.ended()).stdout, /you said bye/);
    assert.deepEqual(failures, []);
  });
});
