/** The Redis client, against redis-server. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { needs, Program, startOnFreePort, temporaryFolder } from "../support/programs.js";

/** Keeps nothing, and writes nothing outside of the folder. */
function startRedis(t: TestContext, folder: string, ...options: string[]): Program {
  return new Program(t, "redis-server", ["--dir", folder, "--save", "", "--appendonly", "no", ...options]);
}

const IS_READY = /Ready to accept connections|ready to accept connections at/;

const REPLIES = [
  "PING → PONG",
  "SET → OK",
  'GET → "Grüße\\r\\naus Köln"',
  "RPUSH → 3",
  "LRANGE → [ 'one', 'two', '' ]",
  "GET of nothing → null",
  "INCR of a text → ERR value is not an integer or out of range",
];

describe("the Redis client, against redis-server", needs("redis-server", "redis-server"), () => {
  it("reads every kind of reply, and ten thousand of them in the pipeline", async (t) => {
    const folder = temporaryFolder(t);
    const { port } = await startOnFreePort(
      (port) => startRedis(t, folder, "--bind", "127.0.0.1", "--port", String(port)),
      IS_READY,
    );
    const client = Program.example(t, "redis-client", ["--host", "127.0.0.1", "--port", String(port)]);
    const { code, stdout, stderr } = await client.ended();
    assert.equal(stderr, "");
    assert.equal(code, 0);
    for (const reply of REPLIES) assert.ok(stdout.includes(`${reply}\n`), `${reply} in\n${stdout}`);
    assert.match(stdout, /10000 commands in the pipeline: all 10000 replies are right/);
  });

  it("does all that the server says it did, over a Unix-domain socket", async (t) => {
    const folder = temporaryFolder(t);
    const path = join(folder, "redis.sock");
    const server = startRedis(t, folder, "--port", "0", "--unixsocket", path);
    await server.sees(IS_READY);
    const client = Program.example(t, "redis-client", ["--path", path, "--count", "2000"]);
    assert.equal((await client.ended()).code, 0);
    const statistics = await new Program(t, "redis-cli", ["-s", path, "info", "all"]).ended();
    assert.match(statistics.stdout, /cmdstat_set:calls=1001,/);
    assert.match(statistics.stdout, /cmdstat_get:calls=1002,/);
    assert.doesNotMatch(statistics.stdout, /^db0:keys/m, "it takes away what it has set");
  });
});
