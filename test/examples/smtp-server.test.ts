/** The mail server, as curl, swaks and openssl find it, and as a client that plays tricks does. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { FiledAuthority } from "../support/key-files.js";
import { needs, Program } from "../support/programs.js";

const MAIL = "Subject: dots\r\n\r\n.one\r\n..two\r\nGrüße\r\n.\t\r\n";

interface MailServer {
  server: Program;
  port: number;
  authority: FiledAuthority;
}

async function start(t: TestContext, ...options: string[]): Promise<{ server: Program; port: number }> {
  const server = Program.example(t, "smtp-server", ["--host", "127.0.0.1", ...options]);
  return { server, port: Number((await server.sees(/on port (\d+)/))[1]) };
}

async function startSecure(t: TestContext, ...options: string[]): Promise<MailServer> {
  const authority = await FiledAuthority.create(t);
  const { keyFile, certFile } = await authority.issue("localhost", "127.0.0.1");
  return { ...(await start(t, "--key", keyFile, "--cert", certFile, ...options)), authority };
}

function mailFile({ folder }: FiledAuthority, content: string | Buffer = MAIL): string {
  const file = join(folder, "mail.txt");
  writeFileSync(file, content);
  return file;
}

/** The server's line about a mail. */
function line(content: string | Buffer, way: "TLS" | "clear", to = "you@example.org"): string {
  const checksum = createHash("sha256").update(content).digest("hex");
  return `from <me@example.org> to <${to}>, ${Buffer.byteLength(content)} bytes, ${way}, SHA-256 ${checksum}`;
}

/** The server has taken these mails, and no others before. */
async function took(server: Program, ...lines: string[]): Promise<void> {
  const [seen] = await server.sees(new RegExp(`(?:^from .*\n){${lines.length}}`, "m"));
  assert.deepEqual(seen.trimEnd().split("\n"), lines);
}

describe("the mail server, spoken to by curl", needs("curl", "curl"), () => {
  const curl = (t: TestContext, port: number, ...args: string[]): ReturnType<Program["ended"]> => {
    const envelope = ["--mail-from", "me@example.org", "--mail-rcpt", "you@example.org"];
    const options = ["-sS", "--noproxy", "*", ...envelope, ...args];
    return new Program(t, "curl", [...options, `smtp://127.0.0.1:${port}`]).ended();
  };

  it("takes a mail by STARTTLS as it is", async (t) => {
    const { server, port, authority } = await startSecure(t, "--require-tls");
    const file = mailFile(authority);
    const { code, stderr } = await curl(t, port, "--ssl-reqd", "--cacert", authority.caFile, "-T", file);
    assert.equal(stderr, "");
    assert.equal(code, 0);
    await took(server, line(MAIL, "TLS"));
  });

  it("takes a mail of a mebibyte, full of dots, over TLS 1.2 and 1.3", async (t) => {
    const { server, port, authority } = await startSecure(t);
    const expected: string[] = [];
    for (const version of ["1.2", "1.3"]) {
      const lines = Array.from(
        { length: 20_000 },
        (_, i) => `${".".repeat(i % 5)}${version} line ${i} of a large mail`,
      );
      const mail = `Subject: ${version}\r\n\r\n${lines.join("\r\n")}\r\n${"x".repeat(2 ** 16 - 2)}\r\n`.repeat(2);
      assert.ok(mail.length > 2 ** 20);
      const only = ["--tlsv" + version, "--tls-max", version];
      const options = ["--ssl-reqd", "--cacert", authority.caFile, ...only, "-T", mailFile(authority, mail)];
      const { code, stderr } = await curl(t, port, ...options);
      assert.equal(stderr, "");
      assert.equal(code, 0);
      expected.push(line(mail, "TLS"));
      await took(server, ...expected);
    }
  });

  it("shows a certificate that others do not trust", async (t) => {
    const { port, authority } = await startSecure(t);
    const { code, stderr } = await curl(t, port, "--ssl-reqd", "-T", mailFile(authority));
    assert.equal(code, 60, stderr); // curl: peer certificate cannot be authenticated
  });

  it("takes a mail in the clear, but not where TLS is required", async (t) => {
    const { server, port } = await start(t);
    const strict = await startSecure(t, "--require-tls");
    const file = mailFile(strict.authority);
    assert.equal((await curl(t, port, "-T", file)).code, 0);
    await took(server, line(MAIL, "clear"));
    const { code, stderr } = await curl(t, strict.port, "-T", file);
    assert.equal(code, 55);
    assert.match(stderr, /530/);
  });

  it("does not begin with a mail that is too large", async (t) => {
    const { port } = await start(t, "--max-size", "50");
    const authority = await FiledAuthority.create(t);
    const told = await curl(t, port, "-T", mailFile(authority, "x".repeat(98) + "\r\n"));
    assert.match(told.stderr, /552/);
    assert.notEqual(told.code, 0);
  });
});

// swaks adds an empty line to each mail.
describe("the mail server, spoken to by swaks", needs("swaks", "swaks libnet-ssleay-perl"), () => {
  const swaks = (t: TestContext, port: number, ...args: string[]): ReturnType<Program["ended"]> => {
    const envelope = ["--from", "me@example.org", "--to", "you@example.org,her@example.org"];
    return new Program(t, "swaks", ["--server", `127.0.0.1:${port}`, ...envelope, ...args]).ended();
  };

  it("takes a mail by STARTTLS for two", async (t) => {
    const { server, port, authority } = await startSecure(t, "--require-tls");
    const trust = ["--tls-verify", "--tls-ca-path", authority.caFile];
    const { code, stdout } = await swaks(t, port, "--tls", ...trust, "--data", `@${mailFile(authority)}`);
    assert.equal(code, 0, stdout);
    await took(server, line(`${MAIL}\r\n`, "TLS", "you@example.org>, <her@example.org"));
  });

  it("takes a mail that came in the pipeline", async (t) => {
    const { server, port, authority } = await startSecure(t);
    const { code, stdout } = await swaks(t, port, "--pipeline", "--tls", "--data", `@${mailFile(authority)}`);
    assert.equal(code, 0, stdout);
    await took(server, line(`${MAIL}\r\n`, "TLS", "you@example.org>, <her@example.org"));
  });

  it("says that it has no STARTTLS where it has no certificate", async (t) => {
    const { port } = await start(t);
    const { code, stdout } = await swaks(t, port, "--tls", "--body", "Hello");
    assert.equal(code, 29, stdout); // swaks: TLS was asked for, and is not there
    assert.doesNotMatch(stdout, /STARTTLS\n/);
  });
});

describe("the mail server, spoken to by openssl s_client", needs("openssl", "openssl"), () => {
  it("is secured by STARTTLS, with the certificate it was given", async (t) => {
    const { server, port, authority } = await startSecure(t, "--require-tls");
    const trust = ["-CAfile", authority.caFile, "-verify_return_error", "-verify_hostname", "localhost"];
    const where = ["-connect", `127.0.0.1:${port}`, "-starttls", "smtp"];
    const client = new Program(t, "openssl", ["s_client", ...where, ...trust, "-crlf", "-ign_eof"]);
    await client.sees(/^250 STARTTLS$/m); // s_client shows the last reply before the handshake
    await client.sees(/Verify return code: 0 \(ok\)/);
    client.type("EHLO test\nMAIL FROM:<me@example.org>\nRCPT TO:<you@example.org>\nDATA\n");
    await client.sees(/354 Go ahead/);
    client.type("Hello\n.\nQUIT\n");
    const { stdout } = await client.ended();
    assert.match(stdout, /250 SIZE \d+/); // and STARTTLS no more
    assert.match(stdout, /221 .*Bye/);
    await took(server, line("Hello\r\n", "TLS"));
  });
});

describe("the mail server, spoken to by hand", () => {
  async function connect(port: number): Promise<AsyncSocket> {
    const socket = await AsyncSocket.connect({ host: "127.0.0.1", port, timeout: 30_000, limits: { idleMs: 30_000 } });
    assert.match(await socket.readLine(), /^220 /);
    return socket;
  }

  /** The codes of as many lines of replies. */
  async function codes(socket: AsyncSocket, count: number): Promise<string[]> {
    const found: string[] = [];
    while (found.length < count) found.push((await socket.readLine()).slice(0, 4));
    return found;
  }

  it("obeys nothing that came behind STARTTLS in the clear", async (t) => {
    const { server, port } = await startSecure(t);
    await using socket = await connect(port);
    socket.write(
      "EHLO thief\r\nSTARTTLS\r\nMAIL FROM:<thief@example.org>\r\nRCPT TO:<you@example.org>\r\nDATA\r\nLoot\r\n.\r\n",
    );
    assert.deepEqual(await codes(socket, 6), ["250-", "250-", "250-", "250-", "250 ", "220 "]);
    const rest = await socket.closed;
    assert.doesNotMatch(rest.unread.toString("latin1"), /^\d\d\d[ -]/m, "at most an alert of TLS, and no reply");
    await server.sees(/^Client \d+: .*handshake.*$/m);
    await server.stop();
    assert.doesNotMatch((await server.ended()).stdout, /from </);
  });

  it("has forgotten behind STARTTLS what was said before it", async (t) => {
    const { port, authority } = await startSecure(t);
    await using socket = await connect(port);
    socket.write("EHLO test\r\nMAIL FROM:<me@example.org>\r\nRCPT TO:<you@example.org>\r\nSTARTTLS\r\n");
    assert.deepEqual((await codes(socket, 8)).slice(5), ["250 ", "250 ", "220 "]);
    const { version } = await socket.startTLS({ ca: authority.cert });
    assert.equal(version, "TLSv1.3");
    socket.write("RCPT TO:<you@example.org>\r\nMAIL FROM:<me@example.org>\r\nSTARTTLS\r\nNOOP\r\nDATA\r\n");
    assert.deepEqual(await codes(socket, 5), ["503 ", "503 ", "503 ", "250 ", "503 "]);
  });

  it("takes two mails in the pipeline, and forgets one by RSET", async (t) => {
    const { server, port } = await start(t);
    await using socket = await connect(port);
    const envelope = "MAIL FROM:<me@example.org>\r\nRCPT TO:<you@example.org>\r\n";
    socket.write(`HELO test\r\n${envelope}RSET\r\n${envelope}DATA\r\nOne\r\n.\r\n${envelope}DATA\r\n.\r\nQUIT\r\n`);
    assert.equal((await codes(socket, 13)).join(""), "250 250 250 250 250 250 354 250 250 250 354 250 221 ");
    await took(server, line("One\r\n", "clear"), line("", "clear"));
    assert.equal((await socket.closed).error, null);
  });

  it("takes a dot between bare line feeds for a part of the mail", async (t) => {
    const { server, port } = await start(t);
    await using socket = await connect(port);
    socket.write("HELO test\r\nMAIL FROM:<me@example.org>\r\nRCPT TO:<you@example.org>\r\nDATA\r\n");
    const smuggled = "One\n.\nMAIL FROM:<thief@example.org>\n\r.\r\n";
    socket.write(`${smuggled}.\r\nQUIT\r\n`);
    assert.deepEqual(await codes(socket, 6), ["250 ", "250 ", "250 ", "354 ", "250 ", "221 "]);
    await took(server, line(smuggled, "clear"));
  });

  it("tells what it does not understand, and goes on", async (t) => {
    const { port } = await start(t);
    await using socket = await connect(port);
    socket.write(
      "MAIL FROM:<a@b>\r\nhelo test\r\nconstructor\r\n\r\nMAIL me\r\nmail from:<>\r\nRCPT TO:<>\r\nDATA\r\nVRFY x\r\n",
    );
    assert.equal((await codes(socket, 9)).join(""), "503 250 500 500 501 250 501 503 252 ");
    socket.write("STARTTLS\r\nNOOP\r\n");
    assert.deepEqual(await codes(socket, 2), ["454 ", "250 "]);
  });

  it("drops a mail that turns out too large, and goes on", async (t) => {
    const { port } = await start(t, "--max-size", "100");
    await using socket = await connect(port);
    socket.write("HELO test\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
    socket.write(`${"A line that is repeated\r\n".repeat(100_000)}.\r\nNOOP\r\n`);
    assert.deepEqual(await codes(socket, 6), ["250 ", "250 ", "250 ", "354 ", "552 ", "250 "]);
  });

  it("sends away who says too long a line, or nothing", async (t) => {
    const { port } = await start(t, "--timeout", "500");
    await using silent = await connect(port);
    await using verbose = await connect(port);
    verbose.write(`NOOP ${"x".repeat(4096)}`);
    assert.match(await verbose.readLine(), /^500 .*too long$/);
    assert.match(await silent.readLine(), /^421 .*too long$/);
    for (const socket of [silent, verbose]) assert.equal((await socket.closed).by, "remote");
  });

  it("says how it is used when it is used otherwise", async (t) => {
    const { code, stderr } = await Program.example(t, "smtp-server", ["--require-tls"]).ended();
    assert.match(stderr, /^Usage: /);
    assert.equal(code, 2);
  });
});
