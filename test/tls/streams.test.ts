/** A socket that becomes a stream while its handshake is under way: whoever was to trust the peer still decides. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Duplex } from "node:stream";
import { describe, it, type TestContext } from "node:test";
import type { AsyncSocket, AsyncSocketDelegate, AsyncSocketOptions, TLSOptions } from "asyncsocket";
import { NO_NATIVE } from "../support/availability.js";
import { settled, shortCode, until } from "../support/delegates.js";
import { throwsBadState } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";
import { authority, HOST, identity, idle, listening, nodeClient, nodeServer, stranger, trusting } from "./helpers.js";

const outsider = { ...(await stranger.issue(["an outsider"])), allowHalfOpen: false };
const SECRET = "the password";
const ASKING: TLSOptions = { ...identity, requestCert: true, rejectUnauthorized: false, ca: authority.cert };

type Answer = () => boolean | Promise<boolean>;

const REFUSALS: Readonly<Record<string, Answer>> = {
  "at once": () => false,
  "turns later": () => settled().then(() => false),
  "by a promise that fails": () => settled().then(() => assert.fail("it cannot say")),
};

const TRANSPORTS = NO_NATIVE === false ? (["node", "native"] as const) : (["node"] as const);

/** Decides about peers, and notes whom it was asked about. */
class Judge implements AsyncSocketDelegate {
  asked = 0;
  readonly sockets: AsyncSocket[] = [];
  readonly #answer: Answer;
  readonly #didAccept: (socket: AsyncSocket) => void;

  constructor(answer: Answer, didAccept: (socket: AsyncSocket) => void = () => undefined) {
    this.#answer = answer;
    this.#didAccept = didAccept;
  }

  shouldTrustPeer(): boolean | Promise<boolean> {
    this.asked++;
    return this.#answer();
  }

  didAccept(_listener: AsyncSocket, socket: AsyncSocket): void {
    this.sockets.push(socket);
    this.#didAccept(socket);
  }
}

/** A stream that sends at once, and notes what it was given and how it ended. */
class Taker {
  received = "";
  error: unknown = null;
  isClosed = false;

  /** @param eager whether to write at once */
  constructor(stream: Duplex) {
    stream.write(SECRET);
    stream.on("data", (data: Buffer) => (this.received += data.toString()));
    stream.on("error", (error) => (this.error = error));
    stream.on("close", () => (this.isClosed = true));
  }
}

async function listeningFor(t: TestContext, judge: Judge, options: AsyncSocketOptions): Promise<number> {
  const { target } = await listening(t, ASKING, { ...options, delegate: judge });
  return target.port;
}

for (const transport of TRANSPORTS) {
  describe(`a stream made while the handshake is under way, over ${transport}`, SAFETY, () => {
    for (const [how, answer] of Object.entries(REFUSALS)) {
      it(`accepted, and its client refused ${how}: nothing goes out, nothing comes in`, async (t) => {
        const takers: Taker[] = [];
        const judge = new Judge(answer, (socket) => takers.push(new Taker(socket.toDuplex())));
        const client = nodeClient(t, await listeningFor(t, judge, { transport }), outsider);
        let received = "";
        client.on("data", (data: Buffer) => (received += data.toString()));
        client.on("error", () => undefined);
        client.write("let me in");
        await once(client, "close");
        await until(() => takers[0]?.isClosed === true, "the stream is destroyed");
        assert.deepEqual([judge.asked, received, takers[0]?.received], [1, "", ""]);
        assert.equal(shortCode(takers[0]?.error), "TLS");
        assert.equal(judge.sockets[0]?.isSecure, false);
      });

      it(`connecting, and the server refused ${how}: the password stays here`, async (t) => {
        const server = await nodeServer(t);
        const judge = new Judge(answer);
        const socket = idle(t, { transport, delegate: judge });
        const connecting = socket.connect({ ...server.target, tls: trusting });
        const taker = new Taker(socket.toDuplex());
        const peer = await server.secured();
        let received = "";
        peer.on("data", (data: Buffer) => (received += data.toString()));
        peer.on("error", () => undefined);
        peer.write("hello");
        await assert.rejects(connecting, /not to be trusted/);
        await until(() => taker.isClosed, "the stream is destroyed");
        await settled();
        assert.deepEqual([judge.asked, received, taker.received], [1, "", ""]);
        assert.equal(taker.error, socket.closeReason?.error);
      });

      it(`web streams of a client that was refused ${how} fail`, async (t) => {
        const ends: Promise<unknown>[] = [];
        const judge = new Judge(answer, (socket) => {
          const { readable, writable } = socket.toWeb();
          const writer = writable.getWriter();
          void writer.write(Buffer.from(SECRET)).catch(() => undefined);
          ends.push(
            writer.closed.catch((error: unknown) => error),
            readable
              .getReader()
              .read()
              .catch((error: unknown) => error),
          );
        });
        const client = nodeClient(t, await listeningFor(t, judge, { transport }), outsider);
        client.on("error", () => undefined);
        client.on("data", () => assert.fail("it was let in"));
        client.write("let me in");
        await once(client, "close");
        await until(() => judge.sockets[0]?.state === "closed", "the close");
        for (const end of ends) assert.equal(shortCode(await end), "TLS");
        assert.equal(judge.asked, 1);
      });
    }

    it("carries bytes both ways once the peer is trusted", async (t) => {
      const takers: Taker[] = [];
      const judge = new Judge(
        () => settled().then(() => true),
        (socket) => takers.push(new Taker(socket.toDuplex())),
      );
      const client = nodeClient(t, await listeningFor(t, judge, { transport }), outsider);
      client.end("let me in");
      let received = "";
      for await (const data of client) received += String(data);
      await until(() => takers[0]?.isClosed === true, "the stream is through");
      assert.deepEqual([judge.asked, received, takers[0]?.received, takers[0]?.error], [1, SECRET, "let me in", null]);
    });

    it("asks a delegate that was set since, if that can decide", async (t) => {
      const first = new Judge(
        () => true,
        (socket) => {
          new Taker(socket.toDuplex());
          socket.delegate = second;
        },
      );
      const second = new Judge(() => false);
      const client = nodeClient(t, await listeningFor(t, first, { transport }), outsider);
      client.on("error", () => undefined);
      client.resume();
      await once(client, "close");
      assert.deepEqual([first.asked, second.asked], [0, 1]);
    });

    it("serves by http.Server no peer that shouldTrustPeer refuses", async (t) => {
      let served = 0;
      const http = createServer((_, response) => {
        served++;
        response.end("a page");
      });
      const judge = new Judge(
        () => false,
        (socket) => http.emit("connection", socket.toDuplex()),
      );
      const port = await listeningFor(t, judge, { transport });
      const request = httpsRequest({ host: HOST, port, ca: authority.cert, agent: false, ...outsider });
      const [outcome] = (await Promise.race([
        once(request, "response").catch((error: unknown) => [error]),
        once(request, "error"),
      ])) as [Error];
      request.end();
      await until(() => judge.sockets[0]?.state === "closed", "the close");
      assert.ok(outcome instanceof Error);
      assert.deepEqual([judge.asked, served], [1, 0]);
      http.close();
    });

    it("cannot be made while a startTLS is queued or under way", async (t) => {
      const { target, accepted } = await listening(t, undefined, { transport });
      const client = idle(t, { transport });
      await client.connect(target);
      const server = await accepted();
      const upgrades = [client.startTLS(trusting), server.startTLS({ ...identity, isServer: true })];
      for (const socket of [client, server]) {
        throwsBadState(() => socket.toDuplex(), "toDuplex");
        throwsBadState(() => socket.toWeb(), "toWeb");
      }
      await settled(1);
      throwsBadState(() => client.toDuplex(), "toDuplex");
      await Promise.all(upgrades);
      client.toDuplex().end(SECRET);
      assert.equal(String(await server.readExactly(SECRET.length)), SECRET);
    });
  });
}
