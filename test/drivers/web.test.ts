/** ws and undici over our streams, against http.Server, and http.Server and ws over what our listeners accept. */

import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { createServer, type Server } from "node:http";
import { it, type TestContext } from "node:test";
import { acceptOver, type Base, connectOver, describeDriver, digest, driver, HOST, OURS } from "../support/drivers.js";
import { pattern } from "../support/delegates.js";

interface WebSocket extends EventEmitter {
  readonly send: (data: Buffer) => void;
  readonly terminate: () => void;
  readonly close: (code: number, reason: string) => void;
}

interface WS {
  readonly WebSocket: new (url: string, options?: object) => WebSocket;
  readonly WebSocketServer: new (options: object) => EventEmitter;
}

interface Undici {
  readonly Client: new (
    origin: string,
    options: object,
  ) => {
    request(options: object): Promise<{ statusCode: number; body: { arrayBuffer(): Promise<ArrayBuffer> } }>;
    destroy(): Promise<void>;
  };
}

const ws = await driver<WS>("ws");
const undici = await driver<Undici>("undici");

/** Whose sockets are streams of ours. */
const SIDES: readonly (readonly [string, (base: Base) => readonly [client: Base, server: Base]])[] = [
  ["the client is ours", (base) => [base, "node:net"]],
  ["the server is ours", (base) => ["node:net", base]],
  ["both are ours", (base) => [base, base]],
];

type Run = (t: TestContext, client: Base, server: Base) => Promise<readonly unknown[]>;

/** Plays the same with our streams on either side as over the runtime's own sockets. */
function alike(name: string, run: Run): void {
  for (const base of OURS) {
    it(`${name} over ${base} as over node:net`, async (t) => {
      const wanted = await run(t, "node:net", "node:net");
      for (const [whose, basesOf] of SIDES) assert.deepEqual(await run(t, ...basesOf(base)), wanted, whose);
    });
  }
}

function httpServer(t: TestContext): Server {
  const http = createServer((request, response) => {
    // What comes has no end, and is cut off in the middle.
    if (request.url === "/cut") response.write(pattern(100_000), () => response.socket?.destroy());
    else if (request.url === "/reset") request.socket.resetAndDestroy();
    else request.pipe(response);
  });
  t.after(() => http.closeAllConnections());
  return http;
}

const LENGTHS = [0, 1, 125, 126, 65_535, 65_536, 300_000, ...Array.from({ length: 100 }, (_, i) => i * 7)];

describeDriver("ws", ws, ({ WebSocket, WebSocketServer }) => {
  alike("echoes messages of every length, and tells of both ends", async (t, client, server) => {
    const http = httpServer(t);
    const seen: unknown[] = [];
    new WebSocketServer({ server: http }).on("connection", (peer: WebSocket) => {
      peer.on("message", (data: Buffer) => (data.toString() === "go" ? peer.terminate() : peer.send(data)));
      peer.on("close", (code: number, reason: Buffer) => seen.push(`server ${code} ${String(reason)}`));
    });
    const port = await acceptOver(t, server, http);
    const { restore } = connectOver(t, client);
    for (const end of ["close", "terminate"] as const) {
      const socket = new WebSocket(`ws://${HOST}:${port}/`);
      const echoed: string[] = [];
      const all = new Promise<void>((resolve) => {
        socket.on("message", (data: Buffer) => echoed.push(digest(data)) === LENGTHS.length && resolve());
      });
      await once(socket, "open");
      const messages = LENGTHS.map((length) => pattern(length));
      for (const message of messages) socket.send(message);
      await all;
      assert.deepEqual(echoed, messages.map(digest));
      const closed = once(socket, "close") as Promise<[number, Buffer]>;
      if (end === "close") socket.close(4000, "done");
      else socket.send(Buffer.from("go"));
      const [code, reason] = await closed;
      seen.push(`client ${code} ${String(reason)}`);
    }
    restore();
    return seen.sort();
  });
});

describeDriver("undici", undici, ({ Client }) => {
  alike("uses connections again, carries bulk, and fails alike where the server goes", async (t, client, server) => {
    const port = await acceptOver(t, server, httpServer(t));
    const { restore } = connectOver(t, client);
    const one = new Client(`http://${HOST}:${port}`, { pipelining: 4 });
    const seen: unknown[] = [];
    const post = async (path: string, body: Buffer): Promise<string> => {
      const { statusCode, body: back } = await one.request({ path, method: "POST", body });
      return `${statusCode} ${digest(Buffer.from(await back.arrayBuffer()))}`;
    };
    const bodies = [1, 10_000, 2_000_000, 5].map((length) => pattern(length));
    seen.push(...(await Promise.all(bodies.map((body) => post("/", body)))));
    for (const path of ["/cut", "/reset", "/", "/reset"]) {
      seen.push(await post(path, Buffer.from("x")).catch((error: unknown) => (error as NodeJS.ErrnoException).code));
    }
    await one.destroy();
    restore();
    assert.equal(seen[0], `200 ${digest(pattern(1))}`);
    return seen;
  });
});
