/**
 * The servers by hand on `node:net` 'data' events, as one writes them who knows what is fast: no copy but of a message
 * cut in two, replies to one chunk corked into one `writev`, an idle timer per socket. What the library is compared with.
 */
import { connect, type Socket } from "node:net";
import { pipeline } from "node:stream";
import { HEADER_BYTES, MAX_FRAME, MAX_LINE } from "../workloads.js";
import { frameHeader } from "./frame-header.js";
import { expire, serveByHand } from "./hand-listener.js";

const NEWLINE = 10;
const NOTHING = Buffer.alloc(0);

function echo(socket: Socket): void {
  socket.on("data", (chunk: Buffer) => socket.write(chunk));
}

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
    socket.cork();
    const first = chunk.subarray(0, end);
    socket.write(rest.length === 0 ? first : Buffer.concat([rest, first]));
    let start = end;
    while ((end = chunk.indexOf(NEWLINE, start) + 1) !== 0) {
      socket.write(chunk.subarray(start, end));
      start = end;
    }
    socket.uncork();
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
  socket.cork();
  while (data.length - start >= HEADER_BYTES) {
    const length = data.readUInt32BE(start);
    const end = start + HEADER_BYTES + length;
    if (end > data.length) break;
    socket.write(frameHeader(length));
    socket.write(data.subarray(start + HEADER_BYTES, end));
    start = end;
  }
  socket.uncork();
  return start;
}

function churn(socket: Socket): void {
  let rest: Buffer = NOTHING;
  expire(socket);
  socket.on("data", (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const end = rest.indexOf(NEWLINE) + 1;
    if (end !== 0) socket.end(rest.subarray(0, end));
    else if (rest.length >= MAX_LINE) socket.destroy();
  });
}

function relay(socket: Socket, behind: number): void {
  const upstream = connect({ port: behind, host: "127.0.0.1", noDelay: true });
  pipeline(socket, upstream, () => undefined);
  pipeline(upstream, socket, () => undefined);
}

serveByHand({ echo, lines, frames, churn, relay });
