import assert from "node:assert/strict";
import { existsSync, lstatSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { failure } from "../support/delegates.js";
import { Belongings, child, errnoOf } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "asyncsocket-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
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
