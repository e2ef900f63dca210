/** What programs do to sockets, to memory, and to the thread. */

import { AsyncSocketError, type AsyncSocket, type SocketRequest } from "asyncsocket";
import type { ReadSpec } from "../pump/entries.js";

export interface Asked {
  request: SocketRequest<unknown>;
  /** The memory of its own that it was given. */
  into: Uint8Array | null;
}

export function ask(socket: AsyncSocket, spec: ReadSpec, common: object): Asked {
  const { kind, length, frame, delimiters = [] } = spec;
  const into = spec.intoSlack === undefined ? null : new Uint8Array(new ArrayBuffer(length + spec.intoSlack + 3), 3);
  const options = { ...common, encoding: spec.encoding, into: into ?? undefined };
  const request = (): SocketRequest<unknown> => {
    switch (kind) {
      case "read":
        return socket.read({ ...options, maxLength: length });
      case "readExactly":
        return socket.readExactly(length, options);
      case "readUntil":
        return socket.readUntil(delimiters, { ...options, maxLength: length });
      case "readLine":
        return socket.readLine({ ...common, encoding: spec.encoding, maxLength: length });
      case "readFrame":
        return socket.readFrame({ ...options, lengthBytes: 1, ...frame, maxLength: length });
      case "peek":
        return socket.peek({ ...options, length });
      case "skip":
        return socket.skip(length, common);
    }
  };
  return { request: request(), into };
}

/** At once for 0. */
export function afterTurns(turns: number, task: () => void): void {
  if (turns === 0) task();
  else setImmediate(() => afterTurns(turns - 1, task));
}

/** The thread is busy. */
export function blockFor(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

/** The memory goes elsewhere, as to another thread. */
export function detach(bytes: Uint8Array): void {
  structuredClone(bytes.buffer, { transfer: [bytes.buffer as ArrayBuffer] });
}

export function codeOf(error: unknown): string {
  return error instanceof AsyncSocketError ? error.code.replace("ERR_ASYNCSOCKET_", "") : String(error);
}

export function show(data: Uint8Array | string): string {
  const text = typeof data === "string" ? data : Buffer.from(data).toString("latin1");
  return `${text.length} (${JSON.stringify(text.slice(0, 40))})`;
}
