import type { ProxiedAddresses } from "../base/address.js";
import { revived } from "../base/proxy-tlvs.js";
import type { Connection } from "../connection/connection.js";
import { publishMove } from "../connection/diagnostics.js";
import type { Origin } from "../connection/origin.js";
import { Upgrade } from "../connection/upgrade.js";
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
  connection.onClosed = onClosed;
  connection.adopt(transport, { ...state.origin, proxied: proxiedOf(state.origin) });
  const { ahead } = state;
  if (ahead.length > 0) connection.takeAhead(Buffer.from(ahead.buffer, ahead.byteOffset, ahead.byteLength));
  transport.adopt(connection);
  if (!state.isReferenced) socket.unref();
  if (secure !== null) {
    connection.upgrade = new Upgrade(connection, secure);
    connection.upgrade.begin();
  }
  publishMove(connection, "in", undefined);
  const { local, remote } = transport;
  inbox.tell(socket, { userData, info: { local, remote } });
  connection.drain();
  return connection;
}

function proxiedOf({ proxied }: Origin): ProxiedAddresses | null {
  return proxied?.tlvs === undefined ? proxied : { ...proxied, tlvs: revived(proxied.tlvs) };
}
