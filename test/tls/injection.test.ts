/** Clear text that is slipped in before the handshake must not pass as encrypted (CVE-2011-0411 and its kin). */

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import { connect as connectTLS } from "node:tls";
import { AsyncSocket, type StartTLSOptions } from "asyncsocket";
import { failure, readToEnd, settled, until } from "../support/delegates.js";
import { Belongings, rawPair } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";
import { authority, closedBy, HOST, identity, overMemory, SecureRecorder, streamPair, trusting } from "./helpers.js";

const asClient: StartTLSOptions = { ...trusting, servername: HOST };
const asServer: StartTLSOptions = { ...identity, isServer: true };

/** Asks for TLS as soon as it has read a line, as servers and clients of such protocols do. */
class Upgrading extends SecureRecorder {
  readonly #options: StartTLSOptions;

  constructor(options: StartTLSOptions) {
    super();
    this.#options = options;
  }

  override didReadText(socket: AsyncSocket, text: string, tag: unknown): void {
    super.didReadText(socket, text, tag);
    if (tag !== "line") return;
    if (this.#options.isServer === true) socket.write("go\n");
    socket.startTLS(this.#options);
    socket.readLine({ tag: "behind" });
  }
}

describe("Clear text in the segment of the line before the handshake", SAFETY, () => {
  for (const [role, options] of Object.entries({ client: asClient, server: asServer })) {
    for (const injected of ["EHLO evil\r\n", "x", "\n".repeat(3000)]) {
      it(`never reaches a read of a ${role}, queued by the delegate: ${injected.length} bytes`, async (t) => {
        const delegate = new Upgrading(options);
        const { socket, peer } = await rawPair(t, { delegate });
        socket.readLine({ tag: "line" });
        peer.resume();
        peer.end(`line\n${injected}`);
        await closedBy(socket, "TLS");
        assert.deepEqual(delegate.of("didReadText"), [["line", "line"]]);
        assert.equal(delegate.names.includes("didSecure"), false);
        assert.equal(socket.bytesRead, 5);
      });

      it(`never reaches a read of a ${role}, queued beforehand: ${injected.length} bytes`, async (t) => {
        const { socket, peer } = await rawPair(t);
        const line = socket.readLine();
        const upgrade = socket.startTLS(options);
        const behind = socket.read();
        peer.resume();
        peer.end(`line\n${injected}`);
        assert.equal(await line, "line");
        await failure(upgrade, "TLS");
        await failure(behind, "CLOSED");
        assert.equal((await socket.closed).unread.length, 0);
      });

      it(`never reaches code that awaits, of a ${role}: ${injected.length} bytes`, async (t) => {
        const { socket, peer } = await rawPair(t);
        peer.resume();
        peer.end(`line\n${injected}`);
        await socket.readLine();
        await failure(socket.startTLS(options), "TLS");
        assert.equal((await readToEnd(socket)).length, 0);
      });
    }
  }

  it("ends the handshake with a peer that goes on with a true one, too", async (t) => {
    const { socket, peer } = await rawPair(t);
    socket.readLine();
    const upgrade = socket.startTLS(asServer);
    peer.write("line\nEHLO evil\r\n");
    const secure = connectTLS({ socket: peer, rejectUnauthorized: false });
    Belongings.of(t).addRaw(secure);
    await failure(upgrade, "TLS");
    await closedBy(socket, "TLS");
  });
});

/** What a client of node:tls says first. */
async function clientHello(): Promise<Buffer> {
  const [near, far] = streamPair();
  const client = connectTLS({ socket: near, ca: authority.cert, host: HOST });
  client.on("error", () => undefined);
  const [hello] = (await once(far, "data")) as [Buffer];
  client.destroy();
  near.destroy();
  far.destroy();
  return hello;
}

describe("A ClientHello in the segment of the command", SAFETY, () => {
  it("enters the handshake: the answer is a ServerHello", async (t) => {
    const { socket, peer } = await rawPair(t);
    socket.readLine();
    socket.startTLS(asServer);
    peer.write(Buffer.concat([Buffer.from("STARTTLS\n"), await clientHello()]));
    const [answer] = (await once(peer.resume(), "data")) as [Buffer];
    assert.deepEqual([answer[0], answer[5]], [22, 2]);
    await settled();
    assert.equal(socket.bytesRead, 9);
  });

  it("works for a client that does not wait, over the loopback interface", async (t) => {
    const { socket, peer } = await rawPair(t);
    const line = socket.readLine();
    const upgrade = socket.startTLS(asServer);
    peer.cork();
    peer.write("STARTTLS\n");
    const secure = Belongings.of(t).addRaw(connectTLS({ socket: peer, ca: authority.cert, host: HOST }));
    peer.uncork();
    assert.equal(await line, "STARTTLS");
    await upgrade;
    secure.write("hello\n");
    assert.equal(await socket.readLine(), "hello");
  });

  for (let size = 1; size <= 9; size++) {
    it(`works cut into chunks of ${size}, in memory and over streams`, async (t) => {
      const { client, server } = await overMemory(t, { chunkBytes: () => size });
      await exchange(client, server);
      const [near, far] = streamPair(() => size);
      const belongings = Belongings.of(t);
      await exchange(belongings.add(AsyncSocket.from(near)), belongings.add(AsyncSocket.from(far)));
    });
  }
});

/** The client does not wait for an answer: line, handshake and what follows come as they come. */
async function exchange(client: AsyncSocket, server: AsyncSocket): Promise<void> {
  client.write("STARTTLS\n");
  client.startTLS(asClient);
  client.write("hello\n");
  const line = server.readLine();
  server.startTLS(asServer);
  const hello = server.readLine();
  server.write("welcome\n");
  assert.equal(await line, "STARTTLS");
  assert.equal(await hello, "hello");
  assert.equal(await client.readLine(), "welcome");
  await until(() => client.isSecure && server.isSecure, "both are secure");
  await until(() => client.unsentBytes + server.unsentBytes === 0, "both have written");
  assert.deepEqual([client.bytesWritten, server.bytesRead, client.bytesRead], [15, 15, 8]);
}
