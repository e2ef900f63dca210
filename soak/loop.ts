/** A run loop of the server under attack: it sends lines back, and dies where a peer asks for it. */
import { AsyncSocket, RunLoop, type AsyncSocketDelegate } from "asyncsocket";
import { parentPort } from "node:worker_threads";
import { LINE } from "./requests.js";

const delegate: AsyncSocketDelegate = {
  didReadText(socket, line) {
    if (line === "crash") throw new Error("a peer has asked for it");
    if (line === "exit") process.exit(1);
    socket.write(`${line}\n`);
    socket.readLine(LINE);
  },
};

// What a thread opens with its first socket is opened at once, so that descriptors can be counted.
new AsyncSocket({ transport: "native" });

parentPort?.on("message", () => parentPort?.postMessage("here"));
RunLoop.current.onSocket((socket) => {
  socket.delegate = delegate;
  socket.readLine(LINE);
});
