/** Where sockets move to: whatever comes is sent back. */
import { RunLoop, type AsyncSocketDelegate } from "asyncsocket";

const delegate: AsyncSocketDelegate = {
  didRead(socket, data) {
    socket.write(data);
    socket.read();
  },
};

RunLoop.current.onSocket((socket) => {
  socket.delegate = delegate;
  socket.read();
});
