/** MQTT.js over our streams, against Mosquitto: everything comes out as over the runtime's own sockets. */

import assert from "node:assert/strict";
import { type EventEmitter, once } from "node:events";
import { before, describe, it, type TestContext } from "node:test";
import { Authority } from "../support/certificates.js";
import { pattern } from "../support/delegates.js";
import {
  type Base,
  connectingStream,
  describeDriver,
  digest,
  driver,
  HOST,
  OURS,
  type Trust,
} from "../support/drivers.js";
import {
  freePort,
  needs,
  type Owner,
  Program,
  startOnFreePort,
  suiteAsOwner,
  UNPRIVILEGED,
  unprivilegedFile,
  unprivilegedFolder,
} from "../support/programs.js";
import { keepWhatIsOpen } from "../support/transports.js";

interface Client extends EventEmitter {
  subscribeAsync(topic: string, options: object): Promise<unknown>;
  publishAsync(topic: string, message: Buffer | string, options: object): Promise<unknown>;
  endAsync(): Promise<void>;
}

interface MQTT {
  readonly MqttClient: new (streamBuilder: () => unknown, options: object) => Client;
}

const mqtt = await driver<MQTT>("mqtt");
const authority = await Authority.create();
const trust: Trust = { ca: authority.cert, servername: "localhost" };
const BULK = [0, 1, 100, 16_383, 1_500_000].map((length) => pattern(length));
const MANY = 1000;

interface Mosquitto {
  readonly server: Program;
  readonly port: number;
  readonly securePort: number;
}

async function startMosquitto(t: Owner): Promise<Mosquitto> {
  const folder = unprivilegedFolder(t);
  const { key, cert } = await authority.issue(["localhost"]);
  const securePort = await freePort();
  const start = (port: number): Program => {
    const config = [
      "allow_anonymous true",
      "max_queued_messages 0",
      `listener ${port} ${HOST}`,
      `listener ${securePort} ${HOST}`,
      `keyfile ${unprivilegedFile(folder, "key", key)}`,
      `certfile ${unprivilegedFile(folder, "cert", cert)}`,
    ];
    return new Program(t, "mosquitto", ["-c", unprivilegedFile(folder, "config", config.join("\n"))], UNPRIVILEGED);
  };
  return { ...(await startOnFreePort(start, /mosquitto version \S+ running/)), securePort };
}

describe("Mosquitto, by a client that takes our streams for sockets", needs("mosquitto", "mosquitto"), () => {
  describeDriver("mqtt", mqtt, ({ MqttClient }) => {
    const owner = suiteAsOwner();
    let mosquitto: Mosquitto;
    before(async () => {
      mosquitto = await startMosquitto(owner);
      keepWhatIsOpen();
    });

    async function open(t: TestContext, base: Base, isSecure: boolean): Promise<Client> {
      const { port, securePort } = mosquitto;
      const stream = isSecure ? connectingStream(t, base, securePort, trust) : connectingStream(t, base, port);
      const client = new MqttClient(() => stream, { reconnectPeriod: 0, keepalive: 0 });
      client.on("error", () => undefined);
      await once(client, "connect");
      return client;
    }

    /** Gets all that it publishes, large messages and many small ones, by every quality of service. */
    async function talk(client: Client): Promise<unknown[]> {
      const seen: unknown[] = [];
      const all = new Promise<void>((resolve) => {
        client.on("message", (topic: string, message: Buffer) => {
          if (seen.push(`${topic} ${digest(message)}`) === BULK.length * 3 + MANY) resolve();
        });
      });
      await client.subscribeAsync("all/#", { qos: 2 });
      for (const qos of [0, 1, 2]) {
        for (const message of BULK) await client.publishAsync(`all/bulk/${qos}`, message, { qos });
      }
      await Promise.all(Array.from({ length: MANY }, (_, i) => client.publishAsync("all/many", String(i), { qos: 1 })));
      await all;
      return seen;
    }

    for (const base of OURS) {
      for (const isSecure of [false, true]) {
        it(`publishes and gets the same over ${base}, ${isSecure ? "over our TLS" : "in the clear"}`, async (t) => {
          const results = [];
          for (const one of ["node:net", base] as const) {
            const client = await open(t, one, isSecure);
            results.push(await talk(client));
            await client.endAsync();
          }
          assert.deepEqual(results[1], results[0]);
        });
      }
    }

    it("fails alike over every transport when the server is killed", async (t) => {
      const clients: Client[] = [];
      for (const base of ["node:net", ...OURS] as const) {
        for (const isSecure of [false, true]) clients.push(await open(t, base, isSecure));
      }
      const seen = clients.map(async (client) => {
        const events: unknown[] = [];
        for (const name of ["error", "offline", "end"]) client.on(name, (error: unknown) => events.push(name, error));
        await once(client, "close");
        return events;
      });
      await mosquitto.server.kill();
      for (const events of await Promise.all(seen)) assert.deepEqual(events, [], "no error, and no end but the close");
    });
  });
});
