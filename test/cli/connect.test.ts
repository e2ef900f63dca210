/** `asyncsocket connect`, on streams of the test's own, with listeners of this library as servers. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type ListenOptions } from "asyncsocket";
import { MemoryNetwork, replay } from "asyncsocket/testing";
import { Progress, sizeInWords } from "#dist/cli/progress.js";
import { CommandLine } from "../support/cli.js";
import { deadPort, LOCALHOST } from "../connect/silent-program.js";
import { temporaryFolder } from "../support/programs.js";
import { portOf } from "../support/transports.js";

type Serve = (socket: AsyncSocket) => unknown;

/** Serves every connection. What a conversation throws is seen by what the program prints. */
async function serve(t: TestContext, serveOne: Serve, options: ListenOptions = {}): Promise<string> {
  const delegate = {
    didAccept: (_: AsyncSocket, socket: AsyncSocket): void => {
      void Promise.resolve(serveOne(socket)).catch(() => socket.disconnect());
    },
  };
  const listener = new AsyncSocket({ delegate, allowHalfOpen: true });
  const where = options.path === undefined ? { host: LOCALHOST, port: 0 } : {};
  await listener.listen({ ...where, ...options });
  t.after(() => listener.shutdown({ graceMs: 0 }));
  return options.path ?? `${LOCALHOST}:${portOf(listener)}`;
}

/** Sends everything back once the client has ended its side. */
async function echoAll(socket: AsyncSocket): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of socket) parts.push(part);
  socket.write(parts);
  socket.disconnectAfterWriting();
}

const says =
  (data: string | Buffer): Serve =>
  (socket) => {
    socket.write(data);
    socket.disconnectAfterWriting();
  };

describe("asyncsocket connect", () => {
  it("sends the input, ends its side behind it, and prints the answer as it is", async (t) => {
    const where = await serve(t, echoAll);
    const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, i) => i % 256));
    const { code, stdout, stderr } = await CommandLine.run(["connect", where], bytes);
    assert.equal(code, 0);
    assert.ok(Buffer.from(stdout, "latin1").equals(bytes));
    assert.match(
      stderr,
      /^Connected to 127\.0\.0\.1 port \d+ in .*\nClosed; received 100000 bytes, sent 100000 bytes\n$/,
    );
  });

  it("takes HOST PORT, a path and a URI", async (t) => {
    const [host = "", port = ""] = (await serve(t, echoAll)).split(":");
    const path = await serve(t, echoAll, { path: `${temporaryFolder(t)}/socket` });
    for (const target of [[host, port], [`tcp://${host}:${port}`], [path], [`unix:${path}`], [`unix://${path}`]]) {
      const { code, stdout } = await CommandLine.run(["connect", "-q", ...target], "hello");
      assert.deepEqual([code, stdout], [0, "hello"], target.join(" "));
    }
  });

  it("shows control characters as escapes on a terminal, unless --raw is given, and paints only there", async (t) => {
    const where = await serve(t, says("\u001b[2Jtitle\u0007\r\n"));
    const safe = await CommandLine.run(["connect", where], "", { isTerminal: true });
    assert.ok(safe.stdout.includes("\\x1b[2Jtitle\\x07\n"), safe.stdout);
    assert.ok(!safe.stdout.includes("\u001b[2J"));
    assert.match(safe.stderr, /^\u001b\[32mConnected to .*\u001b\[39m\n/);
    const raw = await CommandLine.run(["connect", where, "--raw"], "", { isTerminal: true });
    assert.ok(raw.stdout.includes("\u001b[2Jtitle\u0007\r\n"));
    const piped = await CommandLine.run(["connect", where]);
    assert.equal(piped.stdout, "\u001b[2Jtitle\u0007\r\n");
    assert.ok(!piped.stderr.includes("\u001b"));
  });

  it("has line editing and history on a terminal, and ends at Ctrl-D", async (t) => {
    const where = await serve(t, echoAll);
    const line = new CommandLine(["connect", where, "-q"], { isTerminal: true });
    line.stdin.write("hellp\u007fo\r"); // a backspace
    line.stdin.write("\u001b[A\r"); // the line before
    line.stdin.write("\u0004");
    const { code, stdout } = await line.result;
    assert.equal(code, 0);
    assert.ok(stdout.endsWith("hello\nhello\n"), JSON.stringify(stdout));
  });

  it("puts what comes above the line that is being typed", async (t) => {
    const where = await serve(t, async (socket) => {
      socket.write("name? ");
      await socket.readLine();
      socket.write("more\n");
      await socket.readLine();
      socket.disconnect();
    });
    const line = new CommandLine(["connect", where, "-q"], { isTerminal: true });
    await line.stdout.sees("name? ");
    line.stdin.write("me\rtyp");
    await line.stdout.sees("more\n");
    await line.stdout.sees("typ");
    line.stdin.write("ed\r");
    assert.equal((await line.result).code, 0);
  });

  it("closes at Ctrl-C with 130", async (t) => {
    const where = await serve(t, (socket) => socket.write("ready\n"));
    const line = new CommandLine(["connect", where, "-q"], { isTerminal: true });
    await line.stdout.sees("ready");
    line.stdin.write("\u0003");
    assert.equal((await line.result).code, 130);
  });

  it("closes with 130 when a signal comes, in a conversation and before", async (t) => {
    const where = await serve(t, (socket) => socket.write("ready\n"));
    const line = new CommandLine(["connect", where, "-q"]);
    await line.stdout.sees("ready");
    line.interrupt();
    assert.equal((await line.result).code, 130);
    const early = new CommandLine(["connect", where, "-q"]);
    early.interrupt();
    assert.equal((await early.result).code, 130);
  });

  it("sends and shows lines, the last of which need not be ended", async (t) => {
    const where = await serve(t, echoAll);
    const { stdout } = await CommandLine.run(["connect", where, "-q", "--lines", "--crlf", "--json"], "a\nb\r\nc");
    const events = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { event: string; text?: string });
    assert.deepEqual(
      events.filter(({ event }) => event === "received").map(({ text }) => text),
      ["a\r\n", "b\r\n", "c\r\n"],
    );
    const cut = await serve(t, says("one\ntw"));
    assert.deepEqual(await CommandLine.run(["connect", cut, "-q", "--lines"]), {
      code: 0,
      stdout: "one\ntw",
      stderr: "",
    });
  });

  it("sends and shows frames, and fails at one that is cut short", async (t) => {
    const where = await serve(t, async (socket) => {
      for await (const frame of socket.frames({ lengthBytes: 4 })) socket.writeFrame(frame, { lengthBytes: 4 });
      socket.disconnectAfterWriting();
    });
    const { code, stdout } = await CommandLine.run(["connect", where, "-q", "--frames", "4"], "hello\n\nyou\n");
    assert.deepEqual([code, stdout], [0, "hello\n\nyou\n"]);
    const cut = await serve(t, says(Buffer.from([0, 0, 0, 9, 1])));
    const failed = await CommandLine.run(["connect", cut, "-q", "--frames", "4"]);
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /end of the stream/);
  });

  it("shows both directions in hexadecimal numbers, and as JSON", async (t) => {
    const where = await serve(t, echoAll);
    const { stdout } = await CommandLine.run(["connect", where, "-q", "--hex"], "hi\n");
    const columns = `68 69 0a${" ".repeat(41)}|hi.|`;
    assert.equal(stdout, `> 00000000  ${columns}\n< 00000000  ${columns}\n`);
    const json = await CommandLine.run(["connect", where, "--json"], Buffer.from([0xff, 0x1b]));
    const events = json.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { event: string; base64?: string });
    assert.deepEqual(
      events.map(({ event }) => event),
      ["connected", "sent", "received", "closed"],
    );
    assert.equal(events[2]?.base64, "/xs=");
    assert.equal(json.stderr, "");
  });

  it("begins with a PROXY header", async (t) => {
    for (const version of ["1", "2"]) {
      const where = await serve(t, (socket) => says(`${socket.proxied?.remote.family ?? "none"}\n`)(socket), {
        proxyProtocol: true,
      });
      const { stdout } = await CommandLine.run(["connect", where, "-q", "--proxy-header", version]);
      assert.equal(stdout, "IPv4\n");
    }
  });

  it("fails when the connection is reset, and when it is idle for too long", async (t) => {
    const reset = await serve(t, async (socket) => {
      await socket.read();
      socket.reset();
    });
    assert.equal((await CommandLine.run(["connect", reset, "-q"], "hello")).code, 1);
    const silent = await serve(t, () => undefined);
    const { code, stderr } = await CommandLine.run(["connect", silent, "-q", "--idle", "50"]);
    assert.equal(code, 5);
    assert.match(stderr, /50 ms/);
  });

  it("tells by its exit code why there is no connection", async () => {
    const port = await deadPort();
    const refused = await CommandLine.run(["connect", LOCALHOST, String(port)]);
    assert.equal(refused.code, 3);
    assert.match(refused.stderr, /^Cannot connect to 127\.0\.0\.1 port \d+: .*ECONNREFUSED/);
    assert.equal((await CommandLine.run(["connect", "nobody.invalid", "80"])).code, 4);
    const json = await CommandLine.run(["connect", LOCALHOST, String(port), "--json"]);
    assert.equal((JSON.parse(json.stdout) as { code: string }).code, "ERR_ASYNCSOCKET_CONNECT");
  });
});

describe("asyncsocket connect, to look closer", () => {
  it("tells which names were looked up, and which addresses were tried", async (t) => {
    const where = await serve(t, echoAll);
    const port = where.split(":")[1] ?? "";
    // The port is not listened on at ::1, or so is to be hoped of a port that was free.
    const { code, stderr } = await CommandLine.run(["connect", "localhost", port, "--trace"]);
    assert.equal(code, 0);
    assert.match(
      stderr,
      /^Looked localhost up: 2 addresses, after .*\nTried ::1 port \d+: failed \(\w+\) after .*\nTried 127\.0\.0\.1 port \d+: connected after .*\nConnected to /,
    );
    const json = await CommandLine.run(["connect", LOCALHOST, String(await deadPort()), "--trace", "--json"]);
    const [trace] = json.stdout.split("\n");
    const { tried } = JSON.parse(trace ?? "") as { tried: { outcome: string; code: string }[] };
    assert.deepEqual(
      tried.map(({ outcome, code: why }) => [outcome, why]),
      [["failed", "ECONNREFUSED"]],
    );
  });

  it("records the conversation, which can be replayed", async (t) => {
    const where = await serve(t, echoAll);
    const file = `${temporaryFolder(t)}/talk.pcapng`;
    assert.equal((await CommandLine.run(["connect", where, "-q", "--record", file], "hello")).code, 0);
    const socket = new AsyncSocket({ transport: new MemoryNetwork() });
    assert.equal(String(replay(file, socket).expected), "hello");
    assert.equal((await CommandLine.run(["connect", where, "--record", `${file}/no`])).code, 2);
  });
});

describe("the progress of a transfer", () => {
  it("is shown where people look, but not in the middle of a conversation", async (t) => {
    const [host = "", port = ""] = (await serve(t, echoAll)).split(":");
    const socket = await AsyncSocket.connect({ host, port: Number(port), allowHalfOpen: true });
    t.after(() => socket.disconnect());
    const { stdout, stderr, stdin } = new CommandLine(["help"]);
    const terminal = { stdin, stdout, stderr, env: {}, interrupted: new AbortController().signal };
    assert.equal(Progress.of(socket, terminal), null);
    stderr.isTTY = true;
    const progress = Progress.of(socket, terminal, 5);
    await socket.write("x".repeat(3_000));
    await stderr.sees("\r\u001b[Kreceived 0 B, sent 2.93 KiB, ");
    progress?.stop();
    assert.ok(stderr.text.endsWith("/s\r\u001b[K"));
    stdout.isTTY = true;
    assert.equal(Progress.of(socket, terminal), null);
  });

  it("has three digits that matter", () => {
    const sizes = [0, 999, 1000, 1024, 15_000, 150_000, 3 * 2 ** 30, 2 ** 50].map(sizeInWords);
    assert.deepEqual(sizes, ["0 B", "999 B", "0.98 KiB", "1.00 KiB", "14.6 KiB", "146 KiB", "3.00 GiB", "1024 TiB"]);
  });
});

describe("the arguments of asyncsocket", () => {
  const wrong: readonly (readonly string[])[] = [
    ["nothing"],
    ["connect"],
    ["connect", "a", "b", "c"],
    ["connect", "localhost"],
    ["connect", "localhost", "http"],
    ["connect", "localhost", "99999"],
    ["connect", "gopher://localhost"],
    ["connect", "tcp://user@localhost:1"],
    ["connect", "localhost:1", "--unknown"],
    ["connect", "localhost:1", "--frames", "five"],
    ["connect", "localhost:1", "--frames", "9"],
    ["connect", "localhost:1", "--frames", "4", "--lines"],
    ["connect", "localhost:1", "--hex", "--json"],
    ["connect", "localhost:1", "-4", "-6"],
    ["connect", "localhost:1", "--timeout", "-1"],
    ["connect", "localhost:1", "--proxy", "ftp://a"],
    ["connect", "localhost:1", "--starttls", "gopher"],
    ["connect", "tls://localhost:1", "--starttls", "smtp"],
    ["connect", "localhost:1", "--tls", "--ca", "/no/such/file"],
  ];
  for (const args of wrong) {
    it(`are refused with 2: ${args.join(" ")}`, async () => {
      const { code, stderr } = await CommandLine.run(args);
      assert.equal(code, 2, stderr);
      assert.match(stderr, /\nTry: asyncsocket (connect )?--help\n$/);
    });
  }

  it("are explained by --help, with examples", async () => {
    const all = await CommandLine.run([]);
    assert.match(all.stdout, /^asyncsocket COMMAND [^]*connect HOST PORT[^]*Exit codes:/);
    const one = await CommandLine.run(["connect", "--help"]);
    assert.match(
      one.stdout,
      /^asyncsocket connect HOST PORT[^]*--starttls PROTOCOL[^]*Examples:\n {2}asyncsocket connect /,
    );
    assert.deepEqual([all.code, one.code, all.stderr + one.stderr], [0, 0, ""]);
  });
});
