import type { Connection } from "../connection/connection.js";
import { Securing } from "../connection/upgrade.js";
import { NO_TIMEOUT } from "../pump/entry.js";
import { WriteEntry } from "../pump/write-queue.js";
import { AsyncSocket } from "../socket/async-socket.js";
import type { SecureSettings } from "../tls/settings.js";
import type { AcceptedTransport } from "../transport/transport.js";
import { host } from "./inbox.js";
import type { Luggage } from "./transfer.js";

/** Makes a socket of what came from another thread, and tells of it. It goes on where it was. */
export function arrive(
  transport: AcceptedTransport,
  carrier: "native" | "node",
  luggage: Luggage,
  secure: SecureSettings | null,
  onClosed: (connection: Connection) => void,
): Connection {
  const { allowHalfOpen, limits, userData } = luggage;
  const socket = new AsyncSocket({ allowHalfOpen, limits, userData, transport: carrier });
  const connection = socket._connection;
  connection.isAccepted = luggage.isAccepted;
  connection.host = luggage.host;
  connection.proxied = luggage.proxied;
  connection.onClosed = onClosed;
  connection.adopt(transport);
  connection.bytesRead = luggage.bytesRead;
  connection.writing.bytesWritten = luggage.bytesWritten;
  if (luggage.hasFinished) markFinished(connection);
  const { ahead } = luggage;
  if (ahead.length > 0) connection.takeAhead(Buffer.from(ahead.buffer, ahead.byteOffset, ahead.byteLength));
  transport.adopt(connection);
  if (!luggage.isReferenced) socket.unref();
  if (secure !== null) {
    connection.securing = new Securing(connection, secure);
    connection.securing.begin();
  }
  const { local, remote } = transport;
  host.tell(socket, { userData, info: { local, remote } });
  connection.drain();
  return connection;
}

/** Its stream was ended on the thread that it comes from. */
function markFinished({ writing }: Connection): void {
  const end = new WriteEntry("end", undefined, writing, NO_TIMEOUT, []);
  end._state = "done";
  end._owner = null;
  writing.endEntry = end;
  writing.finSent = writing.finDone = true;
}
