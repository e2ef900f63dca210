/** Stops of the tour: many bytes are sent, and then everything is closed without losing one. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { AsyncSocket, type AsyncSocketDelegate } from "asyncsocket";
import { mebibytes, Progress } from "../progress.js";
import { listenOnLoopback } from "./loopback.js";
import type { Transcript } from "./transcript.js";

const BLOCK_BYTES = 2 ** 20;
const BLOCKS = 256;
const TRANSFER_BYTES = BLOCKS * BLOCK_BYTES;

/** The delegate of both ends: it is told how far the one write and the one read are. */
class Watcher implements AsyncSocketDelegate {
  readonly #progress = new Progress("  ", TRANSFER_BYTES, process.stdout);
  #receivedBytes = 0;
  #reports = { sender: 0, receiver: 0 };

  didWritePartial(): void {
    this.#reports.sender++;
  }

  didReadPartial(_socket: AsyncSocket, byteCount: number): void {
    this.#reports.receiver++;
    this.#receivedBytes += byteCount;
    this.#progress.add(byteCount);
  }

  /** Counts the last part of a read, which `didReadPartial` does not report. */
  didRead(_socket: AsyncSocket, data: Buffer): void {
    this.#progress.add(data.length - this.#receivedBytes);
    this.#progress.stop();
  }

  /** The progress as text. */
  get reports(): string {
    const { sender, receiver } = this.#reports;
    assert.ok(sender > 0 && receiver > 0, "both ends report");
    return `didWritePartial ${sender} times, didReadPartial ${receiver} times`;
  }
}

export async function transfer(transcript: Transcript): Promise<void> {
  await transcript.stop("Much is sent", "One write and one read, each of which reports how far it is.");
  const block = randomBytes(BLOCK_BYTES);
  const received = Buffer.allocUnsafe(TRANSFER_BYTES);
  transcript.call(`client.write(a list of ${BLOCKS} buffers)`);
  transcript.call(`server.readExactly(${TRANSFER_BYTES}, { into: received })`);
  const delegate = new Watcher();
  const { listener, place } = await listenOnLoopback((socket) => {
    socket.delegate = delegate;
    socket.readExactly(TRANSFER_BYTES, { into: received });
    socket.disconnectAfterReading();
  });
  // A write queue takes 16 MiB by default; this program queues more on purpose.
  const client = new AsyncSocket({ delegate, limits: { writeQueue: Infinity } });
  const start = performance.now();
  client.connect(place);
  await client.write(Array<Buffer>(BLOCKS).fill(block)); // gathered, not joined: one block serves 256 times
  await client.closed; // the server closes when it has all
  const seconds = (performance.now() - start) / 1_000;
  for (let at = 0; at < TRANSFER_BYTES; at += BLOCK_BYTES)
    assert.ok(received.subarray(at, at + BLOCK_BYTES).equals(block), "what was sent is what was received");
  transcript.answer(`${mebibytes(TRANSFER_BYTES)} in ${seconds.toFixed(2)} s, every byte as it was`);
  transcript.answer(delegate.reports);
  await listener.disconnect();
}

export async function gracefulClose(transcript: Transcript): Promise<void> {
  await transcript.stop(
    "A graceful close",
    "All that was written arrives first. Both sides know who closed, and that nothing is missing.",
  );
  const lines: string[] = [];
  const serverDelegate: AsyncSocketDelegate = {
    didReadText(socket, text) {
      lines.push(text);
      transcript.answer(`server: didReadText "${text}"`);
      socket.readLine();
    },
    didEndReading: () => transcript.answer("server: didEndReading"),
    didDisconnect: (_socket, reason) => transcript.answer(`server: didDisconnect by ${reason.by}`),
  };
  const { listener, place } = await listenOnLoopback((socket) => {
    socket.delegate = serverDelegate;
    socket.readLine();
  });
  const client = await AsyncSocket.connect(place);
  transcript.call('client.write("one\\n")');
  client.write("one\n");
  transcript.call('client.write("two\\n")');
  client.write("two\n");
  transcript.call("client.disconnectAfterWriting()");
  const reason = await client.disconnectAfterWriting();
  transcript.answer(`client: closed by ${reason.by}, ${reason.bytesWritten} bytes sent, ${reason.unsentBytes} unsent`);
  const { finished, forced } = await listener.shutdown({ graceMs: 5_000 });
  transcript.line("listener.shutdown({ graceMs: 5000 })", `${finished} connection finished, ${forced} forced`);
  assert.deepEqual(lines, ["one", "two"]);
  assert.deepEqual([reason.by, reason.error, reason.unsentBytes, forced], ["local", null, 0, 0]);
}
