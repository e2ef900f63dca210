/** What a server on this library does with what it reads: one delegate for all connections, no closure for each. */
import type { AsyncSocketDelegate } from "asyncsocket";
import { HEADER_BYTES, MAX_FRAME, MAX_LINE, READ_TIMEOUT_MS, type Protocol } from "../workloads.js";
import { frameHeader } from "./frame-header.js";

const LINE = { timeout: READ_TIMEOUT_MS, maxLength: MAX_LINE };
const FRAME = { lengthBytes: HEADER_BYTES, maxLength: MAX_FRAME } as const;

export const PROTOCOLS: Record<Exclude<Protocol, "relay">, AsyncSocketDelegate> = {
  echo: {
    didAccept(_listener, socket) {
      socket.read();
    },
    didRead(socket, data) {
      socket.write(data);
      socket.read();
    },
  },
  lines: {
    didAccept(_listener, socket) {
      socket.readUntil("\n", LINE);
    },
    didRead(socket, line) {
      socket.write(line);
      socket.readUntil("\n", LINE);
    },
  },
  frames: {
    didAccept(_listener, socket) {
      socket.readFrame(FRAME);
    },
    didRead(socket, body) {
      socket.write([frameHeader(body.length), body]);
      socket.readFrame(FRAME);
    },
  },
  churn: {
    didAccept(_listener, socket) {
      socket.readUntil("\n", LINE);
    },
    didRead(socket, line) {
      socket.write(line);
      socket.disconnectAfterWriting();
    },
  },
};
