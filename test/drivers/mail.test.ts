/** nodemailer and smtp-server over our streams, each against the other over the runtime's own sockets, and both. */

import assert from "node:assert/strict";
import type { Server } from "node:net";
import type { Readable } from "node:stream";
import { it, type TestContext } from "node:test";
import { acceptOver, connectOver, describeDriver, driver, HOST, type Base, OURS } from "../support/drivers.js";
import { Authority } from "../support/certificates.js";
import { pattern } from "../support/delegates.js";

interface Nodemailer {
  readonly createTransport: (options: object) => {
    sendMail(mail: object): Promise<{ accepted: string[]; response: string }>;
    close(): void;
  };
}

interface Session {
  readonly remoteAddress: string;
  readonly secure: boolean;
  readonly envelope: { mailFrom: { address: string }; rcptTo: { address: string }[] };
}

interface SmtpServer {
  readonly SMTPServer: new (options: object) => {
    readonly server: Server;
    on(event: string, listener: (error: Error) => void): void;
    close(done: () => void): void;
  };
}

const nodemailer = await driver<{ default: Nodemailer }>("nodemailer");
const smtpServer = await driver<SmtpServer>("smtp-server");
const both = nodemailer && smtpServer && { nodemailer: nodemailer.default, ...smtpServer };
const authority = await Authority.create();
const identity = await authority.issue(["localhost", HOST]);
const BULK = pattern(1_000_000);

async function textOf(stream: Readable): Promise<string> {
  let text = "";
  for await (const data of stream) text += String(data);
  return text;
}

describeDriver("nodemailer and smtp-server", both, ({ nodemailer: mailer, SMTPServer }) => {
  /** Sends mails, and gives what both sides saw. */
  async function exchange(t: TestContext, client: Base, serverBase: Base, isSecure: boolean): Promise<unknown[]> {
    const seen: unknown[] = [];
    const onData = (stream: Readable, session: Session, done: (error?: Error | null) => void): void => {
      void textOf(stream).then((mail) => {
        const body = mail.slice(mail.indexOf("\r\n\r\n"));
        const { remoteAddress, secure, envelope } = session;
        seen.push({ remoteAddress, secure, to: envelope.rcptTo.map(({ address }) => address), length: body.length });
        if (envelope.mailFrom.address === "cut@example.org") for (const socket of connections) socket.destroy();
        else done();
      });
    };
    const options = { authOptional: true, ...identity, disabledCommands: isSecure ? [] : ["STARTTLS"], onData };
    const smtp = new SMTPServer(options);
    smtp.on("error", () => undefined);
    const connections = new Set<{ destroy(): void }>();
    smtp.server.on("connection", (socket) => connections.add(socket));
    const port = await acceptOver(t, serverBase, smtp.server);
    const { restore } = connectOver(t, client);
    const tls = { ca: authority.cert, servername: "localhost" };
    const transport = mailer.createTransport({
      host: HOST,
      port,
      requireTLS: isSecure,
      pool: true,
      maxConnections: 1,
      tls,
    });
    const mail = { from: "a@example.org", to: ["b@example.org", "c@example.org"], subject: "x" };
    for (const text of ["short", "with a dot:\r\n.\r\n..\r\n"]) {
      seen.push((await transport.sendMail({ ...mail, text, messageId: "<1@x>", date: new Date(0) })).accepted);
    }
    seen.push((await transport.sendMail({ ...mail, attachments: [{ filename: "bulk", content: BULK }] })).accepted);
    const cut = transport.sendMail({ ...mail, from: "cut@example.org", text: "never answered" });
    seen.push(
      await cut.then(
        () => "sent",
        (error: unknown) => (error as NodeJS.ErrnoException).code,
      ),
    );
    transport.close();
    restore();
    return seen;
  }

  for (const isSecure of [false, true]) {
    for (const base of OURS) {
      it(`exchange mails over ${base} as over node:net, ${isSecure ? "after STARTTLS" : "in the clear"}`, async (t) => {
        const wanted = await exchange(t, "node:net", "node:net", isSecure);
        assert.equal(wanted.length, 8);
        assert.deepEqual(await exchange(t, base, "node:net", isSecure), wanted, "the client is ours");
        assert.deepEqual(await exchange(t, "node:net", base, isSecure), wanted, "the server is ours");
        assert.deepEqual(await exchange(t, base, base, isSecure), wanted, "both are ours");
      });
    }
  }
});
