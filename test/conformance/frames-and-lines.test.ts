// writeFrame and writeLine, the mirrors of readFrame and readLine.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { line, type FrameWriteOptions } from "asyncsocket";
import { failure, pattern, Recorder } from "../support/delegates.js";
import { connectedPair, memory, overEveryTransport } from "../support/transports.js";

const HEADERS: readonly FrameWriteOptions[] = [1, 2, 3, 4, 5, 6, 8].flatMap((lengthBytes) =>
  [false, true].flatMap((littleEndian) =>
    [false, true].map((lengthIncludesHeader) => ({ lengthBytes, littleEndian, lengthIncludesHeader })),
  ),
);

type Body = string | Buffer | readonly (string | Buffer)[];

function partsOf(body: Body): readonly (string | Buffer)[] {
  return typeof body === "string" || Buffer.isBuffer(body) ? [body] : body;
}

/** A frame written by hand. */
function frame(body: Uint8Array, options: FrameWriteOptions): Buffer {
  const { lengthBytes, littleEndian = false, lengthIncludesHeader = false } = options;
  const length = BigInt(body.length + (lengthIncludesHeader ? lengthBytes : 0));
  const header = Buffer.alloc(8);
  header.writeBigUInt64BE(length);
  const bytes = [...header.subarray(8 - lengthBytes)];
  return Buffer.concat([Buffer.from(littleEndian ? bytes.reverse() : bytes), body]);
}

describe("writeFrame", () => {
  overEveryTransport((kind) => {
    it("makes every kind of header in place, before bodies of every kind", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const bodies: readonly Body[] = [
        "",
        "text, with an é",
        Buffer.from("bytes"),
        ["a ", Buffer.from("list"), "", " of five"],
      ];
      const expected: Buffer[] = [];
      for (const options of HEADERS) {
        for (const body of bodies) {
          const whole = Buffer.concat(partsOf(body).map((part) => Buffer.from(part as string)));
          expected.push(frame(whole, options));
          const request = client.writeFrame(body, options);
          assert.deepEqual([request.kind, request.bytesTotal], ["writeFrame", expected.at(-1)?.length]);
        }
      }
      const all = Buffer.concat(expected);
      assert.equal(client.unsentBytes, all.length);
      assert.deepEqual(await server.readExactly(all.length), all);
    });

    it("is read by readFrame, between other writes, whatever the size of its body", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      const sizes = [0, 1, 100, 4031, 4032, 4033, 4095, 4096, 5000, kind.chunkBytes === 1 ? 9000 : 300_000];
      const last = sizes.map((size, i) => {
        client.write("-");
        client.writeFrame("x".repeat(size), { lengthBytes: 4 });
        client.writeLine(`line ${i}`, { ending: "\r\n" });
        return client.writeFrame(pattern(size), { lengthBytes: 8, littleEndian: true, lengthIncludesHeader: true });
      });
      for (const [i, size] of sizes.entries()) {
        assert.equal(String(await server.readExactly(1)), "-");
        assert.equal(String(await server.readFrame({ lengthBytes: 4 })), "x".repeat(size));
        assert.equal(await server.readLine(), `line ${i}`);
        const options = { lengthBytes: 8, littleEndian: true, lengthIncludesHeader: true } as const;
        assert.deepEqual(await server.readFrame(options), pattern(size));
      }
      await Promise.all(last);
      assert.equal(client.unsentBytes, 0);
      assert.equal(client.bytesWritten, server.bytesRead);
    });
  });

  for (let chunkBytes = 1; chunkBytes <= 9; chunkBytes++) {
    it(`arrives whole in chunks of ${chunkBytes}`, async (t) => {
      const { client, server } = await connectedPair(t, memory("memory", { chunkBytes, capacityBytes: 64 }));
      const bodies = Array.from({ length: 30 }, (_, i) => pattern(i * 7, i));
      for (const body of bodies) client.writeFrame(body, { lengthBytes: 2 });
      for (const body of bodies) assert.deepEqual(await server.readFrame({ lengthBytes: 2 }), body);
    });
  }

  it("refuses a body that is too long for its header, and writes nothing", async (t) => {
    const { client, server } = await connectedPair(t, memory("memory"));
    const tooLong = [
      [{ lengthBytes: 1 }, 256],
      [{ lengthBytes: 1, lengthIncludesHeader: true }, 255],
      [{ lengthBytes: 2 }, 65_536],
    ] as const;
    for (const [options, size] of tooLong) {
      assert.throws(() => client.writeFrame("x".repeat(size), options), /^RangeError: Expected body to fit a length/);
      assert.throws(
        () => client.writeFrame([Buffer.alloc(size)], options),
        /^RangeError: Expected body to fit a length/,
      );
      client.writeFrame(Buffer.alloc(size - 1, "y"), options);
      assert.equal((await server.readFrame(options)).length, size - 1);
    }
    assert.equal(client.unsentBytes, 0);
  });

  it("refuses wrong arguments at once, and writes nothing", async (t) => {
    const { client } = await connectedPair(t, memory("memory"));
    const wrong: readonly (() => unknown)[] = [
      () => client.writeFrame("x", undefined as never),
      () => client.writeFrame("x", {} as never),
      () => client.writeFrame("x", { lengthBytes: 7 }),
      () => client.writeFrame("x", { lengthBytes: 2, littleEndian: 1 as never }),
      () => client.writeFrame(5 as never, { lengthBytes: 2 }),
      () => client.writeFrame("x", { lengthBytes: 2, timeout: -1 }),
      () => client.writeLine(Buffer.from("x") as never),
      () => client.writeLine("x", { ending: "\r" as never }),
      () => client.writeLine("x", { encoding: "utf16le" }),
      () => client.writeLine("x", { encoding: "klingon" as never }),
    ];
    for (const call of wrong) assert.throws(call, /^(Type|Range)Error: Expected .*, got/, String(call));
    assert.equal(client.pendingWrites, 0);
  });

  it("tells the delegate and its promise; a frame that waits can be canceled whole", async (t) => {
    const { client, server } = await connectedPair(t, memory("memory", { capacityBytes: 8 }));
    const recorder = new Recorder();
    client.delegate = recorder;
    const stuck = client.write(Buffer.alloc(100));
    const frame = client.writeFrame("body", { lengthBytes: 2, tag: "frame" });
    const line = client.writeLine("line", { tag: "line" });
    assert.equal(frame.cancel(), true);
    await failure(frame, "CANCELED");
    await server.readExactly(100);
    assert.equal(await server.readLine(), "line");
    await Promise.all([stuck, line]);
    assert.deepEqual(recorder.of("didWrite"), [[undefined], ["line"]]);
    assert.deepEqual(recorder.of("didFailWrite"), [["CANCELED", "frame"]]);
  });

  it("whose body is transferred before it goes out fails alone, and its header is not sent", async (t) => {
    const { client, server } = await connectedPair(t, memory("memory", { capacityBytes: 8 }));
    const body = new Uint8Array(5000);
    client.write(Buffer.alloc(50));
    const frame = client.writeFrame(body, { lengthBytes: 2 });
    client.writeLine("after");
    structuredClone(body.buffer, { transfer: [body.buffer] });
    await server.readExactly(50);
    await failure(frame, "BAD_STATE");
    assert.equal(await server.readLine(), "after");
  });
});

describe("writeLine", () => {
  overEveryTransport((kind) => {
    it("ends each line, and is read by readLine", async (t) => {
      const { client, server } = await connectedPair(t, kind);
      client.writeLine("");
      client.writeLine("with CRLF", { ending: "\r\n" });
      client.writeLine("Grüße €");
      const long = "l".repeat(5000);
      const request = client.writeLine(long);
      client.writeLine("é", { encoding: "latin1" });
      assert.deepEqual([request.kind, request.bytesTotal], ["writeLine", 5001]);
      const expected = `\nwith CRLF\r\nGrüße €\n${long}\n`;
      assert.equal(await server.readExactly(Buffer.byteLength(expected), { encoding: "utf8" }), expected);
      assert.deepEqual(await server.readExactly(2), Buffer.of(0xe9, 0x0a));
    });
  });

  const smuggled = [
    ["an LF", "a\nRCPT TO:<b>", undefined],
    ["a CR", "a\rb", undefined],
    ["a CRLF at the end", "a\r\n", undefined],
    ["a character that latin1 makes an LF of", "a\u010ab", "latin1"],
    ["a character that ascii makes a CR of", "a\u020db", "ascii"],
    ["an LF in hex", "610a", "hex"],
    ["a CR in base64", "YQ0=", "base64"],
  ] as const;
  for (const [what, text, encoding] of smuggled) {
    it(`refuses ${what}, as the framing does, and writes nothing`, async (t) => {
      const { client } = await connectedPair(t, memory("memory"));
      assert.throws(() => client.writeLine(text, { encoding }), /^RangeError: Expected text to be one line, got/);
      assert.throws(() => line({ encoding }).encode(text), /^RangeError: Expected text to be one line, got/);
      assert.equal(client.pendingWrites, 0);
    });
  }
});
