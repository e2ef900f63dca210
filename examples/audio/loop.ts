/** Runs on the run loop of the audio server, and plays to each socket that is sent there. */
import { RunLoop } from "asyncsocket";
import { Station } from "./station.js";

const station = new Station();

RunLoop.current.onSocket((socket) => {
  station.add(socket);
  socket.delegate = { didDisconnect: () => station.remove(socket) };
});
