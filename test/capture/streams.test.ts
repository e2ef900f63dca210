/** Captures as networks make them: segments that come again, overlap, are missing, wrap around, or were cut by the capture. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ACK, FIN, packet, type PacketEnd, PSH, RST, SYN } from "#dist/capture/packet.js";
import { fileHeader, packetBlock } from "#dist/capture/pcapng.js";
import { readConnections } from "#dist/testing/captured-streams.js";

const CLIENT: PacketEnd = { family: "IPv4", address: "192.0.2.1", port: 1000 };
const SERVER: PacketEnd = { family: "IPv4", address: "192.0.2.2", port: 7 };

/** A packet: who sends it, the number of its first byte, its text, its flags. */
type Sent = readonly [from: "client" | "server", seq: number, text: string, flags?: number];

function capture(packets: readonly Sent[], [client, server] = [CLIENT, SERVER]): Buffer {
  const blocks = packets.map(([from, seq, text, flags = ACK | PSH], i) => {
    const [sender, receiver] = from === "client" ? [client, server] : [server, client];
    const bytes = packet(sender, receiver, { seq: seq >>> 0, ack: 0, flags, payload: Buffer.from(text) });
    return packetBlock(bytes, 1000 + i, from === "client");
  });
  return Buffer.concat([fileHeader(), ...blocks]);
}

/** What was said, in order, as `client one`, `server FIN`. */
function said(file: Buffer, number = 0): string[] {
  const steps = readConnections(file)[number]?.steps ?? assert.fail("there is no such connection");
  return steps.map(({ side, bytes, end }) => `${side} ${bytes === undefined ? (end ?? "") : String(bytes)}`);
}

describe("the streams of a capture", () => {
  it("have each byte once, whatever was sent again, and over the end of the numbers", () => {
    for (const start of [0, 1000, -3, 2 ** 31 - 3]) {
      const packets: Sent[] = [
        ["client", start - 1, "", SYN],
        ["server", 9, "", SYN | ACK],
        ["client", start, "one"],
        ["client", start, "one"],
        ["client", start + 1, "netwo"],
        ["client", start + 2, "e"],
        ["server", 10, "yes"],
        ["client", start + 6, "", FIN | ACK],
        ["client", start + 6, "", FIN | ACK],
        ["server", 13, "", RST],
      ];
      assert.deepEqual(said(capture(packets)), ["client one", "client two", "server yes", "client FIN", "server RST"]);
    }
  });

  it("are cut into chunks by PSH, by what the other side says, and by the end", () => {
    const packets: Sent[] = [
      ["client", 0, "a", ACK],
      ["client", 1, "b"],
      ["client", 2, "c", ACK],
      ["server", 0, "d", ACK],
      ["client", 3, "e", ACK],
      ["client", 4, "f", ACK],
    ];
    assert.deepEqual(said(capture(packets)), ["client ab", "client c", "server d", "client ef"]);
  });

  it("are told apart by addresses and by SYNs; whoever sent the SYN is the client", () => {
    const again: Sent[] = [
      ["client", 0, "", SYN],
      ["client", 1, "first"],
      ["client", 500, "", SYN],
      ["client", 501, "second"],
    ];
    const file = capture(again);
    assert.deepEqual([said(file, 0), said(file, 1)], [["client first"], ["client second"]]);
    const [answered] = readConnections(
      capture([
        ["server", 0, "", SYN | ACK],
        ["client", 1, "x"],
      ]),
    );
    assert.equal(answered?.client, "192.0.2.1:1000");
    const six: [PacketEnd, PacketEnd] = [
      { family: "IPv6", address: "2001:db8::1", port: 5 },
      { family: "IPv6", address: "2001:db8::2", port: 6 },
    ];
    const [overSix] = readConnections(capture([["client", 0, "x"]], six));
    assert.deepEqual([overSix?.client, overSix?.server], ["[2001:db8::1]:5", "[2001:db8::2]:6"]);
  });

  it("are refused where a segment is missing, and where packets are not whole", () => {
    const missing: Sent[] = [
      ["client", 0, "one"],
      ["client", 4, "two"],
    ];
    assert.throws(() => readConnections(capture(missing)), /a segment of the client is missing, or late/);
    const cut = capture([["client", 0, "one"]]);
    const original = fileHeader().length + 24;
    cut.writeUInt32LE(cut.readUInt32LE(original) + 1, original);
    assert.throws(() => readConnections(cut), /its packets are not whole/);
  });
});
