/** STARTTLS in every protocol, with servers that agree, refuse, and say something else. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { CommandLine } from "../support/cli.js";
import { FiledAuthority } from "../support/key-files.js";
import { LOCALHOST } from "../connect/silent-program.js";
import { portOf } from "../support/transports.js";

/** What the server says, as bytes, and what it waits for, as a pattern. */
type Script = readonly (string | RegExp)[];

interface Dialog {
  readonly agrees: Script;
  readonly refuses: Script;
  /** What is told of the refusal. */
  readonly says: RegExp;
}

const LDAP_REQUEST = /^\x30\x1d\x02\x01\x01\x77\x18\x80\x161\.3\.6\.1\.4\.1\.1466\.20037$/;
/** An extended response as message 1, with empty names behind the result code. */
const ldapResponse = (code: string): string => `\x30\x0c\x02\x01\x01\x78\x07\x0a\x01${code}\x04\x00\x04\x00`;
const POSTGRES_REQUEST = /^\x00\x00\x00\x08\x04\xd2\x16\x2f$/;
const features = (inside: string): string =>
  `<?xml version='1.0'?><stream:stream version='1.0'><stream:features>${inside}</stream:features>`;
const XMPP_TLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

const DIALOGS: Readonly<Record<string, Dialog>> = {
  smtp: {
    agrees: [
      "220-hello\r\n220 there\r\n",
      /^EHLO .+\r\n$/,
      "250-me\r\n250-STARTTLS\r\n250 HELP\r\n",
      /^STARTTLS\r\n$/,
      "220 go\r\n",
    ],
    refuses: ["220 hello\r\n", /^EHLO .+\r\n$/, "250-me\r\n250 \u001b[31mHELP\r\n"],
    says: /^The server does not offer STARTTLS; it said "250 \\x1b\[31mHELP"\n/,
  },
  imap: {
    agrees: ["* OK hello\r\n", /^a1 STARTTLS\r\n$/, "* CAPABILITY IMAP4\r\na1 OK go\r\n"],
    refuses: ["* OK hello\r\n", /^a1 STARTTLS\r\n$/, "a1 BAD no\r\n"],
    says: /^Expected "a1 OK" from the server, got "a1 BAD no"\n/,
  },
  pop3: {
    agrees: ["+OK hello\r\n", /^STLS\r\n$/, "+OK go\r\n"],
    refuses: ["+OK hello\r\n", /^STLS\r\n$/, "-ERR no\r\n"],
    says: /^Expected "\+OK" from the server, got "-ERR no"\n/,
  },
  xmpp: {
    agrees: [
      /to='localhost'.*>$/,
      features(XMPP_TLS),
      /^<starttls [^>]*\/>$/,
      "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    ],
    refuses: [/>$/, features("")],
    says: /^The server does not offer STARTTLS/,
  },
  ldap: {
    agrees: [LDAP_REQUEST, ldapResponse("\x00")],
    refuses: [LDAP_REQUEST, ldapResponse("\x02")],
    says: /^Expected "success" from the server, got "result code 2"\n/,
  },
  postgres: {
    agrees: [POSTGRES_REQUEST, "S"],
    refuses: [POSTGRES_REQUEST, "N"],
    says: /^The server does not offer SSL/,
  },
};

/** Plays the script, one byte at a time, for one client; `then` goes on behind it. */
async function play(socket: AsyncSocket, script: Script): Promise<void> {
  for (const step of script) {
    if (typeof step === "string") for (const byte of Buffer.from(step, "latin1")) socket.write(Buffer.from([byte]));
    else {
      let heard = "";
      while (!step.test(heard)) heard += await socket.read({ encoding: "latin1", timeout: 30_000 });
    }
  }
}

async function start(t: TestContext, script: Script, then: (socket: AsyncSocket) => unknown): Promise<number> {
  const delegate = {
    didAccept: (_: AsyncSocket, socket: AsyncSocket): void =>
      void play(socket, script)
        .then(() => then(socket))
        .catch(() => socket.disconnect()),
  };
  const listener = await AsyncSocket.listen({ host: LOCALHOST, port: 0, delegate });
  t.after(() => listener.shutdown({ graceMs: 0 }));
  return portOf(listener);
}

describe("asyncsocket connect --starttls", () => {
  it("ends with 130 when a signal comes while the server says nothing", async (t) => {
    const port = await start(t, [/^EHLO/], () => undefined);
    const line = new CommandLine(["connect", LOCALHOST, String(port), "--starttls", "smtp"]);
    line.interrupt();
    const { code, stderr } = await line.result;
    assert.deepEqual([code, stderr], [130, ""]);
    const silent = await start(t, [], () => undefined);
    const later = new CommandLine(["connect", LOCALHOST, String(silent), "--starttls", "pop3", "--idle", "60000"]);
    await new Promise((resolve) => setImmediate(resolve));
    later.interrupt();
    assert.equal((await later.result).code, 130);
  });

  for (const [protocol, { agrees, refuses, says }] of Object.entries(DIALOGS)) {
    it(`${protocol}: speaks in the clear up to the answer, and TLS behind it`, async (t) => {
      const authority = await FiledAuthority.create(t);
      const identity = await authority.identity("localhost");
      const port = await start(t, agrees, async (socket) => {
        socket.startTLS(identity);
        socket.write(await socket.readLine());
        socket.disconnectAfterWriting();
      });
      const args = ["connect", LOCALHOST, String(port), "--starttls", protocol, "--ca", authority.caFile];
      const { code, stdout, stderr } = await CommandLine.run([...args, "--servername", "localhost"], "secret\n");
      assert.deepEqual([code, stdout], [0, "secret"], stderr);
      assert.match(stderr, /\nTLSv1\.3, .*the peer is verified\n/);
    });

    it(`${protocol}: ends with 7 where the server refuses`, async (t) => {
      const port = await start(t, refuses, () => undefined);
      const { code, stdout, stderr } = await CommandLine.run(
        ["connect", LOCALHOST, String(port), "--starttls", protocol],
        "secret\n",
      );
      assert.deepEqual([code, stdout], [7, ""]);
      assert.match(stderr, says);
    });

    it(`${protocol}: ends with an error where the server says nothing more`, async (t) => {
      const port = await start(t, [], (socket) => socket.disconnect());
      const { code } = await CommandLine.run(["connect", LOCALHOST, String(port), "--starttls", protocol], "secret\n");
      assert.equal(code, 1);
    });
  }
});
