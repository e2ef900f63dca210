/** An open socket keeps the process alive, until `unref()`: whatever is unread, on each transport alike. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NO_NATIVE } from "../support/availability.js";
import { Authority } from "../support/certificates.js";
import { child } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";

const identity = await (await Authority.create()).issue(["127.0.0.1"]);

/** Of a connection in which nothing but the client can keep the process alive. */
const CONNECTED = `
  import { AsyncSocket } from "asyncsocket";
  const { transport, identity, bytes, ends } = JSON.parse(process.argv[1]);
  const host = "127.0.0.1";
  const turn = () => new Promise((next) => setImmediate(next));
  let server;
  const listener = new AsyncSocket({ transport, allowHalfOpen: true, delegate: { didAccept(_, socket) { server = socket; } } });
  await listener.listen({ host, port: 0, ...(identity === null ? {} : { tls: identity }) });
  listener.unref();
  const socket = new AsyncSocket({ transport, allowHalfOpen: true });
  const tls = { rejectUnauthorized: false };
  await socket.connect({ host, port: listener.local.port, ...(identity === null ? {} : { tls }) });
  while (server === undefined || server.isSecure !== socket.isSecure) await turn();
  server.unref();
  server.write(Buffer.alloc(bytes));
  if (ends) server.end();
  while (socket.unreadBytes < Math.min(bytes, 65536) || socket.peerEnded !== ends) await turn();
  for (let i = 0; i < 50; i++) await turn();
`;

const CASES = {
  "more unread than is read ahead": { bytes: 3_000_000, ends: false },
  "bytes unread, and a FIN": { bytes: 22, ends: true },
  "nothing unread, and a FIN": { bytes: 0, ends: true },
};

for (const transport of ["node", "native"]) {
  const skip = transport === "native" && NO_NATIVE;
  for (const [security, certificate] of Object.entries({ "in the clear": null, "over TLS": identity })) {
    describe(`an open ${transport} socket ${security}`, { ...SAFETY, skip }, () => {
      for (const [name, { bytes, ends }] of Object.entries(CASES)) {
        const args = [JSON.stringify({ transport, identity: certificate, bytes, ends })];

        it(`keeps the process alive with ${name}`, async (t) => {
          const { line } = child(
            t,
            `process.on("beforeExit", () => console.log("the process ends"));
             ${CONNECTED}
             setTimeout(() => console.log("alive"), 50).unref();`,
            args,
          );
          assert.equal(await line(), "alive");
        });

        it(`lets it end after unref() with ${name}`, async (t) => {
          const { ended } = child(t, `${CONNECTED}\nsocket.unref();`, args);
          const { code, signal, errors } = await ended;
          assert.deepEqual([code, signal, errors], [0, null, ""]);
        });
      }

      it("keeps the process alive for code that awaits its close with much unread", async (t) => {
        const args = [JSON.stringify({ transport, identity: certificate, bytes: 3_000_000, ends: false })];
        const { ended } = child(
          t,
          `${CONNECTED}
           setTimeout(() => socket.disconnect(), 50).unref();
           await socket.closed;`,
          args,
        );
        assert.equal((await ended).code, 0);
      });
    });
  }
}
