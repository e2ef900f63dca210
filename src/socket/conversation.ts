import type { Conversation, ConversationSocket, OpenConversation } from "../connect/proxy/conversation.js";
import type { Connection } from "../connection/connection.js";
import { Upgrade } from "../connection/upgrade.js";
import { NO_TIMEOUT } from "../pump/entry.js";

/** Gives a new socket a connected transport, for what comes before the connection is the user's. */
export function converse(
  socket: ConversationSocket,
  connection: Connection,
  ...[{ transport, ahead, hasEnded }, closed, secure = null]: Parameters<OpenConversation>
): Conversation {
  connection.onClosed = closed;
  if (ahead.length > 0) connection.takeAhead(ahead);
  connection.adopt(transport);
  transport.adopt(connection);
  if (hasEnded) connection.didEnd();
  if (secure !== null) {
    connection.upgrade = new Upgrade(connection, secure);
    connection.upgrade.enqueue(undefined, NO_TIMEOUT, undefined);
  }
  return {
    socket,
    release: () => connection.release(),
    disconnect: () => void connection.disconnect(false),
    takeNews: () => connection.takeNews(),
    setReferenced: (on) => connection.setReferenced(on),
    change: (settings) => connection.change(settings),
  };
}
