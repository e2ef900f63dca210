/** What the command line does where something is missing, mute or full: it says so, and its exit code does. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, openSync, closeSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { CommandLine } from "../support/cli.js";
import { deadPort, LOCALHOST } from "../connect/silent-program.js";
import { temporaryFolder } from "../support/programs.js";
import { portOf } from "../support/transports.js";

const MAIN = join(import.meta.dirname, "../../../dist/cli/main.js");

/** Writing to it fails as on a full disk. */
const FULL = "/dev/full";
const needsFull = { skip: existsSync(FULL) ? false : `there is no ${FULL}` };

/** A server that takes clients and says nothing. */
async function startMute(t: TestContext): Promise<string> {
  const listener = await AsyncSocket.listen({ host: LOCALHOST, port: 0 });
  t.after(() => listener.shutdown({ graceMs: 0 }));
  return String(portOf(listener));
}

describe("options that would do nothing, or too much", () => {
  const inTheClear: readonly (readonly string[])[] = [
    ["listen", "0", "--cert", "a", "--key", "b"],
    ["listen", "0", "--key", "b"],
    ["relay", "0", "tls://a:1", "--cert", "a", "--key", "b"],
    ["relay", "0", "a:1", "-k"],
    ["connect", "a:1", "--ca", "a"],
    ["connect", "a:1", "--fingerprint", "AA"],
    ["connect", "a:1", "--servername", "a"],
    ["bench", "a:1", "-k"],
    ["check", "a:1", "--ca", "a"],
  ];
  for (const args of inTheClear) {
    it(`are refused with 2 without TLS: ${args.join(" ")}`, async () => {
      const { code, stderr } = await CommandLine.run(args);
      assert.equal(code, 2);
      assert.match(stderr, /^Expected TLS, [^]*\nTry: /);
    });
  }

  const wrong: readonly (readonly string[])[] = [
    ["bench", "a:1", "--idle", "2147483648"],
    ["connect", "a:1", "--timeout", "99999999999999999999"],
    ["bench", "a:1", "-n", "99999999999999999999"],
    ["listen", "0", "--file", import.meta.dirname],
    ["nothing", "--help"],
  ];
  for (const args of wrong) {
    it(`are refused with 2: ${args.map((word) => (word.startsWith("/") ? "FOLDER" : word)).join(" ")}`, async () => {
      const { code, stdout, stderr } = await CommandLine.run(args);
      assert.deepEqual([code, stdout], [2, ""], stderr);
      assert.match(stderr, /^(Expected|Cannot read) [^]*\nTry: /);
    });
  }

  it("are none with --version", async () => {
    const { code, stdout } = await CommandLine.run(["--version"]);
    assert.equal(code, 0);
    assert.match(stdout, /^\d+\.\d+\.\d+\S*\n$/);
  });
});

describe("a server that says nothing", () => {
  it("ends STARTTLS with 5 when --timeout has passed", async (t) => {
    const port = await startMute(t);
    const args = [LOCALHOST, port, "--starttls", "smtp", "--timeout", "100"];
    const { code, stderr } = await CommandLine.run(["connect", ...args]);
    assert.deepEqual([code, stderr], [5, "STARTTLS took longer than --timeout, 100 ms\n"]);
    assert.equal((await CommandLine.run(["check", ...args])).code, 5);
  });

  it("ends bench with 5 when --idle has passed", async (t) => {
    const port = await startMute(t);
    const { code, stderr } = await CommandLine.run(["bench", LOCALHOST, port, "--idle", "100"]);
    assert.equal(code, 5, stderr);
  });
});

describe("a file", () => {
  it("that has gone ends the client that was to get it, and no other", async (t) => {
    const file = join(temporaryFolder(t), "file");
    writeFileSync(file, "hello");
    const line = new CommandLine(["listen", LOCALHOST, "0", "--file", file]);
    t.after(() => line.interrupt());
    const [, port = ""] = await line.stderr.sees(/port (\d+)/);
    rmSync(file);
    const first = await AsyncSocket.connect({ host: LOCALHOST, port: Number(port) });
    await assert.rejects(first.read());
    await first.closed;
    assert.equal(first.closeReason?.error?.code, "ERR_ASYNCSOCKET_CONNECTION_LOST");
    await line.stderr.sees("ENOENT");
    writeFileSync(file, "hello");
    const second = await AsyncSocket.connect({ host: LOCALHOST, port: Number(port) });
    t.after(() => second.disconnect());
    assert.equal(String(await second.readExactly(5)), "hello");
  });

  it("that cannot hold a recording makes the exit code 1", needsFull, async (t) => {
    const listener = await AsyncSocket.listen({
      host: LOCALHOST,
      port: 0,
      delegate: { didAccept: (_: AsyncSocket, socket: AsyncSocket) => void socket.disconnect() },
    });
    t.after(() => listener.shutdown({ graceMs: 0 }));
    const port = String(portOf(listener));
    const { code, stderr } = await CommandLine.run(["connect", LOCALHOST, port, "--record", FULL]);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /\nCannot write the file of --record: .*no space left on device/i);
    const server = new CommandLine(["listen", LOCALHOST, "0", "--record", FULL]);
    await server.stderr.sees(/port \d+/);
    server.interrupt();
    assert.equal((await server.result).code, 1);
  });

  it("that is full as stdout or stderr makes no stack", needsFull, async () => {
    const full = openSync(FULL, "w");
    try {
      const out = spawnSync(process.execPath, [MAIN, "help"], { stdio: ["ignore", full, "pipe"], encoding: "utf8" });
      assert.equal(out.status, 1, out.stderr);
      assert.match(out.stderr, /^Cannot write to stdout: [^\n]*ENOSPC[^\n]*\n$/);
      const args = [MAIN, "connect", LOCALHOST, String(await deadPort())];
      assert.equal(spawnSync(process.execPath, args, { stdio: ["ignore", "pipe", full] }).status, 3);
    } finally {
      closeSync(full);
    }
  });
});
