/** `asyncsocket connect` against real servers: TLS, STARTTLS, lines, PROXY headers. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { CommandLine } from "../support/cli.js";
import { LOCALHOST, startSilent } from "../connect/silent-program.js";
import { EXIM_NAME, needsExim, startExim } from "../support/exim.js";
import { FiledAuthority } from "../support/key-files.js";
import { needs, Program, startOnFreePort, temporaryFolder } from "../support/programs.js";
import { portOf } from "../support/transports.js";

const MAIN = join(import.meta.dirname, "../../../dist/cli/main.js");

/** A server that sends back each line, its characters in reverse, and the file of its authority. */
async function startOpenSSL(t: TestContext, name?: string): Promise<{ where: string; caFile: string }> {
  const authority = await FiledAuthority.create(t, name);
  const { keyFile, certFile } = await authority.issue("localhost");
  const identity = ["-key", keyFile, "-cert", certFile, "-cert_chain", authority.caFile];
  const server = new Program(t, "openssl", ["s_server", "-accept", `${LOCALHOST}:0`, ...identity, "-rev"]);
  const [, port = ""] = await server.sees(/^ACCEPT 127\.0\.0\.1:(\d+)/m);
  return { where: `tls://${LOCALHOST}:${port}`, caFile: authority.caFile };
}

describe("asyncsocket connect, against openssl s_server", needs("openssl", "openssl"), () => {
  it("speaks TLS, and sums up the certificate", async (t) => {
    const { where, caFile } = await startOpenSSL(t);
    const trust = ["--ca", caFile, "--servername", "localhost"];
    const { code, stdout, stderr } = await CommandLine.run(["connect", where, ...trust], "hello\n");
    assert.deepEqual([code, stdout], [0, "olleh\n"], stderr);
    assert.match(stderr, /^Connected to .*\nTLSv1\.3, TLS_\w+, the peer is verified\n/);
    assert.match(
      stderr,
      /\n {2}subject {2}CN=localhost\n {2}names {4}DNS:localhost\n {2}issuer {3}CN=An authority for tests\n/,
    );
    assert.match(
      stderr,
      /\n {2}valid {4}\d{4}-\d\d-\d\d to \d{4}-\d\d-\d\d, 6 days left\n {2}SHA-256 {2}(\w\w:){31}\w\w\n/,
    );
    const older = await CommandLine.run(["connect", where, ...trust, "--tls-version", "1.2", "--json"], "hello\n");
    const secure = older.stdout.split("\n").find((line) => line.includes('"secure"')) ?? "";
    const facts = JSON.parse(secure) as { version: string; certificate: { subject: string } };
    assert.deepEqual([facts.version, facts.certificate.subject], ["TLSv1.2", "CN=localhost"]);
  });

  it("does not trust everybody, and escapes the names that a certificate has", async (t) => {
    const { where } = await startOpenSSL(t, "CN=\u001b]0;mine\u0007\u202eevil");
    const refused = await CommandLine.run(["connect", where, "--servername", "localhost"], "hello\n");
    assert.equal(refused.code, 6);
    const anyway = await CommandLine.run(["connect", where, "-k"], "hello\n");
    assert.deepEqual([anyway.code, anyway.stdout], [0, "olleh\n"]);
    assert.match(anyway.stderr, /NOT VERIFIED: /);
    assert.ok(anyway.stderr.includes("CN=\\x1b]0;mine\\x07\\u{202e}evil"), anyway.stderr);
    const json = await CommandLine.run(["connect", where, "-k", "--json"], "hello\n");
    for (const { stdout, stderr } of [refused, anyway, json]) assert.match(stdout + stderr, /^[\x20-\x7e\n]*$/);
  });
});

describe("asyncsocket connect, against nginx", needs("nginx", "nginx-light"), () => {
  it("speaks HTTP over TLS, with ALPN", async (t) => {
    const authority = await FiledAuthority.create(t);
    const { folder, caFile } = authority;
    const { keyFile, certFile } = await authority.issue("localhost");
    const file = join(folder, "nginx.conf");
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    const { port } = await startOnFreePort((freePort) => {
      writeFileSync(
        file,
        `daemon off; master_process off; pid ${folder}/pid; error_log stderr notice; events {}
        http { access_log off; ${temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join(" ")}
          server { listen ${LOCALHOST}:${freePort} ssl; ssl_certificate ${certFile}; ssl_certificate_key ${keyFile};
            return 200 "$ssl_alpn_protocol\\n"; } }`,
      );
      return new Program(t, "nginx", ["-p", folder, "-e", "stderr", "-c", file]);
    }, /using the "\w+" event method/);
    const tls = ["--ca", caFile, "--servername", "localhost", "--alpn", "http/1.1"];
    const request = "GET / HTTP/1.0\r\n\r\n";
    const { code, stdout, stderr } = await CommandLine.run(
      ["connect", `https://${LOCALHOST}:${port}`, ...tls],
      request,
    );
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nhttp\/1\.1\n$/);
    assert.match(stderr, /, ALPN http\/1\.1, /);
  });
});

describe("asyncsocket connect, against Exim", needsExim(), () => {
  it("is encrypted by STARTTLS, behind which the greeting begins anew", async (t) => {
    const { port, caFile } = await startExim(t);
    const args = ["connect", `smtp://${LOCALHOST}:${port}`, "--starttls", "smtp", "--crlf", "--lines"];
    const input = "EHLO me\nRCPT TO:<you@example.net>\nQUIT\n";
    const { code, stdout, stderr } = await CommandLine.run([...args, "--ca", caFile, "--servername", EXIM_NAME], input);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /the peer is verified/);
    assert.match(stdout, /^250-[^]*\r\n503 [^]*\r\n221 .*\r\n$/);
    assert.doesNotMatch(stdout, /STARTTLS/);
    assert.equal((await CommandLine.run([...args, "--servername", EXIM_NAME], input)).code, 6);
  });
});

describe("asyncsocket connect, against Redis", needs("redis-server", "redis-server"), () => {
  it("speaks line by line, as a program of its own", async (t) => {
    const folder = temporaryFolder(t);
    const { port } = await startOnFreePort(
      (freePort) =>
        new Program(t, "redis-server", [
          "--port",
          String(freePort),
          "--bind",
          LOCALHOST,
          "--dir",
          folder,
          "--save",
          "",
        ]),
      /Ready to accept connections/,
    );
    const program = new Program(t, process.execPath, [MAIN, "connect", LOCALHOST, String(port), "--lines", "--crlf"]);
    program.type('SET name "caf\\xc3\\xa9"\nGET name\nQUIT\n');
    program.endInput();
    const { code, stdout, stderr } = await program.ended();
    assert.deepEqual([code, stdout], [0, "+OK\r\n$5\r\ncafé\r\n+OK\r\n"], stderr);
  });
});

describe("asyncsocket, as a program of its own", () => {
  it("ends in order by a signal", async (t) => {
    const program = new Program(t, process.execPath, [MAIN, "listen", LOCALHOST, "0"]);
    await program.sees(/Listening on 127\.0\.0\.1 port \d+/);
    await program.stop();
    assert.equal((await program.ended()).code, 0);
  });
});

describe("asyncsocket connect, against HAProxy", needs("haproxy", "haproxy"), () => {
  it("says whose connection it is by a PROXY header, which HAProxy passes on", async (t) => {
    const delegate = {
      didAccept(_: AsyncSocket, socket: AsyncSocket): void {
        const { remote } = socket.proxied ?? {};
        socket.write(
          remote === undefined || remote.family === "unix" ? "nobody\n" : `${remote.address} ${remote.port}\n`,
        );
        socket.disconnectAfterWriting();
      },
    };
    const behind = await AsyncSocket.listen({ host: LOCALHOST, port: 0, proxyProtocol: true, delegate });
    t.after(() => behind.shutdown({ graceMs: 0 }));
    const file = join(temporaryFolder(t), "haproxy.cfg");
    const port = await startSilent(t, "haproxy", (freePort) => {
      const proxy = `bind ${LOCALHOST}:${freePort} accept-proxy\n  server behind ${LOCALHOST}:${portOf(behind)} send-proxy-v2`;
      const times = ["connect", "client", "server"].map((what) => `  timeout ${what} 60s\n`).join("");
      writeFileSync(file, `defaults\n  mode tcp\n${times}listen proxy\n  ${proxy}\n`);
      return ["-db", "-f", file];
    });
    const args = ["connect", LOCALHOST, String(port), "--proxy-header", "2", "--json"];
    const { stdout } = await CommandLine.run(args);
    const [connected, received] = stdout.split("\n").map((line) => JSON.parse(line || "{}") as Record<string, unknown>);
    const { address, port: localPort } = connected?.["local"] as { address: string; port: number };
    assert.equal(received?.["text"], `${address} ${localPort}\n`);
  });
});
