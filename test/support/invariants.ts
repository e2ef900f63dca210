/**
 * What must always hold inside a socket, between any two turns. The simulation asks after each of its steps, and the
 * conformance tests ask at their ends. The library itself never asks, so this costs users nothing.
 */

import assert from "node:assert/strict";
import type { AsyncSocket } from "asyncsocket";
import type { Connection } from "#dist/connection/connection.js";
import type { Entry, EntryList } from "#dist/pump/entry.js";

/** The connection inside a socket. */
export function connectionOf(socket: AsyncSocket): Connection {
  return (socket as unknown as { readonly _connection: Connection })._connection;
}

/** @throws AssertionError where something inside the socket contradicts something else */
export function assertInvariants(socket: AsyncSocket): void {
  const connection = connectionOf(socket);
  assertQueue("reads", connection.reading.queue);
  assertQueue("writes", connection.writing.queue);
  assertReading(connection);
  assertWriting(connection);
  assertPhase(connection);
}

/** The list is linked in both ways, holds pending entries alone, and only its head may be current. */
function assertQueue(name: string, list: EntryList<Entry>): void {
  let count = 0;
  let before: Entry | null = null;
  for (let entry = list.head; entry !== null; entry = entry.next) {
    assert.ok(entry.prev === before, `the queue of ${name} is linked in both ways`);
    const { state, kind } = entry;
    assert.ok(state === "queued" || state === "current", `${kind} in the queue of ${name} is ${state}`);
    // A startTLS is in both queues, and current as soon as one of them has reached it.
    if (before !== null && kind !== "startTLS") assert.equal(state, "queued", `${kind} behind the head of ${name}`);
    assert.ok(count++ < list.length, `the queue of ${name} has no circle`);
    before = entry;
  }
  assert.ok(list.tail === before, `the tail of ${name}`);
  assert.equal(list.length, count, `the length of ${name}`);
}

function assertReading({ reading, bytesRead, origin }: Connection): void {
  const { queue, peerEnded, ended } = reading;
  const { buffer, head, skipped } = queue;
  assert.ok(buffer.ready >= 0 && buffer.length >= buffer.ready, "the window is a part of what is unread");
  assert.ok(buffer.end <= buffer.block.length, "the window lies in its block");
  assert.ok(buffer.length + skipped + origin.bytesRead <= bytesRead, "unread bytes were counted");
  assert.ok(!ended || peerEnded, "a FIN has come before it takes effect");
  if (head === null) assert.equal(skipped, 0, "bytes are dropped for a skip alone");
}

function assertWriting({ writing, phase }: Connection): void {
  const { queue, finSent, finDone, endEntry } = writing;
  let unsentBytes = 0;
  let cost = 0;
  for (let entry = queue.head; entry !== null; entry = entry.next) {
    assert.ok(entry.sent >= 0 && entry.sent <= entry.total, `${entry.kind} has sent ${entry.sent} of ${entry.total}`);
    unsentBytes += entry.total - entry.sent;
    cost += entry.cost;
  }
  assert.equal(queue.unsentBytes, unsentBytes, "the count of unsent bytes");
  assert.equal(queue.cost, cost, "the cost of the queue of writes");
  assert.ok(!finDone || finSent, "a FIN is sent before it is out");
  // A graceful close sends its FIN without an entry.
  if (finSent && phase.name === "open") assert.ok(endEntry !== null, "a FIN is sent for end() alone");
}

function assertPhase({ phase, descriptors, transport, reading, writing, timer }: Connection): void {
  assert.ok(descriptors >= 0, `${descriptors} descriptors`);
  if (phase.name === "open" || phase.name === "flushing") assert.ok(transport !== null, `${phase.name} on nothing`);
  if (phase.name !== "closed") return;
  assert.equal(reading.queue.length + writing.queue.length, 0, "no entry is left after the close");
  assert.equal(timer.heapIndex, -1, "no deadline is left after the close");
}
