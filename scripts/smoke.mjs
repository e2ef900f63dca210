// A program of a user, which is copied beside an installed package: an echo over the transport named, and where there is the
// addon, a move of that socket to another thread, with a line that nobody has read yet.

import { isMainThread } from "node:worker_threads";
import { AsyncSocket, nativeStatus, RunLoop } from "asyncsocket";

async function answer(socket, words) {
  socket.write(`${await socket.readLine()} ${words}\n`);
}

async function main(transport) {
  const { available, reason } = nativeStatus();
  console.log(available ? "native is available" : reason);
  const listener = await new AsyncSocket({ transport }).listen({ port: 0, host: "127.0.0.1" });
  const client = await AsyncSocket.connect({ host: "127.0.0.1", port: listener.port, transport });
  const { value: socket } = await listener.connections().next();
  client.write("it\n");
  await answer(socket, "works");
  console.log(await client.readLine());
  if (available) {
    const loop = await RunLoop.spawn(new URL(import.meta.url));
    client.write("it\n");
    await socket.peek({ length: 3 });
    await socket.moveTo(loop);
    console.log(await client.readLine());
    await client.disconnect();
    await loop[Symbol.asyncDispose]();
  }
  for (const one of [client, socket, listener]) one.disconnect();
}

if (isMainThread) await main(process.argv[2]);
else RunLoop.current.onSocket((socket) => void answer(socket, "moves"));
