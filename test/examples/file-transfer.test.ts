/** The file sender and the file receiver, with each other. */

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createReadStream, existsSync, mkdirSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { type Ended, Program, temporaryFolder } from "../support/programs.js";

const LARGE_BYTES = 2 ** 30;
const SMALL_BYTES = 2 ** 26;
const MIB = 2 ** 20;

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: MIB }) as AsyncIterable<Buffer>) hash.update(chunk);
  return hash.digest("hex");
}

/** Sparse, but for a block here and there: quickly made, and still nothing in it can change places unseen. */
async function writeLarge(path: string, length: number): Promise<void> {
  const file = await open(path, "w");
  for (let at = 0; at < length; at += 31 * MIB + 1) await file.write(randomBytes(1_000), 0, 1_000, at);
  await file.close();
  truncateSync(path, length);
}

interface Transfer {
  sender: Ended;
  receiver: Ended;
  /** Where the receiver should have put it. */
  copy: string;
}

async function startReceiver(t: TestContext, folder: string): Promise<{ receiver: Program; port: string }> {
  const options = ["--host", "127.0.0.1", "--port", "0", "--folder", folder, "--once"];
  const receiver = Program.example(t, "file-receiver", options);
  const [, port = ""] = await receiver.sees(/on port (\d+)/);
  return { receiver, port };
}

async function transfer(t: TestContext, folder: string, file: string): Promise<Transfer> {
  const inbox = join(folder, "inbox");
  mkdirSync(inbox, { recursive: true });
  const { receiver, port } = await startReceiver(t, inbox);
  const sender = Program.example(t, "file-sender", [join(folder, file), "--host", "127.0.0.1", "--port", port]);
  return { sender: await sender.ended(), receiver: await receiver.ended(), copy: join(inbox, file) };
}

function memoryMiB({ stdout }: Ended): number {
  return Number(/At most ([\d.]+) MiB of memory/.exec(stdout)?.[1]);
}

describe("a file, from file-sender to file-receiver", () => {
  it("arrives as it was, a gibibyte in about the memory that 64 MiB take", async (t) => {
    const folder = temporaryFolder(t);
    await writeLarge(join(folder, "large"), LARGE_BYTES);
    await writeLarge(join(folder, "small"), SMALL_BYTES);
    const checksum = await sha256(join(folder, "large"));

    const small = await transfer(t, folder, "small");
    const large = await transfer(t, folder, "large");
    const verdict = `OK ${LARGE_BYTES} bytes, SHA-256 ${checksum}`;
    assert.ok(large.sender.stdout.includes(`The receiver says: ${verdict}\n`), large.sender.stdout);
    assert.ok(large.receiver.stdout.includes(`${verdict}\n`), large.receiver.stdout);
    assert.deepEqual([large.sender.code, large.receiver.code], [0, 0]);
    assert.equal(statSync(large.copy).size, LARGE_BYTES);
    assert.equal(await sha256(large.copy), checksum);

    for (const side of ["sender", "receiver"] as const) {
      const memory = { small: memoryMiB(small[side]), large: memoryMiB(large[side]) };
      t.diagnostic(`${side}: ${memory.small} MiB of memory for 64 MiB, ${memory.large} MiB for 1 GiB`);
      assert.ok(memory.large < 200, `the ${side} took ${memory.large} MiB`);
      assert.ok(memory.large - memory.small < 64, `the ${side} took ${memory.small} MiB, then ${memory.large} MiB`);
    }
  });

  it("may be empty", async (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, "nothing"), "");
    const { sender, receiver, copy } = await transfer(t, folder, "nothing");
    assert.deepEqual([sender.code, receiver.code], [0, 0]);
    assert.equal(statSync(copy).size, 0);
  });

  it("is not put over one that is there", async (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, "letter"), "Dear reader");
    await transfer(t, folder, "letter");
    const { sender } = await transfer(t, folder, "letter");
    assert.match(sender.stdout, /The receiver says: BAD EEXIST/);
    assert.equal(sender.code, 1);
  });
});

describe("the file receiver", () => {
  async function isRefused(t: TestContext, sent: string, pattern: RegExp): Promise<void> {
    const folder = temporaryFolder(t);
    const inbox = join(folder, "inbox");
    mkdirSync(inbox);
    const { receiver, port } = await startReceiver(t, inbox);
    const talker = Program.example(t, "start", ["127.0.0.1", port]);
    talker.type(sent);
    talker.endInput();
    await receiver.sees(pattern);
    await receiver.ended();
    assert.ok(!existsSync(join(folder, "f")) && !existsSync(join(inbox, "f")), "nothing is left");
  }

  it("does not let the sender choose the folder", (t) =>
    isRefused(t, "3 ../f\nabc", /BAD Expected a size and a file's name/));
  it("keeps nothing of a file that ends early", (t) => isRefused(t, "30 f\nabc", /BAD .*readExactly/));
  it("keeps nothing of a file whose checksum is wrong", (t) =>
    isRefused(t, "5 f\nabc\r\n0123\n", /BAD Expected 0123, got /));
});
