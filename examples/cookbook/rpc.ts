/**
 * Remote calls: a request and its answer are a line of JSON each, and a number says which answer belongs to which request. So
 * requests go out at once, without waiting (pipelining), and answers may come in any order. When the connection is lost, the
 * client connects again, and sends once more what has no answer. So a call can arrive twice: use this for methods where that
 * does no harm, or let the server remember the numbers, as examples/counter.ts does.
 *
 *   node build/examples/cookbook/rpc.js
 */

import { setTimeout as wait } from "node:timers/promises";
import { AsyncSocket, type ConnectOptions, json, reconnect } from "asyncsocket";

interface Request {
  id: number;
  method: string;
  params: unknown[];
}

interface Answer {
  id: number;
  result?: unknown;
  error?: string;
}

interface Call {
  request: Request;
  resolve: (result: unknown) => void;
  reject: (error: Error) => void;
}

const requests = json<Request>();
const answers = json<Answer>();
const MAX_MESSAGE_BYTES = 64 * 1024;

// ------------------------------------------------------------------ the client

class RpcClient {
  readonly #calls = new Map<number, Call>();
  readonly #closing = new AbortController();
  #socket: AsyncSocket | undefined;
  #lastId = 0;

  constructor(place: ConnectOptions) {
    void this.#run(place);
  }

  call(method: string, ...params: unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const request = { id: ++this.#lastId, method, params };
      this.#calls.set(request.id, { request, resolve, reject });
      this.#socket?.writeMessage(requests, request); // without a connection it is sent as soon as there is one
    });
  }

  async #run(place: ConnectOptions): Promise<void> {
    const { signal } = this.#closing;
    for await (const socket of reconnect({ timeout: 5_000, ...place }, { delayMs: 20, signal, onRetry: report })) {
      this.#socket = socket;
      for (const { request } of this.#calls.values()) socket.writeMessage(requests, request);
      try {
        for await (const answer of socket.messages(answers, { maxLength: MAX_MESSAGE_BYTES })) this.#settle(answer);
      } catch {
        // The connection was lost, or an answer made no sense. The next connection is the remedy for both.
      }
      socket.disconnect();
      this.#socket = undefined;
    }
  }

  #settle({ id, result, error }: Answer): void {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (error === undefined) call?.resolve(result);
    else call?.reject(new Error(error));
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#socket?.disconnect();
    for (const { reject } of this.#calls.values()) reject(new Error("the client is closed"));
  }
}

function report(error: unknown): void {
  console.log(`connecting again, after: ${error instanceof Error ? error.message : "the server has closed"}`);
}

// ------------------------------------------------------------------ the server

const methods: Readonly<Record<string, (...params: never[]) => unknown>> = {
  add: (a: number, b: number) => a + b,
  slow: (ms: number) => wait(ms, `waited ${ms} ms`),
  crash: () => crash(),
};

async function answer(socket: AsyncSocket, { id, method, params }: Request): Promise<void> {
  try {
    if (!Object.hasOwn(methods, method)) throw new Error(`there is no method ${method}`);
    const result = await methods[method]?.(...(params as never[]));
    socket.writeMessage(answers, { id, result });
  } catch (error) {
    socket.writeMessage(answers, { id, error: error instanceof Error ? error.message : "failed" });
  }
}

const server = await AsyncSocket.listen({
  host: "127.0.0.1",
  port: 0,
  delegate: {
    didAccept: (_listener, socket) => void socket.readMessage(requests, { repeat: true, maxLength: MAX_MESSAGE_BYTES }),
    didReadMessage: (socket, request) => void answer(socket, request as Request),
  },
});

let hasCrashed = false;

/** The first call of this method loses every connection of the server; the second is answered. */
function crash(): string {
  if (hasCrashed) return "not this time";
  hasCrashed = true;
  for (const socket of server.sockets) socket.reset();
  return "nobody will hear of this";
}

// ------------------------------------------------------------------ both at work

const client = new RpcClient({ host: "127.0.0.1", port: server.port ?? 0 });
const order: string[] = [];
const slow = client.call("slow", 50).then(() => order.push("slow"));
const sums = Promise.all([1, 2, 3].map((n) => client.call("add", n, n))).then((all) => {
  order.push("add");
  return all;
});
console.log("add →", await sums);
await slow;
console.log("answers in the order", order.join(", "));
console.log("nonsense →", await client.call("nonsense").catch((error: unknown) => String(error)));
console.log("crash →", await client.call("crash"));
await client.close();
await server.shutdown({ graceMs: 1_000 });
