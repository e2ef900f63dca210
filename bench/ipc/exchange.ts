/** The shape of what goes over an IPC channel: numbered requests, each with one answer or one failure. */

/** What is asked and what is answered, by the request's name. */
export interface Exchange {
  ask: unknown;
  answer: unknown;
}

export type Exchanges<R> = { [K in keyof R]: Exchange };

export interface Request {
  id: number;
  name: string;
  ask: unknown;
}

export type Reply = { id: number; answer: unknown } | { id: number; failure: string };

export function isRequest(message: unknown): message is Request {
  return typeof message === "object" && message !== null && "id" in message && "name" in message;
}

export function isReply(message: unknown): message is Reply {
  return typeof message === "object" && message !== null && "id" in message && !("name" in message);
}
