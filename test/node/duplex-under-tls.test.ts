/** The runtime's TLS over the streams of `toDuplex()`, as drivers with a TLS of their own use it: its ends are those over `net.Socket`. */

import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import tls, { type TLSSocket } from "node:tls";
import { Authority } from "../support/certificates.js";
import { type Base, connectingStream, HOST, OURS } from "../support/drivers.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";

const authority = await Authority.create();
const identity = await authority.issue(["localhost"]);

/** How the server ends. */
const ENDS: Readonly<Record<string, (raw: Socket, secure: TLSSocket) => void>> = {
  "the server's process is gone: a FIN alone": (raw) => void raw.end(),
  "the server ends": (_, secure) => void secure.end("the last words"),
};

async function eventsOver(
  t: TestContext,
  base: Base,
  end: (raw: Socket, secure: TLSSocket) => void,
): Promise<string[]> {
  const server = Belongings.of(t).addRaw(tls.createServer(identity)).listen(0, HOST);
  await once(server, "listening");
  const connected = once(server, "connection");
  const secured = once(server, "secureConnection");
  const socket = connectingStream(t, base, (server.address() as AddressInfo).port);
  const client = tls.connect({ socket, ca: authority.cert, servername: "localhost" });
  const events: string[] = [];
  client.on("data", (data: Buffer) => events.push(`data ${String(data)}`));
  client.on("error", (error: Error) => events.push(`error ${error.message}`));
  client.on("end", () => events.push("end"));
  await once(client, "secureConnect");
  const [[raw], [secure]] = (await Promise.all([connected, secured])) as [[Socket], [TLSSocket]];
  const closed = once(client, "close");
  end(Belongings.of(t).addRaw(raw), secure);
  await closed;
  socket.destroy();
  secure.destroy();
  return events;
}

describe("the runtime's TLS over a stream of ours", SAFETY, () => {
  for (const base of OURS) {
    for (const [name, end] of Object.entries(ENDS)) {
      it(`hears of an end over ${base} what it hears over node:net: ${name}`, async (t) => {
        const wanted = await eventsOver(t, "node:net", end);
        assert.equal(wanted.at(-1), "end");
        assert.deepEqual(await eventsOver(t, base, end), wanted);
      });
    }
  }
});
