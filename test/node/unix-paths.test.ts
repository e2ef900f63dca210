import assert from "node:assert/strict";
import fs, {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { NO_NATIVE } from "../support/availability.js";
import { failure } from "../support/delegates.js";
import { Belongings, child, errnoOf } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "asyncsocket-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function permissions(path: string): number {
  return lstatSync(path).mode & 0o777;
}

/** A socket file whose listener was killed. */
async function stale(t: TestContext, path: string): Promise<void> {
  const { process, line, ended } = child(
    t,
    `import { createServer } from "node:net";
     createServer().listen(process.argv[1], () => console.log("listening"));`,
    [path],
  );
  assert.equal(await line(), "listening");
  process.kill("SIGKILL");
  await ended;
  assert.ok(lstatSync(path).isSocket());
}

async function echo(belongings: Belongings, listener: AsyncSocket, path: string): Promise<void> {
  const client = belongings.add(await AsyncSocket.connect({ path }));
  const { value: server } = await listener.connections().next();
  assert.ok(server !== undefined);
  belongings.add(server);
  client.write("hello\n");
  assert.equal(await server.readLine(), "hello");
  assert.deepEqual(client.remote, { family: "unix", path });
  assert.deepEqual(server.local, { family: "unix", path });
  assert.equal(client.local?.family, "unix");
  assert.equal(server.remote?.family, "unix");
}

describe("Unix-domain sockets", { ...SAFETY, skip: process.platform === "win32" }, () => {
  it("a path is listened on and connected to; the file is gone with the listener", async (t) => {
    const path = join(folder(t), "s");
    const belongings = Belongings.of(t);
    const listener = belongings.add(await AsyncSocket.listen({ path }));
    assert.deepEqual(listener.local, { family: "unix", path });
    assert.ok(lstatSync(path).isSocket());
    await echo(belongings, listener, path);
    await listener.disconnect();
    assert.equal(existsSync(path), false);
  });

  for (const transport of NO_NATIVE === false ? (["node", "native"] as const) : (["node"] as const)) {
    it(`mode: the file has it when it appears, and nobody else sees it before, on the ${transport} transport`, async (t) => {
      const parent = folder(t);
      const path = join(parent, "s");
      const belongings = Belongings.of(t);
      const seen: unknown[] = [];
      const { linkSync } = fs;
      t.after(() => {
        fs.linkSync = linkSync;
        syncBuiltinESMExports();
      });
      fs.linkSync = (from, to) => {
        seen.push(permissions(String(from)), permissions(dirname(String(from))), readdirSync(parent).length);
        linkSync(from, to);
      };
      syncBuiltinESMExports();
      const listener = belongings.add(await AsyncSocket.listen({ transport, path, mode: 0o606 }));
      assert.deepEqual(seen, [0o606, 0o700, 1]);
      assert.equal(permissions(path), 0o606);
      assert.deepEqual(readdirSync(parent), ["s"]);
      await echo(belongings, listener, path);
      await listener.disconnect();
      assert.deepEqual(readdirSync(parent), []);
    });
  }

  it("mode: a stale file with other permissions is replaced, and so is one at a long path", async (t) => {
    const parent = join(folder(t), "a".repeat(process.platform === "linux" ? 80 : 1));
    mkdirSync(parent);
    const path = join(parent, "s");
    const belongings = Belongings.of(t);
    await stale(t, path);
    chmodSync(path, 0o777);
    const listener = belongings.add(await AsyncSocket.listen({ path, mode: 0o600 }));
    assert.equal(permissions(path), 0o600);
    await listener.disconnect();
    assert.deepEqual(readdirSync(parent), []);
  });

  it("mode: a listen that fails leaves nothing behind", async (t) => {
    const parent = folder(t);
    const path = join(parent, "s");
    const belongings = Belongings.of(t);
    belongings.add(await AsyncSocket.listen({ path, mode: 0o600 }));
    assert.match((await failure(AsyncSocket.listen({ path, mode: 0o666 }), "LISTEN")).message, /another listener/);
    assert.deepEqual(readdirSync(parent), ["s"]);
    assert.equal(permissions(path), 0o600);
    const nowhere = await failure(AsyncSocket.listen({ path: join(parent, "x", "s"), mode: 0o600 }), "LISTEN");
    assert.match(nowhere.message, /its folder does not exist/);
    const given = new AsyncSocket();
    const listening = given.listen({ path: join(parent, "t"), mode: 0o600 });
    await given.disconnect();
    await failure(listening, "CLOSED");
    assert.deepEqual(readdirSync(parent), ["s"]);
  });

  it("mode: is refused without the path of a file", () => {
    for (const options of [{ port: 0 }, { path: "\0abstract" }]) {
      assert.throws(() => new AsyncSocket().listen({ ...options, mode: 0o600 }), {
        name: "TypeError",
        message: /^Expected path to be the path of a file, as mode needs one, got /,
      });
    }
  });

  it("a stale socket file is replaced", async (t) => {
    const path = join(folder(t), "s");
    await stale(t, path);
    const belongings = Belongings.of(t);
    const listener = belongings.add(await AsyncSocket.listen({ path }));
    await echo(belongings, listener, path);
    await listener.disconnect();
    assert.equal(existsSync(path), false);
  });

  it("a stale socket file cannot be connected to: nothing listens there", async (t) => {
    const path = join(folder(t), "s");
    await stale(t, path);
    const error = await failure(AsyncSocket.connect({ path }), "CONNECT");
    assert.equal(errnoOf(error), "ECONNREFUSED");
    assert.match(error.message, /nothing listens there/);
    assert.ok(error.message.includes(path));
  });

  it("a path at which somebody listens is not replaced, in this process or another", async (t) => {
    const path = join(folder(t), "s");
    const belongings = Belongings.of(t);
    const listener = belongings.add(await AsyncSocket.listen({ path }));
    const error = await failure(AsyncSocket.listen({ path }), "LISTEN");
    assert.ok(error.message.includes(path));
    assert.match(error.message, /another listener/);
    // What looked whether somebody listens was a connection as well.
    const { value: probe } = await listener.connections().next();
    assert.ok(probe !== undefined);
    assert.notEqual((await belongings.add(probe).closed).by, "local");
    await echo(belongings, listener, path);

    const other = join(folder(t), "s");
    const { line } = child(
      t,
      `import { AsyncSocket } from "asyncsocket";
       await AsyncSocket.listen({ path: process.argv[1] });
       console.log("listening");`,
      [other],
    );
    assert.equal(await line(), "listening");
    await failure(AsyncSocket.listen({ path: other }), "LISTEN");
    const client = belongings.add(await AsyncSocket.connect({ path: other }));
    assert.equal(client.state, "open");
  });

  it("a file that is no socket is left untouched", async (t) => {
    const path = join(folder(t), "notes.txt");
    writeFileSync(path, "important");
    const error = await failure(AsyncSocket.listen({ path }), "LISTEN");
    assert.match(error.message, /not a socket/);
    assert.ok(error.message.includes(path));
    assert.equal(readFileSync(path, "utf8"), "important");
    assert.ok(lstatSync(path).isFile());
  });

  it("a link to a stale socket, or to anything, is left untouched", async (t) => {
    const within = folder(t);
    const target = join(within, "notes.txt");
    writeFileSync(target, "important");
    const path = join(within, "link");
    symlinkSync(target, path);
    await failure(AsyncSocket.listen({ path }), "LISTEN");
    assert.ok(lstatSync(path).isSymbolicLink());
    assert.equal(readFileSync(target, "utf8"), "important");
  });

  it("a folder is left untouched", async (t) => {
    const path = folder(t);
    await failure(AsyncSocket.listen({ path }), "LISTEN");
    assert.ok(lstatSync(path).isDirectory());
  });

  it("a folder that there is not is a failure, in words", async (t) => {
    const path = join(folder(t), "missing", "s");
    const error = await failure(AsyncSocket.listen({ path }), "LISTEN");
    assert.ok(error.message.includes(path));
    const connecting = await failure(AsyncSocket.connect({ path }), "CONNECT");
    assert.equal(errnoOf(connecting), "ENOENT");
    assert.match(connecting.message, /no such file/);
  });

  it("a path that is too long is a RangeError at once, for what it is in bytes", async (t) => {
    const within = folder(t);
    const long = join(within, "x".repeat(108 - within.length));
    assert.ok(long.length > 108);
    for (const path of [long, `/tmp/${"é".repeat(60)}`]) {
      assert.throws(() => new AsyncSocket().listen({ path }), RangeError);
      assert.throws(() => new AsyncSocket().connect({ path }), RangeError);
      assert.throws(() => new AsyncSocket().listen({ path }), /^RangeError: Expected .+, got /);
    }
    const belongings = Belongings.of(t);
    const fits = join(within, "x".repeat(103 - within.length - 1));
    assert.equal(fits.length, 103);
    const listener = belongings.add(await AsyncSocket.listen({ path: fits }));
    await echo(belongings, listener, fits);
  });

  it("an abstract name leaves no file", { skip: process.platform !== "linux" }, async (t) => {
    const path = `\0asyncsocket-test-${process.pid}`;
    const belongings = Belongings.of(t);
    const listener = belongings.add(await AsyncSocket.listen({ path }));
    await echo(belongings, listener, path);
    const error = await failure(AsyncSocket.listen({ path }), "LISTEN");
    assert.match(error.message, /in use/);
    await listener.disconnect();
    await failure(AsyncSocket.connect({ path }), "CONNECT");
  });

  it("reset() of a Unix-domain socket closes it", async (t) => {
    const path = join(folder(t), "s");
    const belongings = Belongings.of(t);
    const listener = belongings.add(await AsyncSocket.listen({ path }));
    const client = belongings.add(await AsyncSocket.connect({ path }));
    const { value: server } = await listener.connections().next();
    assert.ok(server !== undefined);
    assert.equal((await client.reset()).by, "local");
    assert.notEqual((await belongings.add(server).closed).by, "local");
  });
});
