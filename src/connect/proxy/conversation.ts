import type { SocketRequest } from "../../base/request.js";
import type { SecureSettings } from "../../tls/settings.js";
import type { SocketSettings } from "../../transport/options.js";
import type { Reached } from "../route.js";

/** The methods of a socket that the handshakes with proxies, and whoever sends a PROXY header, use. */
export interface ConversationSocket {
  write(data: Uint8Array | string): PromiseLike<unknown>;
  readExactly(length: number): SocketRequest<Buffer>;
  skip(length: number): SocketRequest<undefined>;
  readUntil(
    delimiter: string,
    options: { readonly maxLength: number; readonly onFailure: "continue" },
  ): SocketRequest<Buffer>;
  readonly peerEnded: boolean;
  readonly closeReason: { readonly by: "local" | "remote" | "error"; readonly error: Error | null } | undefined;
}

/**
 * What comes before the connection is the user's, such as the handshake with a proxy. It has a socket of its own, which
 * gives its transport away in the end.
 */
export interface Conversation {
  readonly socket: ConversationSocket;
  /** Gives the transport away, with the bytes it has received. Null if the connection is lost already. */
  release(): Reached | null;
  disconnect(): void;
  /** Whether an event has come since the last call, or the system has one that was not delivered yet. */
  takeNews(): boolean;
  setReferenced(on: boolean): void;
  change(settings: Partial<SocketSettings>): void;
}

/**
 * Begins a conversation over a connected transport. `closed` is called when its descriptor is closed. With `secure` the
 * conversation begins with a TLS handshake, and gives an encrypted transport away.
 */
export type OpenConversation = (reached: Reached, closed: () => void, secure?: SecureSettings | null) => Conversation;
