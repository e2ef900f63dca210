// Lines as many write them on Node: a socket piped through split2.
import { createServer } from "node:net";
import split2 from "split2";

const server = createServer({ noDelay: true }, (socket) => {
  socket.setTimeout(30_000, () => socket.destroy());
  socket.on("error", () => socket.destroy());
  socket.pipe(split2("\n")).on("data", (line) => socket.write(`${line}\n`));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
