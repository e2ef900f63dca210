/** The echo server, as nc and socat find it. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { needs, Program } from "../support/programs.js";

const WELCOME = "Welcome to the AsyncSocket Echo Server\r\n";
const WARNING = "Are you still there?\r\n";

async function startServer(t: TestContext, ...options: string[]): Promise<{ server: Program; port: string }> {
  const server = Program.example(t, "echo-server", ["--host", "127.0.0.1", ...options]);
  const [, port = ""] = await server.sees(/on port (\d+)/);
  return { server, port };
}

describe("the echo server, spoken to by nc", needs("nc.openbsd", "netcat-openbsd"), () => {
  it("says welcome, repeats each line, and closes when the client has ended", async (t) => {
    const { server, port } = await startServer(t);
    const nc = new Program(t, "nc.openbsd", ["-N", "127.0.0.1", port]);
    nc.type("one\r\ntwo\r\n");
    nc.endInput();
    const { code, stdout } = await nc.ended();
    assert.equal(code, 0);
    assert.equal(stdout, `${WELCOME}one\r\ntwo\r\n`);
    await server.sees(/127\.0\.0\.1 port \d+ left: remote/);
  });

  it("repeats 20 000 lines that come at once", async (t) => {
    const { port } = await startServer(t);
    const nc = new Program(t, "nc.openbsd", ["-N", "127.0.0.1", port]);
    const lines = Array.from({ length: 20_000 }, (_, i) => `line ${i}, and what else it says\r\n`).join("");
    nc.type(lines);
    nc.endInput();
    const { stdout } = await nc.ended();
    assert.ok(stdout === WELCOME + lines, "each line came back, in its order");
  });

  it("warns a silent client once, and then closes", async (t) => {
    const { server, port } = await startServer(t, "--timeout", "100", "--extension", "100");
    const nc = new Program(t, "nc.openbsd", ["-d", "127.0.0.1", port]);
    const { stdout } = await nc.ended();
    assert.equal(stdout, WELCOME + WARNING);
    await server.sees(/left: ERR_ASYNCSOCKET_READ_TIMEOUT/);
  });
});

describe("the echo server, spoken to by socat", needs("socat", "socat"), () => {
  it("goes on with a client that answers the warning, and warns it again", async (t) => {
    const { port } = await startServer(t, "--timeout", "100", "--extension", "3600000");
    const socat = new Program(t, "socat", ["-t", "60", "-", `TCP4:127.0.0.1:${port}`]);
    await socat.sees(/Are you still there\?\r\n/);
    socat.type("I am\r\n");
    await socat.sees(/I am\r\nAre you still there\?\r\n/);
    socat.endInput();
    const { code, stdout } = await socat.ended();
    assert.equal(code, 0);
    assert.equal(stdout, `${WELCOME}${WARNING}I am\r\n${WARNING}`);
  });

  it("takes lines in any pieces, from several clients at once", async (t) => {
    const { port } = await startServer(t);
    const clients = [1, 2, 3].map(() => new Program(t, "socat", ["-t", "60", "-", `TCP4:127.0.0.1:${port}`]));
    for (const client of clients) await client.sees(/Welcome.*\r\n/);
    for (const client of clients) client.type("I am ");
    for (const [i, client] of clients.entries()) client.type(`number ${i}\r`);
    for (const [i, client] of clients.entries()) {
      client.type("\n");
      await client.sees(new RegExp(`I am number ${i}\r\n`));
      client.endInput();
      assert.equal((await client.ended()).stdout, `${WELCOME}I am number ${i}\r\n`);
    }
  });

  it("lets its clients finish when it is asked to end, but not for ever", async (t) => {
    const { server, port } = await startServer(t);
    const socat = new Program(t, "socat", ["-t", "60", "-", `TCP4:127.0.0.1:${port}`]);
    await socat.sees(/Welcome.*\r\n/);
    await server.stop();
    assert.equal((await server.ended()).code, 0);
    socat.endInput();
    assert.equal((await socat.ended()).stdout, WELCOME);
  });
});
