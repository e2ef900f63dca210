/**
 * Plays audio to every client that connects, while the main thread is blocked again and again. On the wiki page of the original
 * AsyncSocket, streams stuttered whenever a menu was open. With `--on worker` the sockets live on a run loop, and nothing stutters.
 *
 *   node build/examples/audio/server.js --on worker --port 7000
 *   nc localhost 7000 | aplay -f cd
 */
import { createServer, type AddressInfo } from "node:net";
import { parseArgs } from "node:util";
import { AsyncSocket, RunLoop } from "asyncsocket";
import { blockAgainAndAgain } from "./menu.js";
import { Station } from "./station.js";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    on: { type: "string", default: "worker" }, // or main, or hand (code by hand on node:net, on the main thread)
    block: { type: "string", default: "500" }, // ms; 0 never blocks
  },
});
const where = { port: Number(values.port), host: "127.0.0.1" };

async function onWorker(): Promise<number> {
  const loop = await RunLoop.spawn(new URL("./loop.js", import.meta.url), { name: "audio" });
  const listener = new AsyncSocket({ delegate: { wantsRunLoopForNewSocket: () => loop } });
  await listener.listen(where);
  return portOf(listener);
}

async function onMain(): Promise<number> {
  const station = new Station();
  const listener = new AsyncSocket({
    delegate: {
      didAccept: (_, socket) => station.add(socket),
      didDisconnect: (socket) => station.remove(socket),
    },
  });
  await listener.listen(where);
  return portOf(listener);
}

function byHand(): Promise<number> {
  const station = new Station();
  const server = createServer({ noDelay: true }, (socket) => {
    const listener = {
      write: (bytes: Buffer) => socket.write(bytes),
      get unsentBytes() {
        return socket.writableLength;
      },
    };
    station.add(listener);
    socket
      .on("error", () => socket.destroy())
      .on("close", () => station.remove(listener))
      .resume();
  });
  return new Promise((resolve) => {
    server.listen(where, () => resolve((server.address() as AddressInfo).port));
  });
}

function portOf({ local }: AsyncSocket): number {
  return local === undefined || local.family === "unix" ? 0 : local.port;
}

const starts = { worker: onWorker, main: onMain, hand: byHand };
const start = starts[values.on as keyof typeof starts] as (() => Promise<number>) | undefined;
if (start === undefined) throw new RangeError(`Expected --on worker, main or hand, got ${values.on}`);
console.log(`Audio on port ${await start()}`);
blockAgainAndAgain(Number(values.block));
