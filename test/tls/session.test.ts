import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { until } from "../support/delegates.js";
import { SAFETY } from "../support/transports.js";
import { securePair } from "./helpers.js";
import { certificateIn } from "#dist/tls/session.js";

const PREFIX = Buffer.from("\0nodejs:tls:session:1\0");

/** As OpenSSL made it, whatever the runtime has put ahead of it. */
function bare(session: Buffer): Buffer {
  return session.subarray(session.indexOf(Buffer.of(0x30, 0x82)));
}

describe("The certificate in a session", SAFETY, () => {
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    it(`is the server's, in the form of any runtime: ${maxVersion}`, async (t) => {
      const { client, server } = await securePair(t, { maxVersion });
      server.write("x");
      await until(() => client.tls?.session !== undefined, "a session");
      const session = bare(client.tls?.session as Buffer);
      const wrapped = Buffer.concat([PREFIX, Buffer.of(0, 9), Buffer.from("localhost"), session]);
      for (const form of [session, wrapped]) assert.equal(certificateIn(form)?.subject.CN, "localhost");
    });
  }

  it("is null in what is no session", () => {
    for (const bytes of [
      Buffer.alloc(0),
      PREFIX,
      Buffer.concat([PREFIX, Buffer.of(0xff, 0xff)]),
      Buffer.alloc(64, 0x30),
    ]) {
      assert.equal(certificateIn(bytes), null);
    }
  });
});
