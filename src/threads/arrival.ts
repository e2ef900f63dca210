import type { ProxiedAddresses } from "../base/address.js";
import { revived } from "../base/proxy-tlvs.js";
import type { Connection } from "../connection/connection.js";
import { Upgrade } from "../connection/upgrade.js";
import { NO_TIMEOUT } from "../pump/entry.js";
import { WriteEntry } from "../pump/write-queue.js";
import { AsyncSocket } from "../socket/async-socket.js";
import type { SecureSettings } from "../tls/settings.js";
import type { AcceptedTransport } from "../transport/transport.js";
import { inbox } from "./inbox.js";
import type { TransferState } from "./transfer.js";

/** Makes a socket of a connection that came from another thread, restores its state, and hands it to `onSocket`. */
export function arrive(
  transport: AcceptedTransport,
  carrier: "native" | "node",
  state: TransferState,
  secure: SecureSettings | null,
  onClosed: (connection: Connection) => void,
): Connection {
  const { allowHalfOpen, limits, userData } = state;
  const socket = new AsyncSocket({ allowHalfOpen, limits, userData, transport: carrier });
  const connection = socket._connection;
  connection.isAccepted = state.isAccepted;
  connection.host = state.host;
  connection.proxied = proxiedOf(state);
  connection.onClosed = onClosed;
  connection.adopt(transport);
  connection.bytesRead = state.bytesRead;
  connection.writing.bytesWritten = state.bytesWritten;
  if (state.hasFinished) markFinished(connection);
  const { ahead } = state;
  if (ahead.length > 0) connection.takeAhead(Buffer.from(ahead.buffer, ahead.byteOffset, ahead.byteLength));
  transport.adopt(connection);
  if (!state.isReferenced) socket.unref();
  if (secure !== null) {
    connection.upgrade = new Upgrade(connection, secure);
    connection.upgrade.begin();
  }
  const { local, remote } = transport;
  inbox.tell(socket, { userData, info: { local, remote } });
  connection.drain();
  return connection;
}

function proxiedOf({ proxied }: TransferState): ProxiedAddresses | null {
  return proxied?.tlvs === undefined ? proxied : { ...proxied, tlvs: revived(proxied.tlvs) };
}

/** Marks the writing side as ended: `end` was called on the thread that the connection comes from. */
function markFinished({ writing }: Connection): void {
  const end = new WriteEntry("end", undefined, writing, NO_TIMEOUT, []);
  end._state = "done";
  end._owner = null;
  writing.endEntry = end;
  writing.finSent = writing.finDone = true;
}
