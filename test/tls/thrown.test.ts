/** What user code throws in the midst of a handshake ends that handshake, in words, and nothing else. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { failure, shortCode } from "../support/delegates.js";
import { ODD_VALUES } from "../support/thrown-values.js";
import { SAFETY } from "../support/transports.js";
import { identity, idle, listening, trusting } from "./helpers.js";

for (const [what, value] of ODD_VALUES) {
  const fail = (): never => {
    throw value;
  };

  describe(`TLS with ${what} in place of an error`, SAFETY, () => {
    for (const [how, certificates] of [
      ["throws it", fail],
      ["rejects with it", () => new Promise<never>(fail)],
    ] as const) {
      it(`fails the handshake where certificates() ${how}`, async (t) => {
        const { target, accepted } = await listening(t, { ...identity, certificates });
        const connecting = idle(t).connect({ ...target, tls: { ...trusting, servername: "localhost" } });
        const socket = await accepted();
        assert.equal(shortCode((await socket.closed).error), "TLS");
        await failure(connecting, "TLS");
      });
    }

    it("refuses the peer where checkServerIdentity() throws it", async (t) => {
      const { target } = await listening(t, identity);
      const client = idle(t);
      const error = await failure(
        client.connect({ ...target, tls: { ...trusting, checkServerIdentity: fail } }),
        "TLS",
      );
      assert.match(error.message, /^The peer is not to be trusted: ./s);
    });
  });
}
