/** `asyncsocket listen` and `relay`, with clients of this library. */

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type ConnectOptions } from "asyncsocket";
import { selfSigned } from "#dist/cli/self-signed.js";
import { CommandLine } from "../support/cli.js";
import { LOCALHOST } from "../connect/silent-program.js";
import { FiledAuthority } from "../support/key-files.js";
import { needs, Program, temporaryFolder } from "../support/programs.js";
import { portOf } from "../support/transports.js";

interface Running {
  readonly line: CommandLine;
  readonly port: number;
}

/** Starts a command that listens, and tells its port. */
async function start(t: TestContext, ...args: string[]): Promise<Running> {
  const line = new CommandLine(args);
  t.after(() => line.interrupt());
  const screen = args.includes("--json") ? line.stdout : line.stderr;
  const [, port = ""] = await screen.sees(/(?:"port":|port )(\d+)/);
  return { line, port: Number(port) };
}

/** Sends something, ends its side, and gives the whole answer. */
async function exchange(options: ConnectOptions, data: string | Buffer): Promise<string> {
  const socket = new AsyncSocket({ allowHalfOpen: true });
  await socket.connect({ host: LOCALHOST, ...options });
  if (data.length > 0) socket.write(data);
  socket.end();
  let answer = "";
  for await (const part of socket) answer += part.toString("latin1");
  await socket.disconnect();
  return answer;
}

function events(text: string): Record<string, unknown>[] {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe("asyncsocket listen", () => {
  it("echoes what several clients send, shows it, and ends with 0 when it is interrupted", async (t) => {
    const { line, port } = await start(t, "listen", LOCALHOST, "0", "--echo");
    assert.equal(await exchange({ port }, "one\n"), "one\n");
    assert.equal(await exchange({ port }, "two\n"), "two\n");
    await line.stderr.sees(/Client 2: closed; received 4 bytes, sent 4 bytes/);
    line.interrupt();
    const { code, stdout, stderr } = await line.result;
    assert.deepEqual([code, stdout], [0, "one\ntwo\n"]);
    assert.match(stderr, /^Listening on 127\.0\.0\.1 port \d+\nClient 1 has come from 127\.0\.0\.1 port \d+\n/);
  });

  it("tells by number who has sent what, in hexadecimal numbers and as JSON", async (t) => {
    const hex = await start(t, "listen", LOCALHOST, "0", "--hex", "--once");
    await exchange({ port: hex.port }, "hi\u001b");
    assert.match((await hex.line.result).stdout, /^1< 00000000 {2}68 69 1b .*\|hi\.\|\n$/);
    const json = await start(t, "listen", LOCALHOST, "0", "--json", "--once");
    await exchange({ port: json.port }, "hi");
    const told = events((await json.line.result).stdout);
    assert.deepEqual(
      told.map(({ event, client, text }) => [event, client, text]),
      [
        ["listening", undefined, undefined],
        ["accepted", 1, undefined],
        ["received", 1, "hi"],
        ["closed", 1, undefined],
      ],
    );
  });

  it("echoes frames and lines as messages", async (t) => {
    const frames = await start(t, "listen", LOCALHOST, "0", "--frames", "2", "--echo", "--once");
    assert.equal(await exchange({ port: frames.port }, "\0\x01a\0\x02bc"), "\0\x01a\0\x02bc");
    assert.equal((await frames.line.result).stdout, "a\nbc\n");
    const lines = await start(t, "listen", LOCALHOST, "0", "--lines", "--echo", "--once");
    assert.equal(await exchange({ port: lines.port }, "a\nb"), "a\nb");
  });

  it("sends a file to each client, however large", async (t) => {
    const file = join(temporaryFolder(t), "file");
    const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));
    writeFileSync(file, content);
    const { port } = await start(t, "listen", LOCALHOST, "0", "--file", file);
    assert.ok(Buffer.from(await exchange({ port }, ""), "latin1").equals(content));
    // The end comes by itself, to a client that goes on.
    const socket = await AsyncSocket.connect({ host: LOCALHOST, port, allowHalfOpen: true });
    t.after(() => socket.disconnect());
    let length = 0;
    for await (const part of socket) length += part.length;
    assert.equal(length, content.length);
  });

  it("takes a PROXY header, and tells of a client that sends none", async (t) => {
    const { line, port } = await start(t, "listen", LOCALHOST, "0", "--proxy-protocol", "--json");
    const source = { family: "IPv4", address: "192.0.2.1", port: 5 } as const;
    await exchange({ port, proxyProtocol: { version: 2, source } }, "hi");
    await line.stdout.sees('"remote":{"family":"IPv4","address":"192.0.2.1","port":5}');
    await exchange({ port }, "GET / HTTP/1.0\r\n\r\n").catch(() => undefined);
    await line.stdout.sees("ERR_ASYNCSOCKET_PROXY_PROTOCOL");
  });

  it("speaks TLS with a certificate of its own, or with one that is given", async (t) => {
    const made = await start(t, "listen", `tls://${LOCALHOST}:0`, "--echo");
    assert.equal(await exchange({ port: made.port, tls: { rejectUnauthorized: false } }, "hi"), "hi");
    await made.line.stderr.sees("Client 1: TLSv1.3, TLS_");
    await assert.rejects(exchange({ port: made.port, tls: true }, "hi"), { code: "ERR_ASYNCSOCKET_TLS" });
    const authority = await FiledAuthority.create(t);
    const { keyFile, certFile } = await authority.issue("localhost");
    const given = await start(t, "listen", LOCALHOST, "0", "--tls", "--key", keyFile, "--cert", certFile, "--echo");
    const tls = { ca: authority.cert, servername: "localhost" };
    assert.equal(await exchange({ port: given.port, tls }, "hi"), "hi");
  });

  it("fails with 3 where it cannot listen, and with 2 for wrong arguments", async (t) => {
    const taken = await AsyncSocket.listen({ host: LOCALHOST, port: 0 });
    t.after(() => taken.disconnect());
    assert.equal((await CommandLine.run(["listen", LOCALHOST, String(portOf(taken))])).code, 3);
    const wrong = [
      [],
      ["0", "--echo", "--file", "x"],
      ["0", "--file", "/no/such"],
      ["0", "--tls", "--cert", "/no/such"],
    ];
    for (const args of wrong) assert.equal((await CommandLine.run(["listen", ...args])).code, 2, args.join(" "));
  });
});

describe("a certificate that is made up", () => {
  it("is for the names that it was made for, and signed by its own key", () => {
    const { key, cert } = selfSigned(["a.test", "*.b.test", "192.0.2.1", "::1", "2001:db8::5:6"]);
    const certificate = new X509Certificate(cert);
    assert.ok(certificate.verify(certificate.publicKey));
    for (const name of ["a.test", "x.b.test"]) assert.notEqual(certificate.checkHost(name), undefined);
    assert.equal(certificate.checkHost("c.test"), undefined);
    for (const address of ["192.0.2.1", "::1", "2001:db8::5:6"])
      assert.notEqual(certificate.checkIP(address), undefined);
    assert.ok(Date.parse(certificate.validFrom) < Date.now() && Date.parse(certificate.validTo) > Date.now());
    assert.match(key, /^-----BEGIN PRIVATE KEY-----\n/);
  });

  it("is one in the eyes of OpenSSL", needs("openssl", "openssl"), async (t) => {
    const file = join(temporaryFolder(t), "cert.pem");
    writeFileSync(file, selfSigned(["localhost"]).cert);
    const check = new Program(t, "openssl", [
      "verify",
      "-x509_strict",
      "-CAfile",
      file,
      "-verify_hostname",
      "localhost",
      file,
    ]);
    assert.deepEqual(await check.ended(), { code: 0, stdout: `${file}: OK\n`, stderr: "" });
  });
});

describe("asyncsocket relay", () => {
  it("puts TLS on, and takes it off", async (t) => {
    const echo = await start(t, "listen", LOCALHOST, "0", "--echo");
    const off = await start(t, "relay", `tls://${LOCALHOST}:0`, `${LOCALHOST}:${echo.port}`, "--json");
    const on = await start(t, "relay", `${LOCALHOST}:0`, `tls://${LOCALHOST}:${off.port}`, "-k");
    const data = "x".repeat(200_000);
    assert.equal(await exchange({ port: on.port }, data), data);
    await on.line.stderr.sees("Client 1: finished; 200000 bytes to the server, 200000 bytes back");
    await off.line.stdout.sees('"closed"');
    on.line.interrupt();
    assert.equal((await on.line.result).code, 0);
    const [listening, accepted, closed] = events(off.line.stdout.text);
    assert.deepEqual([listening?.["event"], accepted?.["client"], closed?.["ended"]], ["listening", 1, "finished"]);
  });

  it("tells the server who its clients are, and closes a client whose server is not there", async (t) => {
    const behind = await start(t, "listen", LOCALHOST, "0", "--proxy-protocol", "--json");
    const relay = await start(t, "relay", `${LOCALHOST}:0`, `${LOCALHOST}:${behind.port}`, "--proxy-header", "1");
    const client = await AsyncSocket.connect({ host: LOCALHOST, port: relay.port });
    const { local } = client;
    assert.ok(local?.family === "IPv4");
    await behind.line.stdout.sees(`"proxied":{"local":{"family":"IPv4","address":"127.0.0.1","port":${relay.port}}`);
    await behind.line.stdout.sees(`"port":${local.port}}`);
    await client.disconnect();
    // A PROXY header of the client's is believed, if that is asked for, and passed on.
    const believer = await start(
      t,
      "relay",
      `${LOCALHOST}:0`,
      `${LOCALHOST}:${behind.port}`,
      "--proxy-header",
      "2",
      "--proxy-protocol",
    );
    const source = { family: "IPv4", address: "192.0.2.9", port: 9 } as const;
    await exchange(
      { port: believer.port, proxyProtocol: { version: 1, source, destination: { ...source, port: 8 } } },
      "hi",
    );
    await behind.line.stdout.sees('"remote":{"family":"IPv4","address":"192.0.2.9","port":9}');
    behind.line.interrupt();
    await behind.line.result;
    await exchange({ port: relay.port }, "hi").catch(() => undefined);
    await relay.line.stderr.sees(/Client 2: failed on the side of the server; .*Cannot connect/);
  });

  it("ends with 2 for arguments that are wrong, at the first client where it cannot know earlier", async (t) => {
    for (const args of [[], ["0"], ["0", "localhost"], ["0", "a:1", "c"], ["0", "a:1", "--ca", "/no/such"]]) {
      assert.equal((await CommandLine.run(["relay", ...args])).code, 2, args.join(" "));
    }
    const { line, port } = await start(t, "relay", `${LOCALHOST}:0`, "a:1", "--proxy", "nothing");
    await exchange({ port }, "hi").catch(() => undefined);
    const { code, stderr } = await line.result;
    assert.equal(code, 2);
    assert.match(stderr, /Expected proxy/);
  });
});
