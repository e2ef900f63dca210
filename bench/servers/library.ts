/** The servers on this library, delegate style: one delegate for all connections, no closure for each. */
import { AsyncSocket, type AsyncSocketDelegate } from "asyncsocket";
import { HEADER_BYTES, MAX_FRAME, MAX_LINE, READ_TIMEOUT_MS, type Protocol } from "../workloads.js";
import { frameHeader } from "./frame-header.js";
import { serve } from "./host.js";

const LINE = { timeout: READ_TIMEOUT_MS, maxLength: MAX_LINE };
const FRAME = { lengthBytes: HEADER_BYTES, maxLength: MAX_FRAME } as const;

const PROTOCOLS: Record<Protocol, AsyncSocketDelegate> = {
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

serve(async (protocol, identity) => {
  const transport = process.argv[2] === "native" ? "native" : "node";
  const listener = new AsyncSocket({ delegate: PROTOCOLS[protocol], transport });
  await listener.listen({ port: 0, host: "127.0.0.1", noDelay: true, tls: identity ?? false });
  if (listener.local === undefined || listener.local.family === "unix") throw new Error("Expected a port");
  return listener.local.port;
});
