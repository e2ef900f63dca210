import type { SocketRequest } from "../../base/request.js";
import type { AcceptedTransport } from "../../transport/transport.js";
import type { SocketSettings } from "../../transport/options.js";
import type { Reached } from "../route.js";

/** What the handshakes with proxies ask of a socket. */
export interface ConversationSocket {
  write(data: Uint8Array | string): unknown;
  readExactly(length: number): SocketRequest<Buffer>;
  skip(length: number): SocketRequest<undefined>;
  readUntil(
    delimiter: string,
    options: { readonly maxLength: number; readonly onFailure: "continue" },
  ): SocketRequest<Buffer>;
  readonly peerEnded: boolean;
  readonly closeReason: { readonly by: "local" | "remote" | "error"; readonly error: Error | null } | undefined;
}

/** The talk with a proxy: a socket of its own, which gives its transport away in the end. */
export interface Conversation {
  readonly socket: ConversationSocket;
  /** Gives the transport away, with what it has received. Null where it is lost already. */
  release(): Reached | null;
  disconnect(): void;
  setReferenced(on: boolean): void;
  change(settings: Partial<SocketSettings>): void;
}

/** Begins the talk over a connected transport. `closed` is called when its descriptor is closed. */
export type OpenConversation = (transport: AcceptedTransport, closed: () => void) => Conversation;
