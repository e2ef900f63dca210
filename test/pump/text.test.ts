import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { anyCharacter } from "../support/characters.js";
import { completeCharacters } from "#dist/framing/text.js";

function whole(bytes: Uint8Array, encoding: BufferEncoding): number {
  return completeCharacters(Buffer.from(bytes), 0, bytes.length, encoding);
}

/** Any text without lone surrogates, with many characters of two, three and four bytes. */
const text = fc.string({
  unit: fc.oneof(fc.constantFrom("a", "é", "€", "😀", "\u0800", "\uffff"), anyCharacter),
});

/** The bytes of the characters that are complete within the first `count` bytes. */
function naive(characters: string, encoding: BufferEncoding, count: number): number {
  let bytes = 0;
  for (const character of characters) {
    const next = bytes + Buffer.byteLength(character, encoding);
    if (next > count) break;
    bytes = next;
  }
  return bytes;
}

/** Any byte, with no to three continuations, at whose limits something is decided. */
function* utf8Like(): Generator<number[]> {
  const continuations = [0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf];
  for (let lead = 0; lead < 256; lead++) {
    yield [lead];
    for (const second of continuations) {
      yield [lead, second];
      for (const third of [0x80, 0xbf]) {
        yield [lead, second, third];
        yield [lead, second, third, 0x80];
      }
    }
  }
}

describe("the count of complete characters", () => {
  for (const encoding of ["utf8", "utf-8", "utf16le", "utf-16le", "ucs2", "ucs-2"] as const) {
    it(`is that of whole characters for every cut of any text in ${encoding}`, () => {
      fc.assert(
        fc.property(text, (text) => {
          const bytes = Buffer.from(text, encoding);
          for (let cut = 0; cut <= bytes.length; cut++) {
            assert.equal(whole(bytes.subarray(0, cut), encoding), naive(text, encoding, cut), `cut at ${cut}`);
          }
        }),
      );
    });
  }

  for (const encoding of ["base64", "base64url"] as const) {
    it(`is that of whole groups of three bytes in ${encoding}, so that the parts can be joined`, () => {
      const all = Buffer.from([0xfb, 0xff, 0, 1, 2, 3, 4, 5]);
      for (let at = 0; at <= all.length; at++) {
        const count = whole(all.subarray(0, at), encoding);
        assert.equal(count, at - (at % 3));
        assert.equal(all.toString(encoding, 0, count) + all.toString(encoding, count), all.toString(encoding));
      }
    });
  }

  for (const encoding of ["latin1", "binary", "ascii", "hex"] as const) {
    it(`is that of the bytes in ${encoding}`, () => {
      for (const bytes of [[], [0xff], [0xe2, 0x82], [0xf0, 0x9f, 0x98]]) {
        assert.equal(whole(Uint8Array.from(bytes), encoding), bytes.length);
      }
    });
  }

  it("looks at the part of the block that is asked for, and at nothing around it", () => {
    const block = Buffer.from([0xe2, 0x61, 0xe2, 0x82, 0xac, 0x61]);
    assert.equal(completeCharacters(block, 1, 4, "utf8"), 1);
    assert.equal(completeCharacters(block, 1, 5, "utf8"), 4);
    assert.equal(completeCharacters(block, 3, 4, "utf8"), 1, "what began before is not there to be completed");
    assert.equal(completeCharacters(block, 2, 2, "utf8"), 0);
    const pair = Buffer.from([0x3d, 0xd8, 0x00, 0xde]);
    assert.equal(completeCharacters(pair, 2, 2, "utf16le"), 0);
    assert.equal(completeCharacters(pair, 2, 3, "utf16le"), 0);
    assert.equal(completeCharacters(pair, 2, 4, "utf16le"), 2);
  });

  const neverUtf8: readonly [name: string, bytes: readonly number[]][] = [
    ["a continuation that continues nothing", [0x80]],
    ["several of them", [0x80, 0x81, 0x82, 0x83, 0x84]],
    ["the lead bytes C0 and C1", [0xc0]],
    ["lead bytes beyond U+10FFFF", [0xf5]],
    ["FF", [0xff]],
    ["a lead byte that something else follows", [0xe2, 0x61]],
    ["an overlong form of two continuations", [0xe0, 0x80]],
    ["an overlong form of three continuations", [0xf0, 0x80]],
    ["a surrogate", [0xed, 0xa0]],
    ["a number beyond U+10FFFF", [0xf4, 0x90]],
  ];
  for (const [name, bytes] of neverUtf8) {
    it(`takes bytes for whole that can never form a UTF-8 character: ${name}`, () => {
      assert.equal(whole(Uint8Array.from(bytes), "utf8"), bytes.length);
      assert.equal(whole(Uint8Array.from([0x61, ...bytes]), "utf8"), bytes.length + 1);
    });
  }

  it("keeps the beginnings of UTF-8 characters, each and no others", () => {
    const beginnings = new Set<string>();
    const sequences = [];
    for (const bytes of utf8Like()) {
      sequences.push(bytes);
      const isCharacter = !Buffer.from(bytes).toString("utf8").includes("\ufffd");
      if (isCharacter) for (let count = 1; count < bytes.length; count++) beginnings.add(bytes.slice(0, count).join());
    }
    for (const bytes of sequences) {
      const kept = beginnings.has(bytes.join()) ? bytes.length : 0;
      assert.equal(whole(Uint8Array.from(bytes), "utf8"), bytes.length - kept, `bytes ${bytes.join()}`);
    }
  });

  it("leaves at most three bytes of UTF-8, so that any reader gets on, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => {
        const open = bytes.length - whole(bytes, "utf8");
        assert.ok(open >= 0 && open <= 3);
      }),
    );
  });

  it("gives the same text in parts as at once, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), fc.nat(20), (bytes, at) => {
        const all = Buffer.from(bytes);
        for (const encoding of ["utf8", "utf16le"] as const) {
          const count = whole(all.subarray(0, at), encoding);
          assert.equal(all.toString(encoding, 0, count) + all.toString(encoding, count), all.toString(encoding));
        }
      }),
    );
  });

  it("keeps a high surrogate, and half of a unit, for what follows", () => {
    assert.equal(whole(Uint8Array.of(0x61, 0x00, 0x3d, 0xd8), "utf16le"), 2);
    assert.equal(whole(Uint8Array.of(0x61, 0x00, 0x3d, 0xd8, 0x00), "utf16le"), 2);
    assert.equal(whole(Uint8Array.of(0x61, 0x00, 0x00), "utf16le"), 2);
    assert.equal(whole(Uint8Array.of(0x00, 0xdc), "utf16le"), 2, "a lone low surrogate is never completed");
  });
});
