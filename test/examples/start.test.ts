/** `npm start`: the tour, and a word with a server. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { needs, Program } from "../support/programs.js";

const STOPS = [
  "1. A listener accepts",
  "2. Reads are queued",
  "3. A timeout is extended, then expires",
  "4. Much is sent",
  "5. A graceful close",
  "6. A name that nobody has",
];

describe("the tour", () => {
  it("goes from stop to stop, and is pleased with each", async (t) => {
    const { code, stdout, stderr } = await Program.example(t, "start").ended();
    assert.equal(stderr, "");
    assert.equal(code, 0);
    for (const stop of STOPS) assert.ok(stdout.includes(`\n${stop}\n`), stop);
    for (const percent of [25, 50, 75, 100]) assert.match(stdout, new RegExp(` ${percent} %`));
    assert.match(stdout, /you came by IPv4"/);
    assert.match(stdout, /you came by IPv6"|this machine has no IPv6/);
    assert.match(stdout, /you came by unix"/);
    assert.ok(!stdout.includes("\x1b"), "no colours where there is no terminal");
  });
});

/** `script` gives a program a terminal. That of other systems takes other options. */
const TERMINAL = process.platform === "linux" ? needs("script", "bsdutils") : { skip: "skipped: not on Linux" };

describe("the tour, on a terminal", TERMINAL, () => {
  it("has colours, and a bar for what is sent", async (t) => {
    // What the runtime would take for "no colours", with a terminal or without.
    const command = `env -u CI -u NO_COLOR -u FORCE_COLOR TERM=xterm-256color '${process.execPath}' '${Program.pathOf("start")}'`;
    const { code, stdout } = await new Program(t, "script", ["-qec", command, "/dev/null"]).ended();
    assert.equal(code, 0);
    assert.match(stdout, /\x1b\[1m1\. A listener accepts/);
    assert.match(stdout, /█{28} 100 %/);
    assert.ok(stdout.includes("That was the tour."));
  });
});

async function talkToEchoServer(t: TestContext, ...options: string[]): Promise<Program> {
  const server = Program.example(t, "echo-server", ["--host", "127.0.0.1", ...options]);
  const [, port = ""] = await server.sees(/on port (\d+)/);
  return Program.example(t, "start", ["127.0.0.1", port]);
}

describe("npm start -- HOST PORT", () => {
  it("sends what is typed, shows what comes back, and ends with the input", async (t) => {
    const talk = await talkToEchoServer(t);
    await talk.sees(/Welcome.*\r\n/);
    talk.type("Hello\n");
    await talk.sees(/Hello\r\n/);
    talk.type("Good-bye\n");
    talk.endInput();
    const { code, stdout, stderr } = await talk.ended();
    assert.equal(stdout, "Welcome to the AsyncSocket Echo Server\r\nHello\r\nGood-bye\r\n");
    assert.match(stderr, /Closed by remote: 17 bytes sent, 57 received/);
    assert.equal(code, 0);
  });

  it("loses nothing of what was typed before the connection was there", async (t) => {
    const talk = await talkToEchoServer(t);
    talk.type("one\ntwo\nthree");
    talk.endInput();
    assert.match((await talk.ended()).stdout, /\r\none\r\ntwo\r\nthree\r\n$/);
  });

  it("ends when the server closes, although one could still type", async (t) => {
    const talk = await talkToEchoServer(t, "--timeout", "100", "--extension", "100");
    const { code, stderr } = await talk.ended();
    assert.match(stderr, /Closed by remote/);
    assert.equal(code, 0);
  });

  it("says what is wrong when nobody listens, or it is called otherwise", async (t) => {
    for (const [args, words] of [
      [["127.0.0.1", "1"], /Cannot connect to 127\.0\.0\.1 port 1/],
      [["127.0.0.1", "no port"], /Expected port/],
      [["127.0.0.1"], /^Usage: npm start/],
    ] as const) {
      const { code, stderr } = await Program.example(t, "start", args).ended();
      assert.match(stderr, words);
      assert.equal(code, 1);
    }
  });
});
