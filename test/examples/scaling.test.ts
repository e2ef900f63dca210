/** The chat of docs/scaling.md: two processes behind HAProxy, which share a room over Redis, and are started anew meanwhile. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { deadPort, startSilent } from "../connect/silent-program.js";
import { findProgram, needs, Program, startOnFreePort, temporaryFolder } from "../support/programs.js";
import { SAFETY } from "../support/transports.js";

async function startRedis(t: TestContext): Promise<number> {
  const folder = temporaryFolder(t);
  const { port } = await startOnFreePort((port) => {
    const options = ["--dir", folder, "--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--port", `${port}`];
    return new Program(t, "redis-server", options);
  }, /Ready to accept connections|ready to accept connections at/);
  return port;
}

/** The processes, and what stands in front of them. */
class Chat {
  readonly #t: TestContext;
  readonly #redis: number;
  readonly ports: readonly [number, number];
  front = 0;

  private constructor(t: TestContext, redis: number, ports: readonly [number, number]) {
    this.#t = t;
    this.#redis = redis;
    this.ports = ports;
  }

  static async start(t: TestContext): Promise<Chat> {
    const chat = new Chat(t, await startRedis(t), [await deadPort(), await deadPort()]);
    return chat;
  }

  async process(which: 0 | 1): Promise<Program> {
    const args = ["--redis", `${this.#redis}`, "--port", `${this.ports[which]}`, "--name", `p${which}`, "--proxy"];
    const process = Program.example(this.#t, "scaling/chat", args);
    await process.sees(/on port/);
    return process;
  }

  async startProxy(): Promise<void> {
    const [a, b] = this.ports;
    this.front = await startSilent(this.#t, "env", (front) => {
      const environment = [`FRONT=${front}`, `A=${a}`, `B=${b}`];
      return [...environment, findProgram("haproxy") ?? "", "-db", "-f", "examples/scaling/haproxy.cfg"];
    });
  }

  async client(name: string): Promise<Program> {
    const client = Program.example(this.#t, "scaling/client", ["--port", `${this.front}`, "--name", name]);
    await client.sees(/JOINED/);
    return client;
  }
}

/** Ends a process, and says something through each client while it does. */
async function endProcess(process: Program, say: (count: number) => void): Promise<void> {
  say(20);
  const stopped = process.stop();
  say(20);
  await stopped;
  const { code, stdout, stderr } = await process.ended();
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(stdout, /\d+ clients have left, 0 were closed/);
}

const PROGRAMS = needs("haproxy", "haproxy").skip === false ? needs("redis-server", "redis-server") : { skip: true };

describe("the chat of several processes", { ...SAFETY, ...PROGRAMS }, () => {
  it("loses no line, and repeats none, while both processes are started anew one after the other", async (t) => {
    const chat = await Chat.start(t);
    const first = [await chat.process(0), await chat.process(1)] as const;
    await chat.startProxy();
    const clients = { ada: await chat.client("ada"), bob: await chat.client("bob"), eve: await chat.client("eve") };
    let said = 0;
    const say = (count: number): void => {
      for (let end = said + count; said < end; said++) {
        for (const client of Object.values(clients)) client.type(`line ${said}\n`);
      }
    };
    const allHear = async (): Promise<void> => {
      const last = said - 1;
      for (const client of Object.values(clients)) {
        for (const name of Object.keys(clients)) await client.sees(new RegExp(`^${name}: line ${last}$`, "m"));
      }
    };

    await endProcess(first[0], say);
    await allHear();
    const second = await chat.process(0);
    await endProcess(first[1], say);
    await allHear();
    await chat.process(1);
    await endProcess(second, say);
    await allHear();

    const expected = Array.from({ length: said }, (_, i) => `line ${i}`);
    const heard = await Promise.all(
      Object.values(clients).map(async (client) => {
        client.endInput();
        return (await client.ended()).stdout;
      }),
    );
    for (const text of heard) {
      assert.equal(text, heard[0], "all hear the same in the same order");
      for (const name of Object.keys(clients)) {
        const own = [...text.matchAll(new RegExp(`^${name}: (.*)$`, "gm"))].map(([, line]) => line);
        assert.deepEqual(own, expected, name);
      }
    }
  });
});
