/** `asyncsocket check` and `bench`. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { bytesOf } from "#dist/cli/bench.js";
import { buckets, latencyFacts, percentile } from "#dist/cli/histogram.js";
import { CommandLine } from "../support/cli.js";
import { deadPort, LOCALHOST } from "../connect/silent-program.js";
import { EXIM_NAME, needsExim, startExim } from "../support/exim.js";
import { FiledAuthority } from "../support/key-files.js";
import { needs, Program } from "../support/programs.js";
import { portOf } from "../support/transports.js";

async function startEcho(t: TestContext): Promise<number> {
  const delegate = {
    didAccept: (_: AsyncSocket, socket: AsyncSocket): void => void socket.read({ repeat: true }),
    didRead: (socket: AsyncSocket, data: Buffer): void => void socket.write(data),
  };
  const listener = await AsyncSocket.listen({ host: LOCALHOST, port: 0, delegate });
  t.after(() => listener.shutdown({ graceMs: 0 }));
  return portOf(listener);
}

describe("asyncsocket check", () => {
  it("tells of the name and of each address, and ends with 0, 3 or 4", async (t) => {
    const port = await startEcho(t);
    const good = await CommandLine.run(["check", LOCALHOST, String(port)]);
    assert.equal(good.code, 0);
    assert.match(
      good.stdout,
      /^ {2}name +127\.0\.0\.1 +1 address +[\d.]+ ms\n {2}address +127\.0\.0\.1 port \d+ +connected +[\d.]+ ms\n$/,
    );
    const dead = await CommandLine.run(["check", LOCALHOST, String(await deadPort())]);
    assert.equal(dead.code, 3);
    assert.match(dead.stdout, / ECONNREFUSED /);
    const unknown = await CommandLine.run(["check", "nobody.invalid", "80", "--json"]);
    assert.equal(unknown.code, 4);
    assert.deepEqual((JSON.parse(unknown.stdout) as { addresses: unknown[] }).addresses, []);
    assert.equal((await CommandLine.run(["check", "/a/path"])).code, 2);
    assert.equal((await CommandLine.run(["check", "localhost"])).code, 2);
  });

  it("ends with 6 where TLS is not spoken", async (t) => {
    const port = await startEcho(t);
    const { code, stdout } = await CommandLine.run(["check", LOCALHOST, String(port), "--tls"]);
    assert.equal(code, 6, stdout);
  });
});

describe("asyncsocket check, against openssl s_server", needs("openssl", "openssl"), () => {
  it("tells of the versions of TLS, of the certificate, and when it runs out", async (t) => {
    const authority = await FiledAuthority.create(t, "CN=\u001b[31mmine\u202e");
    const { keyFile, certFile } = await authority.issue("localhost");
    const identity = ["-key", keyFile, "-cert", certFile];
    const server = new Program(t, "openssl", ["s_server", "-accept", `${LOCALHOST}:0`, ...identity, "-rev", "-tls1_3"]);
    const [, port = ""] = await server.sees(/^ACCEPT 127\.0\.0\.1:(\d+)/m);
    const args = ["check", `tls://${LOCALHOST}:${port}`, "--servername", "localhost"];
    const trusted = await CommandLine.run([...args, "--ca", authority.caFile]);
    assert.equal(trusted.code, 0, trusted.stdout);
    assert.match(trusted.stdout, /\n {2}TLS +1\.3 +TLS_\w+ +[\d.]+ ms\n/);
    assert.match(trusted.stdout, /\n {2}subject {2}CN=localhost\n/);
    assert.ok(trusted.stdout.includes("CN=\\x1b[31mmine\\u{202e}"));
    assert.match(trusted.stdout, /, 6 days left\n {2}trust {4}verified\n$/);
    const soon = await CommandLine.run([...args, "--ca", authority.caFile, "--days", "14", "-q"]);
    assert.deepEqual([soon.code, soon.stdout], [6, ""]);
    const stranger = await CommandLine.run([...args, "--json"]);
    assert.equal(stranger.code, 6);
    assert.match(stranger.stdout, /^[\x20-\x7e]+\n$/);
    const findings = JSON.parse(stranger.stdout) as {
      tls: { version: string; code: string | null }[];
      problem: string;
    };
    assert.deepEqual(
      findings.tls.map(({ version, code }) => [version, code]),
      [
        ["1.2", "ERR_ASYNCSOCKET_TLS"],
        ["1.3", null],
      ],
    );
    assert.notEqual(findings.problem, null);
    assert.equal((await CommandLine.run([...args, "-k"])).code, 0);
  });
});

describe("asyncsocket check, against Exim", needsExim(), () => {
  it("looks at the certificate behind STARTTLS", async (t) => {
    const { port, caFile } = await startExim(t);
    const args = ["check", LOCALHOST, String(port), "--starttls", "smtp", "--ca", caFile, "--servername", EXIM_NAME];
    const { code, stdout } = await CommandLine.run(args);
    assert.equal(code, 0, stdout);
    assert.match(stdout, new RegExp(`subject {2}CN=${EXIM_NAME}`));
  });
});

describe("asyncsocket bench", () => {
  it("measures answers by line, by length and by frame, with new connections or without", async (t) => {
    const port = String(await startEcho(t));
    const ways = [
      [],
      ["--bytes", "5"],
      ["--frames", "4"],
      ["--send", "a\\r\\nb\\x00", "--until", "\\0"],
      ["--reconnect"],
    ];
    for (const way of ways) {
      const { code, stdout } = await CommandLine.run([
        "bench",
        LOCALHOST,
        port,
        "-n",
        "20",
        "-c",
        "3",
        "--json",
        ...way,
      ]);
      assert.equal(code, 0, way.join(" "));
      const { requests, latencyMs } = JSON.parse(stdout) as { requests: number; latencyMs: Record<string, number> };
      assert.equal(requests, 20);
      assert.ok(
        (latencyMs["min"] ?? NaN) <= (latencyMs["p50"] ?? NaN) &&
          (latencyMs["p50"] ?? NaN) <= (latencyMs["max"] ?? NaN),
      );
    }
  });

  it("draws a histogram", async (t) => {
    const port = String(await startEcho(t));
    const { stdout } = await CommandLine.run(["bench", LOCALHOST, port, "-n", "50"]);
    const text = Buffer.from(stdout, "latin1").toString();
    assert.match(
      text,
      /^50 requests over 1 at once in .*: \d+ per second\n\n {2}min [^]*\n {2}p99\.9 [^]* to .* ms +\d+ +█+\n/,
    );
  });

  it("fails where the server does, and stops when it is interrupted", async (t) => {
    assert.equal((await CommandLine.run(["bench", LOCALHOST, String(await deadPort())])).code, 3);
    const listener = await AsyncSocket.listen({
      host: LOCALHOST,
      port: 0,
      delegate: {
        didAccept: (_: AsyncSocket, socket: AsyncSocket) => void socket.read().then(() => socket.disconnect()),
      },
    });
    t.after(() => listener.shutdown({ graceMs: 0 }));
    assert.equal((await CommandLine.run(["bench", LOCALHOST, String(portOf(listener)), "-c", "2"])).code, 1);
    const port = String(await startEcho(t));
    const line = new CommandLine(["bench", LOCALHOST, port, "--until", "never"]);
    line.interrupt();
    assert.equal((await line.result).code, 130);
    for (const wrong of [
      ["-n", "0"],
      ["-c", "x"],
      ["--bytes", "1", "--frames", "4"],
      ["--until", ""],
    ]) {
      assert.equal((await CommandLine.run(["bench", LOCALHOST, port, ...wrong])).code, 2, wrong.join(" "));
    }
  });
});

describe("latencies", () => {
  it("have percentiles by the nearest rank", () => {
    const samples = Array.from({ length: 100 }, (_, i) => 100 - i);
    assert.deepEqual(latencyFacts(samples), { min: 1, mean: 50.5, p50: 50, p90: 90, p99: 99, "p99.9": 100, max: 100 });
    assert.equal(percentile([7], 50), 7);
    assert.equal(percentile([], 50), 0);
  });

  it("are each in one bucket, and the buckets grow", () => {
    for (const samples of [
      [5],
      [1, 1],
      [0, 3],
      [1, 2, 4, 8, 1000],
      Array.from({ length: 500 }, (_, i) => 0.1 + i ** 2),
    ]) {
      const all = buckets(samples);
      assert.ok(all.length <= 12);
      assert.equal(
        all.reduce((sum, { count }) => sum + count, 0),
        samples.length,
      );
      for (const [i, { fromMs, toMs }] of all.entries()) {
        assert.ok(fromMs <= toMs);
        if (i > 0) assert.ok(Math.abs(fromMs - (all[i - 1]?.toMs ?? 0)) < 1e-9 * fromMs);
      }
    }
  });

  it("are of requests whose escapes stand for bytes", () => {
    assert.deepEqual(
      bytesOf("a\\r\\n\\t\\0\\xff\\\\x\\qé"),
      Buffer.concat([Buffer.from("a\r\n\t\0"), Buffer.from([255]), Buffer.from("\\x\\qé")]),
    );
  });
});
