/**
 * A heartbeat: a peer that is silent for a while is asked whether it is still there, and is given up if it does not answer. The
 * timeout of a standing read begins anew with each line, so it measures silence; when it is over, the delegate is asked. You need
 * no timer of your own. A client can have the same delegate.
 *
 *   node build/examples/cookbook/heartbeat.js --silence 10000 --answer 5000
 */

import { parseArgs } from "node:util";
import { type AcceptedSocket, AsyncSocket, type CloseReason } from "asyncsocket";

const { values } = parseArgs({
  options: {
    silence: { type: "string", default: "10000" }, // ms of silence after which the peer is asked
    answer: { type: "string", default: "5000" }, // ms that the peer then has
  },
});
const silenceMs = Number(values.silence);
const answerMs = Number(values.answer);

class Peer {
  wasAsked = false;
}

type PeerSocket = AcceptedSocket<unknown, Peer>;

const heartbeat = {
  didAccept(_listener: AsyncSocket<unknown, Peer>, socket: PeerSocket): void {
    socket.readLine({ repeat: true, timeout: silenceMs, maxLength: 1024 });
  },

  didReadText(socket: PeerSocket, line: string): void {
    socket.userData.wasAsked = false; // whatever it says, it is there
    if (line === "PING") socket.writeLine("PONG");
    else if (line !== "PONG") console.log(`a peer says ${line}`);
  },

  shouldExtendReadTimeout(socket: PeerSocket): number {
    if (socket.userData.wasAsked) return 0;
    socket.userData.wasAsked = true;
    socket.writeLine("PING");
    return answerMs;
  },

  didDisconnect(socket: AsyncSocket<unknown, Peer>, { by, error }: CloseReason): void {
    if (socket.userData !== undefined) console.log(`a peer is gone: ${error?.code ?? by}`);
  },
};

const listener = await AsyncSocket.listen({
  host: "127.0.0.1",
  port: 0,
  userDataFor: () => new Peer(),
  delegate: heartbeat,
});
const place = { host: "127.0.0.1", port: listener.port ?? 0 };

const mute = await AsyncSocket.connect(place);
const lively = await AsyncSocket.connect(place);
let asked = 0;
for await (const line of lively.lines()) {
  if (line !== "PING") continue;
  lively.writeLine(++asked < 3 ? "PONG" : "goodbye");
  if (asked === 3) break;
}
await lively.disconnectAfterWriting();
for await (const line of mute.lines()) console.log(`the mute peer has heard ${line}, and said nothing`);
await listener.shutdown();
