/** What is told to be written is the operating system's: it arrives, whatever becomes of the socket. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NO_NATIVE } from "../support/availability.js";
import { allOf, rawPair } from "../support/lifecycle-helpers.js";
import { SAFETY, turn } from "../support/transports.js";

const TRANSPORTS = NO_NATIVE === false ? (["node", "native"] as const) : (["node"] as const);
/** Less than what a stream of the runtime's might hold back unseen. */
const CHUNK = Buffer.alloc(10_000, "x");

for (const transport of TRANSPORTS) {
  for (const parts of [1, 3]) {
    describe(`a peer that stops to read, on the ${transport} transport`, SAFETY, () => {
      it(`has every write of ${parts} parts that was told to be done before the socket was closed`, async (t) => {
        const { socket, peer } = await rawPair(t, { transport });
        let toldBytes = 0;
        socket.delegate = { didWrite: () => void (toldBytes += CHUNK.length * parts) };
        const data = parts === 1 ? CHUNK : Array.from({ length: parts }, () => CHUNK);
        for (let isHeld = false; !isHeld;) {
          const request = socket.write(data);
          for (let turns = 0; turns < 3; turns++) await turn();
          isHeld = request.state !== "done";
        }
        // The socket is closed with the last write under way; what the system has, it sends.
        const { bytesWritten } = await socket.disconnect();
        const { length } = await allOf(peer);
        assert.ok(toldBytes > 0 && toldBytes <= length, `${toldBytes} bytes told, ${length} have come`);
        assert.ok(bytesWritten >= toldBytes && bytesWritten <= length, `${bytesWritten} bytes counted, ${length} came`);
      });
    });
  }
}
