/**
 * The same by hand, but the replies to one chunk copied into one buffer and written at once: cheaper than `writev` for
 * small messages, though every byte is copied, and not what is commonly written. A second measure, only when asked for.
 */
import type { Socket } from "node:net";
import { HEADER_BYTES, MAX_FRAME, MAX_LINE } from "../workloads.js";
import { frameHeader } from "./frame-header.js";
import { expire, serveByHand } from "./hand-listener.js";

const NEWLINE = 10;
const NOTHING = Buffer.alloc(0);

function lines(socket: Socket): void {
  let rest: Buffer = NOTHING;
  expire(socket);
  socket.on("data", (chunk: Buffer) => {
    let end = chunk.indexOf(NEWLINE) + 1;
    if (end === 0) {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      if (rest.length >= MAX_LINE) socket.destroy();
      return;
    }
    const replies: Buffer[] = [];
    const first = chunk.subarray(0, end);
    replies.push(rest.length === 0 ? first : Buffer.concat([rest, first]));
    let start = end;
    while ((end = chunk.indexOf(NEWLINE, start) + 1) !== 0) {
      replies.push(chunk.subarray(start, end));
      start = end;
    }
    writeJoined(socket, replies);
    rest = start === chunk.length ? NOTHING : chunk.subarray(start);
  });
}

/** What has come of an unfinished frame is kept as chunks, and joined once, when it is complete. */
function frames(socket: Socket): void {
  let partial: Buffer[] = [];
  let bytes = 0;
  let needed = HEADER_BYTES;
  socket.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    let data = chunk;
    if (partial.length !== 0) {
      partial.push(chunk);
      if (bytes < needed) return;
      data = Buffer.concat(partial, bytes);
    }
    const start = answerFrames(socket, data);
    bytes = data.length - start;
    partial = bytes === 0 ? [] : [data.subarray(start)];
    needed = bytes < HEADER_BYTES ? HEADER_BYTES : HEADER_BYTES + data.readUInt32BE(start);
    if (needed > HEADER_BYTES + MAX_FRAME) socket.destroy();
  });
}

/** @returns where the first unfinished frame starts */
function answerFrames(socket: Socket, data: Buffer): number {
  let start = 0;
  const replies: Buffer[] = [];
  while (data.length - start >= HEADER_BYTES) {
    const length = data.readUInt32BE(start);
    const end = start + HEADER_BYTES + length;
    if (end > data.length) break;
    replies.push(frameHeader(length));
    replies.push(data.subarray(start + HEADER_BYTES, end));
    start = end;
  }
  writeJoined(socket, replies);
  return start;
}

/** An empty list is nothing to send. */
function writeJoined(socket: Socket, replies: readonly Buffer[]): void {
  if (replies.length > 0) socket.write(Buffer.concat(replies));
}

serveByHand({ lines, frames });
