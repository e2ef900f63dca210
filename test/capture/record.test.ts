/** Recordings, as tshark reads them. */

import assert from "node:assert/strict";
import { hasSubscribers } from "node:diagnostics_channel";
import { chmodSync, existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type AsyncSocketOptions, type ConnectOptions, type ListenOptions } from "asyncsocket";
import { record } from "asyncsocket/capture";
import { FiledAuthority } from "../support/key-files.js";
import { needs, Program, temporaryFolder } from "../support/programs.js";
import { portOf } from "../support/transports.js";

const LOCALHOST = "127.0.0.1";
const PREFERENCES = ["tcp.check_checksum:TRUE", "ip.check_checksum:TRUE", "tcp.relative_sequence_numbers:FALSE"];
/** Whatever is wrong with a packet: malformed, lost, sent again, out of order, a checksum, or worse than a note. */
const WRONG = [
  "_ws.malformed",
  "tcp.analysis.flags",
  "tcp.checksum.status == 0",
  "ip.checksum.status == 0",
  "_ws.expert.severity >= 0x600000",
].join(" or ");

interface Stream {
  readonly client: Buffer;
  readonly server: Buffer;
}

/** What tshark prints. */
async function tshark(t: TestContext, file: string, ...args: string[]): Promise<string> {
  const preferences = PREFERENCES.flatMap((preference) => ["-o", preference]);
  const { code, stdout, stderr } = await new Program(t, "tshark", ["-n", "-r", file, ...preferences, ...args]).ended();
  assert.equal(code, 0, stderr);
  return stdout;
}

/** The streams as "follow stream" shows them. Fails if anything is wrong with any packet. */
async function follow(t: TestContext, file: string, streams = 1): Promise<Stream[]> {
  const numbers = Array.from({ length: streams }, (_, i) => i);
  const output = await tshark(t, file, "-Y", WRONG, ...numbers.flatMap((number) => ["-z", `follow,tcp,raw,${number}`]));
  const first = output.indexOf("\n===");
  assert.equal(output.slice(0, Math.max(0, first)).trim(), "");
  return numbers.map((number) => streamIn(output, number));
}

function streamIn(output: string, number: number): Stream {
  const [, section = ""] =
    new RegExp(`Filter: tcp\\.stream eq ${number}\n.*\nNode 1: .*\n([^=]*)=`).exec(output) ?? assert.fail(output);
  const lines = section.split("\n").filter((line) => line !== "");
  const of = (isServer: boolean): Buffer =>
    Buffer.from(
      lines
        .filter((line) => line.startsWith("\t") === isServer)
        .join("")
        .replaceAll("\t", ""),
      "hex",
    );
  return { client: of(false), server: of(true) };
}

/** One line for each packet: ports, flags, sequence and acknowledgement numbers, length. */
async function packets(t: TestContext, file: string): Promise<string[]> {
  const fields = ["tcp.flags.str", "tcp.seq", "tcp.ack", "tcp.len"].flatMap((field) => ["-e", field]);
  const output = await tshark(t, file, "-T", "fields", ...fields);
  return output
    .trimEnd()
    .split("\n")
    .map((line) => line.replaceAll("·", "").replaceAll("\t", " "));
}

/** An echo server, and a client that is not connected yet. */
async function start(t: TestContext, options: ListenOptions, settings: AsyncSocketOptions = {}) {
  const delegate = {
    didAccept: (_: AsyncSocket, socket: AsyncSocket): void => void socket.read({ repeat: true }),
    didRead: (socket: AsyncSocket, data: Buffer): void => void socket.write(data),
  };
  const listener = new AsyncSocket({ ...settings, delegate });
  await listener.listen(options);
  t.after(() => listener.shutdown({ graceMs: 0 }));
  const client = new AsyncSocket(settings);
  t.after(() => client.disconnect());
  return { listener, client };
}

async function exchange(client: AsyncSocket, options: ConnectOptions, data: Buffer): Promise<void> {
  if (client.state !== "open") await client.connect(options);
  client.write(data);
  await client.readExactly(data.length);
  await client.disconnectAfterWriting();
}

const DATA = Buffer.from(Array.from({ length: 200_000 }, (_, i) => i % 253));
const captureFile = (t: TestContext): string => join(temporaryFolder(t), "capture.pcapng");

describe("a recording, read by tshark", needs("tshark", "tshark"), () => {
  for (const [transport, host] of [
    ["auto", LOCALHOST],
    ["node", "::1"],
  ] as const) {
    it(`has the bytes of a client, over ${transport} at ${host}`, async (t) => {
      const file = captureFile(t);
      const { listener, client } = await start(t, { host, port: 0 }, { transport });
      const recording = record(client, file);
      await exchange(client, { host, port: portOf(listener) }, DATA);
      assert.deepEqual([recording.isActive, recording.bytes, recording.error], [false, 2 * DATA.length, null]);
      const [stream] = await follow(t, file);
      assert.ok(stream?.client.equals(DATA) && stream.server.equals(DATA));
    });
  }

  it("has the connections of a listener, from the client's side, those that were open before as well", async (t) => {
    const file = captureFile(t);
    const { listener, client } = await start(t, { host: LOCALHOST, port: 0 });
    const port = portOf(listener);
    await client.connect({ host: LOCALHOST, port });
    client.write("before");
    await client.readExactly(6);
    const recording = record(listener, file);
    await exchange(client, {}, Buffer.from("one"));
    await exchange(new AsyncSocket(), { host: LOCALHOST, port }, Buffer.from("two"));
    while (!(await isClosed(listener)));
    assert.equal(recording.isActive, true);
    recording.stop();
    await exchange(new AsyncSocket(), { host: LOCALHOST, port }, Buffer.from("three"));
    const streams = await follow(t, file, 2);
    assert.deepEqual(
      streams.map(({ client: sent, server }) => [String(sent), String(server)]),
      [
        ["one", "one"],
        ["two", "two"],
      ],
    );
  });

  it("has the clear side of TLS, before and behind STARTTLS", async (t) => {
    const file = captureFile(t);
    const authority = await FiledAuthority.create(t);
    const identity = await authority.identity("localhost");
    const delegate = {
      async didAccept(_: AsyncSocket, socket: AsyncSocket): Promise<void> {
        assert.equal(await socket.readLine(), "STARTTLS");
        socket.write("go\n");
        await socket.startTLS(identity);
        socket.write((await socket.readLine()) + "!\n");
        socket.disconnectAfterWriting();
      },
    };
    const listener = await AsyncSocket.listen({ host: LOCALHOST, port: 0, delegate });
    t.after(() => listener.shutdown({ graceMs: 0 }));
    const client = new AsyncSocket();
    record(client, file);
    await client.connect({ host: LOCALHOST, port: portOf(listener) });
    client.write("STARTTLS\n");
    assert.equal(await client.readLine(), "go");
    client.startTLS({ ca: authority.cert, servername: "localhost" });
    client.write("secret\n");
    assert.equal(await client.readLine(), "secret!");
    await client.disconnectAfterWriting();
    const [stream] = await follow(t, file);
    assert.deepEqual([String(stream?.client), String(stream?.server)], ["STARTTLS\nsecret\n", "go\nsecret!\n"]);
  });

  it("gives addresses to a Unix-domain socket, numbers every byte, and ends with FINs", async (t) => {
    const file = captureFile(t);
    const path = join(temporaryFolder(t), "socket");
    const { client } = await start(t, { path });
    record(client, file);
    await exchange(client, { path }, Buffer.from("hello"));
    assert.deepEqual(
      await packets(t, file),
      [
        "S 0 0 0",
        "AS 0 1 0",
        "A 1 1 0",
        "AP 1 1 5",
        "A 1 6 0",
        "AP 1 6 5",
        "A 6 6 0",
        "AF 6 6 0",
        "A 6 7 0",
        "AF 6 7 0",
        "A 7 7 0",
      ].map((line) => line.replace(/^AS/, "AS")),
    );
    assert.match(await tshark(t, file, "-T", "fields", "-e", "ip.src", "-c", "1"), /^192\.0\.2\.1\n$/);
  });

  it("ends with a RST of the side that cut the connection off", async (t) => {
    for (const isOurs of [true, false]) {
      const file = captureFile(t);
      const delegate = {
        async didAccept(_: AsyncSocket, socket: AsyncSocket): Promise<void> {
          await socket.read();
          if (!isOurs) socket.reset();
        },
      };
      const listener = await AsyncSocket.listen({ host: LOCALHOST, port: 0, delegate });
      t.after(() => listener.shutdown({ graceMs: 0 }));
      const client = new AsyncSocket();
      record(client, file);
      await client.connect({ host: LOCALHOST, port: portOf(listener) });
      await client.write("hello");
      if (isOurs) await client.reset();
      await client.closed;
      const fields = ["-T", "fields", "-e", "tcp.dstport", "-Y", "tcp.flags.reset == 1"];
      const towards = Number(await tshark(t, file, ...fields));
      assert.ok(towards > 0, "there is a RST");
      assert.equal(towards === portOf(listener), isOurs);
    }
  });
});

/** Lets a turn pass. @returns whether the listener has no open connection */
async function isClosed(listener: AsyncSocket): Promise<boolean> {
  await new Promise((resolve) => setImmediate(resolve));
  return [...listener.sockets].length === 0;
}

describe("a recording", () => {
  const CHANNELS = [
    "asyncsocket:bytes",
    "asyncsocket:accept",
    "asyncsocket:close",
    "tracing:asyncsocket:connect:asyncEnd",
  ];

  it("costs nothing more when it has ended, however it did", async (t) => {
    const { listener, client } = await start(t, { host: LOCALHOST, port: 0 });
    const isHeard = (): boolean => CHANNELS.some((name) => hasSubscribers(name));
    assert.equal(isHeard(), false);
    const recording = record(client, captureFile(t));
    assert.deepEqual(
      CHANNELS.map((name) => hasSubscribers(name)),
      [true, true, true, true],
    );
    await exchange(client, { host: LOCALHOST, port: portOf(listener) }, DATA);
    assert.equal(isHeard(), false);
    recording.stop();
    const other = record(listener, captureFile(t));
    other[Symbol.dispose]();
    assert.equal(isHeard(), false);
  });

  it("ends where the file cannot be written, and leaves the connection alone", async (t) => {
    if (!existsSync("/dev/full")) return t.skip("there is no device that is full");
    const { listener, client } = await start(t, { host: LOCALHOST, port: 0 });
    const recording = record(client, "/dev/full");
    recording.stop();
    assert.equal(hasSubscribers("asyncsocket:bytes"), false);
    await exchange(client, { host: LOCALHOST, port: portOf(listener) }, DATA);
    assert.match(recording.error?.message ?? "", /ENOSPC|No space/);
    assert.equal(recording.isActive, false);
    assert.equal(client.closeReason?.error, null);
  });

  it("may be read by its owner only, and is refused at once where it cannot be made", (t) => {
    const file = captureFile(t);
    for (const before of [undefined, 0o644]) {
      if (before !== undefined) chmodSync(file, before);
      record(new AsyncSocket(), file).stop();
      if (process.platform !== "win32") assert.equal(statSync(file).mode & 0o777, 0o600);
    }
    assert.throws(() => record(new AsyncSocket(), join(file, "no")), { code: "ENOTDIR" });
    assert.throws(
      () => record(Object.create(null) as AsyncSocket, file),
      /Expected target to be an AsyncSocket, got an instance of an unnamed class/,
    );
    assert.throws(() => record(new AsyncSocket(), ""), /Expected file to be a non-empty string/);
  });
});
