/** Nothing that a peer sends may command the user's terminal. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hexDump } from "#dist/cli/hex-dump.js";
import { jsonLine, printable, SafeText } from "#dist/cli/printable.js";

/** Every character that a terminal may obey, or that reorders text: C0, DEL, C1, bidirectional and other formatting. */
const HOSTILE = [
  ...Array.from({ length: 32 }, (_, i) => String.fromCodePoint(i)),
  ...Array.from({ length: 33 }, (_, i) => String.fromCodePoint(127 + i)),
  ...[
    "\u00ad",
    "\u061c",
    "\u200e",
    "\u200f",
    "\u2028",
    "\u2029",
    "\u202a",
    "\u202e",
    "\u2066",
    "\u2069",
    "\ufeff",
    "\ud800",
  ],
  "\u{e0001}",
].filter((character) => character !== "\u00a0");

describe("what is shown of a peer's text", () => {
  it("has no character on one line that a terminal obeys", () => {
    for (const character of HOSTILE) assert.match(printable(`a${character}b`), /^a\\[0-9a-z{}]+b$/);
    assert.equal(printable("\u001b[2J\r\n\t\u202e\u0007"), "\\x1b[2J\\r\\n\\t\\u{202e}\\x07");
    assert.equal(printable("Grüße, 你好 🎧"), "Grüße, 你好 🎧");
  });

  it("has none in JSON, which still says the same", () => {
    for (const character of HOSTILE) {
      const line = jsonLine({ text: character });
      assert.match(line, /^[\x20-\x7e]+\n$/);
      assert.deepEqual(JSON.parse(line), { text: character });
    }
  });

  it("has newlines and tabs in a conversation, and no other control character, however it was cut", () => {
    const bytes = Buffer.from("é\tone\r\ntwo\rthree\u001b]0;title\u0007\n\u009b31m你\r");
    for (let size = 1; size <= bytes.length; size++) {
      const safe = new SafeText();
      let shown = "";
      for (let at = 0; at < bytes.length; at += size) shown += safe.show(bytes.subarray(at, at + size));
      shown += safe.end();
      assert.equal(shown, "é\tone\ntwo\\rthree\\x1b]0;title\\x07\n\\x9b31m你\\r");
    }
  });

  it("is nothing but numbers and visible ASCII in a dump", () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const lines = hexDump(bytes, 0x1234, "<").trimEnd().split("\n");
    assert.equal(lines.length, 16);
    for (const line of lines) assert.match(line, /^< 0000[0-9a-f]{4} {2}([0-9a-f]{2} {1,2}){16}\|[\x20-\x7e]{16}\|$/);
    assert.equal(hexDump(Buffer.from("a"), 0, ">"), `> 00000000  61${" ".repeat(47)}|a|\n`);
  });
});
