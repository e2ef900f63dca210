/** As much of a Redis client as the chat needs. A reply is one message of a framing, so each command has one read. */

import { AsyncSocket, type ConnectOptions, type Framing } from "asyncsocket";

export type Reply = string | number | null | Reply[];

/** An error that the server replied with. */
export class RedisError extends Error {}

interface Parsed {
  value: Reply | RedisError;
  end: number;
}

/** Parses the reply that begins at an offset. Undefined while bytes of it are missing. */
function parse(bytes: Buffer, at: number): Parsed | undefined {
  const lineEnd = bytes.indexOf("\r\n", at);
  if (lineEnd === -1) return undefined;
  const rest = bytes.toString("utf8", at + 1, lineEnd);
  const next = lineEnd + 2;
  switch (bytes.toString("latin1", at, at + 1)) {
    case "+":
      return { value: rest, end: next };
    case "-":
      return { value: new RedisError(rest), end: next };
    case ":":
      return { value: Number(rest), end: next };
    case "$":
      return rest === "-1" ? { value: null, end: next } : parseText(bytes, next, Number(rest));
    case "*":
      return rest === "-1" ? { value: null, end: next } : parseList(bytes, next, Number(rest));
    default:
      throw new Error("this is no reply of Redis");
  }
}

function parseText(bytes: Buffer, at: number, length: number): Parsed | undefined {
  const end = at + length;
  return bytes.length < end + 2 ? undefined : { value: bytes.toString("utf8", at, end), end: end + 2 };
}

function parseList(bytes: Buffer, at: number, count: number): Parsed | undefined {
  const value: Reply[] = [];
  let end = at;
  while (value.length < count) {
    const one = parse(bytes, end);
    if (one === undefined) return undefined;
    if (one.value instanceof RedisError) throw one.value;
    value.push(one.value);
    end = one.end;
  }
  return { value, end };
}

const replies: Framing<Reply | RedisError> = {
  measure: (bytes) => parse(bytes, 0)?.end,
  decode: (bytes) => parse(bytes, 0)?.value ?? null,
};

export class Redis {
  readonly #socket: AsyncSocket;

  private constructor(socket: AsyncSocket) {
    this.#socket = socket;
  }

  static async connect(options: ConnectOptions): Promise<Redis> {
    return new Redis(await AsyncSocket.connect({ timeout: 5_000, ...options }));
  }

  async send(...words: string[]): Promise<Reply> {
    this.#socket.write(
      `*${words.length}\r\n` + words.map((one) => `$${Buffer.byteLength(one)}\r\n${one}\r\n`).join(""),
    );
    const reply = await this.#socket.readMessage(replies);
    if (reply instanceof RedisError) throw reply;
    return reply;
  }

  /** Closes when every command that was sent has its reply. */
  async close(): Promise<void> {
    await this.#socket.disconnectAfterReadingAndWriting();
  }

  /** Closes at once: commands that have no reply fail. */
  async abandon(): Promise<void> {
    await this.#socket.disconnect();
  }
}
