/** SRV records from a name server of the test's own, by the runtime's resolver. */

import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { getServers, setServers, type SrvRecord } from "node:dns";
import { once } from "node:events";
import { after, before, describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { failure, settled } from "../support/delegates.js";
import { nameBytes, questionOf, u16 } from "../support/dns-messages.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import { portOf, SAFETY } from "../support/transports.js";

const SRV = 33;
const NO_SUCH_NAME = 3;
const SERVER_FAILED = 2;

/** RFC 1035, as much of it as SRV answers need. */
function answerTo(message: Buffer, zone: ReadonlyMap<string, readonly SrvRecord[] | number>): Buffer {
  const { name, end } = questionOf(message);
  const found = zone.get(name) ?? NO_SUCH_NAME;
  const records = typeof found === "number" ? [] : found;
  const code = typeof found === "number" ? found : 0;
  const answers = records.map((record) => {
    const data = Buffer.concat([u16(record.priority, record.weight, record.port), nameBytes(record.name)]);
    return Buffer.concat([u16(0xc00c, SRV, 1, 0, 60, data.length), data]);
  });
  const header = Buffer.concat([message.subarray(0, 2), u16(0x8180 | code, 1, answers.length, 0, 0)]);
  return Buffer.concat([header, message.subarray(12, end), ...answers]);
}

describe("services by the runtime's resolver", SAFETY, () => {
  const zone = new Map<string, readonly SrvRecord[] | number>();
  const systemServers = getServers();
  let server: Socket;
  let asked: string[] = [];

  before(async () => {
    server = createSocket("udp4", (message, { port, address }) => {
      const { name } = questionOf(message);
      asked.push(name);
      if (!name.includes("silent")) server.send(answerTo(message, zone), port, address);
    });
    server.bind(0, "127.0.0.1");
    await once(server, "listening");
    setServers([`127.0.0.1:${server.address().port}`]);
  });

  after(() => {
    setServers(systemServers);
    server.close();
  });

  async function listening(t: TestContext): Promise<number> {
    return portOf(Belongings.of(t).add(await AsyncSocket.listen({ host: "127.0.0.1", port: 0 })));
  }

  function idle(t: TestContext): AsyncSocket {
    return Belongings.of(t).add(new AsyncSocket());
  }

  it("connects to the target that the records name", async (t) => {
    const port = await listening(t);
    zone.set("_chat._tcp.example.test", [
      { name: "127.0.0.1", port: 1, priority: 1, weight: 5 },
      { name: "localhost", port, priority: 2, weight: 0 },
    ]);
    asked = [];
    const socket = idle(t);
    await socket.connect({ service: "chat", host: "example.test" });
    assert.deepEqual(socket.remote, { family: "IPv4", address: "127.0.0.1", port });
    assert.deepEqual(asked, ["_chat._tcp.example.test"]);
  });

  it("a single dot is DNS", async (t) => {
    zone.set("_chat._tcp.denied.test", [{ name: ".", port: 0, priority: 0, weight: 0 }]);
    const error = await failure(idle(t).connect({ service: "chat", host: "denied.test", port: 5 }), "DNS");
    assert.match(error.message, /denied\.test says that it does not offer it/);
  });

  it("no such name is DNS, or the port to fall back on", async (t) => {
    const error = await failure(idle(t).connect({ service: "chat", host: "unknown.test" }), "DNS");
    assert.match(error.message, /_chat\._tcp\.unknown\.test: there is no SRV record/);
    const socket = idle(t);
    await socket.connect({ service: "chat", host: "localhost", port: await listening(t) });
    assert.equal(socket.state, "open");
  });

  it("a name server that fails is DNS, in words", async (t) => {
    zone.set("_chat._tcp.broken.test", SERVER_FAILED);
    const error = await failure(idle(t).connect({ service: "chat", host: "broken.test" }), "DNS");
    assert.match(error.message, /the name server failed \(ESERVFAIL\); and there is no port to fall back on/);
  });

  it("a name server that is silent is given up with the connect, and leaves no query behind", async (t) => {
    const socket = idle(t);
    const before = process.getActiveResourcesInfo().filter((name) => name === "QueryReqWrap").length;
    asked = [];
    const request = socket.connect({ service: "chat", host: "silent.test" });
    for (let turns = 0; turns < 1000 && asked.length === 0; turns++) await settled(1);
    await socket.disconnect();
    await failure(request, "CLOSED");
    await settled();
    const left = process.getActiveResourcesInfo().filter((name) => name === "QueryReqWrap").length;
    assert.equal(left, before);
  });
});
