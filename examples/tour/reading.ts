/** Stops of the tour: reads wait in a queue; each says where it ends, and has its own timeout. */

import assert from "node:assert/strict";
import { AsyncSocket, type AsyncSocketDelegate } from "asyncsocket";
import { listenOnLoopback } from "./loopback.js";
import type { Transcript } from "./transcript.js";

/** Sends the text in pieces of three bytes: the reader has to find where one message ends and the next begins. */
async function sendInPieces(socket: AsyncSocket, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; at += 3) await socket.write(bytes.subarray(at, at + 3));
  await socket.disconnectAfterWriting();
}

export async function queuedReads(transcript: Transcript): Promise<void> {
  await transcript.stop(
    "Reads are queued",
    "Before the connection is there; mixed as you like. The server sends 3 bytes at a time.",
  );
  const body = "a body of 24 bytes, or so";
  const frame = Buffer.from(`\0${String.fromCharCode(body.length)}${body}`);
  const { listener, place } = await listenOnLoopback((socket) => {
    void sendInPieces(socket, Buffer.concat([Buffer.from("Hello\r\n"), frame, Buffer.from("field;12345")]));
  });
  const heard: string[] = [];
  const hear = (method: string, tag: string | undefined, what: string): void => {
    heard.push(what);
    transcript.answer(`${method} ${tag ?? ""}: "${what}"`);
  };
  const client = new AsyncSocket<string>({
    delegate: {
      didConnect: () => transcript.answer("didConnect"),
      didRead: (_socket, data, tag) => hear("didRead", tag, data.toString()),
      didReadText: (_socket, text, tag) => hear("didReadText", tag, text),
    },
  });
  transcript.line('client.readLine({ tag: "greeting" })', "(queued)");
  client.readLine({ tag: "greeting" });
  transcript.line('client.readFrame({ lengthBytes: 2, tag: "frame" })', "(queued)");
  client.readFrame({ lengthBytes: 2, tag: "frame" });
  transcript.line('client.readUntil([";", "\\0"], { tag: "field" })', "(queued)");
  client.readUntil([";", "\0"], { tag: "field" });
  transcript.line('client.readExactly(5, { tag: "five" })', "(queued)");
  client.readExactly(5, { tag: "five" });
  transcript.call("client.connect({ host, port })");
  client.connect(place);
  await client.closed;
  assert.deepEqual(heard, ["Hello", body, "field;", "12345"]);
  await listener.disconnect();
}

const TIMEOUT_MS = 600;
const EXTENSION_MS = 900;

/** Gives a read more time, once. */
function patientOnce(transcript: Transcript): AsyncSocketDelegate {
  let isPatient = true;
  return {
    shouldExtendReadTimeout(_socket, _tag, elapsed) {
      const extension = isPatient ? EXTENSION_MS : 0;
      isPatient = false;
      transcript.answer(`shouldExtendReadTimeout, after ${elapsed.toFixed(0)} ms? ${extension} ms more`);
      return extension;
    },
    didFailRead: (_socket, error) => transcript.answer(`didFailRead ${error.code}`),
    didDisconnect: (_socket, reason) => transcript.answer(`didDisconnect by ${reason.by}`),
  };
}

export async function timeouts(transcript: Transcript): Promise<void> {
  await transcript.stop(
    "A timeout is extended, then expires",
    "Each read has its own. The server says nothing at all.",
  );
  const { listener, place } = await listenOnLoopback(() => undefined);
  const client = await AsyncSocket.connect({ ...place, delegate: patientOnce(transcript) });
  transcript.call(`client.readLine({ timeout: ${TIMEOUT_MS} })`);
  client.readLine({ timeout: TIMEOUT_MS });
  const { error } = await client.closed;
  assert.equal(error?.code, "ERR_ASYNCSOCKET_READ_TIMEOUT");
  await listener.disconnect();
}
