/** Over a stream whose peer answers inside the call that writes, bytes come back while a batch is being handed on. */

import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { describe, it } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { pattern, settled, until } from "../support/delegates.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";

class Answering extends Duplex {
  readonly received: Buffer[] = [];

  override _read(): void {
    // Everything is pushed as it is written.
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.received.push(chunk);
    this.push(Buffer.from("."));
    done();
  }
}

describe("a stream over a stream that answers at once", SAFETY, () => {
  for (const ends of [false, true]) {
    it(`hands each byte on once and in order, ${ends ? "and then its end" : "with more than one batch queued"}`, async (t) => {
      const answering = new Answering();
      const socket = Belongings.of(t).add(AsyncSocket.from(answering, { allowHalfOpen: true }));
      await settled();
      const before = pattern(1_000_000);
      const after = pattern(1_000_000, 1);
      const queued = [socket.write(before.subarray(0, 400_000)), socket.write(before.subarray(400_000))];
      const stream = socket.toDuplex();
      const written = new Promise<unknown>((resolve) => stream.write(after, (error) => resolve(error ?? null)));
      stream.resume();
      if (ends) stream.end();
      assert.equal(await written, null);
      await Promise.all(queued);
      const got = (): number => answering.received.reduce((sum, { length }) => sum + length, 0);
      await until(() => got() >= 2_000_000, "all bytes");
      await settled();
      assert.ok(Buffer.concat(answering.received).equals(Buffer.concat([before, after])));
      assert.deepEqual([socket.bytesWritten, socket.unsentBytes], [2_000_000, 0]);
      if (ends) await until(() => answering.writableFinished, "the end");
    });
  }
});
