/** The mail client, against Exim, and against servers that play tricks. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { EXIM_NAME, needsExim, startExim } from "../support/exim.js";
import { Program } from "../support/programs.js";

const ENVELOPE = ["--from", "me@example.org", "--to", "you@example.net"];

/** Runs the client to its end. */
function send(t: TestContext, port: number, mail: Buffer | string, ...args: string[]): ReturnType<Program["ended"]> {
  const client = Program.example(t, "smtp-client", ["--host", "127.0.0.1", "--port", String(port), ...args]);
  client.type(mail);
  client.endInput();
  return client.ended();
}

/** Of any bytes but those that end a line, and zero, which mail may not have. */
function randomLine(): Buffer {
  const bytes = randomBytes(750);
  for (const [i, byte] of bytes.entries()) if (byte === 0 || byte === 10 || byte === 13) bytes[i] = 46;
  return Buffer.concat([bytes, Buffer.from("\r\n")]);
}

describe("the mail client, against Exim", needsExim(), () => {
  const trust = (caFile: string): string[] => ["--ca", caFile, "--servername", EXIM_NAME];

  it("sends a mail by STARTTLS, which arrives byte for byte", async (t) => {
    const { server, port, caFile, mails } = await startExim(t);
    const mail = "Subject: Grüße\r\n\r\n.one\r\n..two\r\n.\r\n\r\nthe end\r\n";
    const { code, stdout, stderr } = await send(t, port, mail, ...ENVELOPE, ...trust(caFile));
    assert.match(stderr, /^Encrypted by TLSv1\.[23], /);
    assert.match(stdout, /^OK id=/);
    assert.equal(code, 0);
    await server.sees(/P=esmtps/);
    await server.sees(/closed by QUIT/);
    await server.sees(/Completed/);
    assert.deepEqual(mails().map(String), [mail]);
  });

  it("sends a mail of a mebibyte, of any bytes but line ends", async (t) => {
    const { server, port, caFile, mails } = await startExim(t);
    const mail = Buffer.concat([Buffer.from("Subject: much\r\n\r\n"), ...Array.from({ length: 1400 }, randomLine)]);
    assert.ok(mail.length > 2 ** 20);
    const { code, stderr } = await send(t, port, mail, ...ENVELOPE, ...trust(caFile));
    assert.equal(code, 0, stderr);
    await server.sees(/Completed/);
    const [arrived = Buffer.alloc(0)] = mails();
    assert.ok(arrived.equals(mail), `${arrived.length} of ${mail.length} bytes`);
  });

  it("ends lines as mail does, however they ended before", async (t) => {
    const { server, port, caFile, mails } = await startExim(t);
    await send(t, port, "Subject: lines\n\n.one\r\n\n.two\rthree", ...ENVELOPE, ...trust(caFile));
    await server.sees(/Completed/);
    assert.deepEqual(mails().map(String), ["Subject: lines\r\n\r\n.one\r\n\r\n.two\r\nthree\r\n"]);
  });

  it("says what the server refuses, and sends nothing", async (t) => {
    const { server, port, caFile, mails } = await startExim(t);
    const inTheClear = await send(t, port, "Hello\n", ...ENVELOPE, "--starttls", "no");
    assert.match(inTheClear.stderr, /^RCPT TO:<you@example\.net>: the server says 550 5\.7\.0 Only by TLS\n/);
    assert.equal(inTheClear.code, 1);
    const elsewhere = await send(t, port, "Hello\n", ...trust(caFile), "--to", "you@example.com");
    assert.match(elsewhere.stderr, /the server says 550 5\.7\.1 Not here\n/);
    assert.equal(elsewhere.code, 1);
    const tooLarge = await send(t, port, Buffer.alloc(5 * 2 ** 20, "x\n"), ...ENVELOPE, ...trust(caFile));
    assert.match(tooLarge.stderr, /^MAIL FROM:<me@example\.org> SIZE=\d+: the server says 552 /m);
    assert.equal(tooLarge.code, 1);
    await server.stop();
    assert.deepEqual(mails(), []);
  });

  it("does not speak to a server that cannot prove its name", async (t) => {
    const { port, caFile } = await startExim(t);
    const wrongName = await send(t, port, "Hello\n", ...ENVELOPE, "--ca", caFile);
    assert.match(wrongName.stderr, /not to be trusted: .*127\.0\.0\.1/);
    assert.equal(wrongName.code, 1);
    const unknown = await send(t, port, "Hello\n", ...ENVELOPE, "--servername", EXIM_NAME);
    assert.match(unknown.stderr, /not to be trusted: .*not known here|not to be trusted: .*issuer/);
    assert.equal(unknown.code, 1);
  });
});

describe("the mail client, against servers that play tricks", () => {
  /** Answers the first commands by these replies, and hears the rest. */
  async function serve(t: TestContext, ...replies: string[]): Promise<{ port: number; heard: () => string }> {
    let heard = "";
    const listener = await AsyncSocket.listen({
      host: "127.0.0.1",
      port: 0,
      delegate: {
        didAccept(_listener, socket) {
          for (const reply of replies.slice(1)) {
            socket.readUntil("\r\n").then(
              (line) => {
                heard += String(line);
                socket.write(reply);
              },
              () => undefined,
            );
          }
          socket.read({ tag: "rest" });
          socket.write(replies[0] ?? "");
        },
        didRead(socket, data, tag) {
          if (tag !== "rest") return;
          heard += data.toString("latin1");
          socket.disconnectAfterWriting();
        },
      },
    });
    t.after(() => listener.disconnect());
    if (listener.local === undefined || listener.local.family === "unix") throw new Error("Expected a port");
    return { port: listener.local.port, heard: () => heard };
  }

  it("sends no mail where STARTTLS is kept from it", async (t) => {
    const { port, heard } = await serve(t, "220 me\r\n", "250-me\r\n250 SIZE 100\r\n");
    const { code, stderr } = await send(t, port, "Hello\n", ...ENVELOPE);
    assert.match(stderr, /does not offer STARTTLS: no mail was sent/);
    assert.equal(code, 1);
    assert.match(heard(), /^EHLO .*\r\nQUIT\r\n$/);
  });

  it("believes no reply that came behind the one to STARTTLS in the clear", async (t) => {
    const injected = "220 Go ahead\r\n250-evil\r\n250 AUTH PLAIN\r\n";
    const { port, heard } = await serve(t, "220 me\r\n", "250-me\r\n250 STARTTLS\r\n", injected);
    const { code, stderr } = await send(t, port, "Hello\n", ...ENVELOPE);
    assert.match(stderr, /handshake/i);
    assert.equal(code, 1);
    assert.doesNotMatch(heard(), /MAIL/);
  });

  it("reads replies of several lines, and tells all of them", async (t) => {
    const { port } = await serve(t, "220-a\r\n220-b\r\n220 c\r\n", "550-Go\r\n550-away,\r\n550 please\r\n");
    const { code, stderr } = await send(t, port, "Hello\n", ...ENVELOPE);
    assert.match(stderr, /^EHLO .*: the server says 550 Go \/ away, \/ please\n$/);
    assert.equal(code, 1);
  });

  it("says what is wrong with a server that speaks otherwise, too much, or no more", async (t) => {
    for (const [replies, complaint] of [
      [["SSH-2.0-OpenSSH\r\n"], /^Welcome: Expected an SMTP reply, got "SSH-2\.0-OpenSSH"\n$/],
      [["220-a\r\n250 b\r\n"], /^Welcome: Expected an SMTP reply, got "250 b"\n$/],
      [["220-a\r\n".repeat(200)], /^Welcome: Expected an SMTP reply of at most 128 lines, got more\n$/],
      [["220 " + "x".repeat(5000)], /^Welcome: .*4096/],
      [["220 a\r\n"], /^EHLO .*: .*end of the stream/],
    ] as const) {
      const { port } = await serve(t, ...replies);
      const { code, stderr } = await send(t, port, "Hello\n", ...ENVELOPE);
      assert.match(stderr, complaint);
      assert.equal(code, 1);
    }
  });

  it("says how it is used when it is used otherwise", async (t) => {
    for (const args of [
      ["--to", "a@b\r\nRSET"],
      ["--to", "a@b", "--from", "<>"],
      ["--from", "a@b"],
      ["--to", "a@b", "--starttls", "perhaps"],
      ["--port"],
      ["--to", "a@b", "--unknown"],
    ]) {
      const { code, stderr } = await Program.example(t, "smtp-client", args).ended();
      assert.match(stderr, /^Usage: /m);
      assert.equal(code, 2);
    }
  });

  it("says what is wrong when nobody listens", async (t) => {
    const { code, stderr } = await send(t, 1, "Hello\n", ...ENVELOPE);
    assert.match(stderr, /Cannot connect to 127\.0\.0\.1 port 1/);
    assert.equal(code, 1);
  });
});
