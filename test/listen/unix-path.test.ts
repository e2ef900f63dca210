/** Who holds a path, among processes, and what of a socket file is whose. */

import assert from "node:assert/strict";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { NO_NATIVE } from "../support/availability.js";
import { failure } from "../support/delegates.js";
import { Belongings, child, type Child, errnoOf } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";

const TRANSPORTS = NO_NATIVE === false ? (["node", "native"] as const) : (["node"] as const);
const NO_PATHS = process.platform === "win32" && "pipes are no files";

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "as-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A socket file at which nobody listens. */
async function leaveStale(path: string): Promise<void> {
  const server = createServer().listen(`${path}~`);
  await once(server, "listening");
  linkSync(`${path}~`, path);
  server.close();
  await once(server, "close");
  assert.ok(lstatSync(path).isSocket());
  assert.equal(existsSync(`${path}~`), false);
}

/** A process that listens where it is told to, and ends that when it is told to. */
function contender(t: TestContext, transport: string): Child {
  return child(
    t,
    `import { createInterface } from "node:readline";
     import { AsyncSocket } from "asyncsocket";
     let listener;
     console.log("ready");
     for await (const path of createInterface({ input: process.stdin })) {
       if (path === "end") {
         await listener?.disconnect();
         listener = undefined;
         console.log("ended");
         continue;
       }
       const socket = new AsyncSocket({ transport: ${JSON.stringify(transport)} });
       socket.delegate = { didAccept: (_listener, accepted) => accepted.write(process.pid + "\\n") };
       try {
         listener = await socket.listen({ path });
         console.log("listens");
       } catch (error) {
         console.log([error.code, error.cause?.code].join(" "));
       }
     }`,
  );
}

for (const transport of TRANSPORTS) {
  describe(`a path that many want, on the ${transport} transport`, { ...SAFETY, skip: NO_PATHS }, () => {
    it("is held by one of six processes that find a stale file at once, in each of 12 rounds", async (t) => {
      const within = folder(t);
      const all = Array.from({ length: 6 }, () => contender(t, transport));
      for (const one of all) assert.equal(await one.line(), "ready");
      for (let round = 0; round < 12; round++) {
        const path = join(within, `s${round % 3}`);
        if (round % 4 !== 3) await leaveStale(path);
        for (const { process } of all) process.stdin.write(`${path}\n`);
        const answers = await Promise.all(all.map((one) => one.line()));
        const losers = answers.filter((answer) => answer !== "listens");
        assert.deepEqual(losers, Array(5).fill("ERR_ASYNCSOCKET_LISTEN EADDRINUSE"), `round ${round}`);
        const winner = all[answers.indexOf("listens")] as Child;
        const client = await AsyncSocket.connect({ path });
        assert.equal(await client.readLine(), String(winner.process.pid));
        await client.disconnect();
        assert.deepEqual(readdirSync(within), [`s${round % 3}`]);
        for (const { process } of all) process.stdin.write("end\n");
        for (const one of all) assert.equal(await one.line(), "ended");
        assert.deepEqual(readdirSync(within), []);
      }
      for (const { process } of all) process.stdin.end();
    });

    it("is free although one was killed in its turn", async (t) => {
      const within = folder(t);
      const path = join(within, "s");
      await leaveStale(path);
      const killed = child(
        t,
        `import { dirname } from "node:path";
         import { inTurns } from "#dist/listen/takeover.js";
         const path = process.argv[1];
         await inTurns(dirname(path), path, path, async () => {
           console.log("it is my turn");
           await new Promise(() => setTimeout(() => {}, 60_000));
         });`,
        [path],
      );
      assert.equal(await killed.line(), "it is my turn");
      assert.equal(readdirSync(within).length, 2);
      killed.process.kill("SIGKILL");
      await killed.ended;
      const listener = Belongings.of(t).add(await new AsyncSocket({ transport }).listen({ path }));
      assert.deepEqual(readdirSync(within), ["s"]);
      await listener.disconnect();
      assert.deepEqual(readdirSync(within), []);
    });

    it("is left alone by one that gives up while it takes its place", async (t) => {
      const within = folder(t);
      for (const isStale of [false, true]) {
        const path = join(within, "s");
        if (isStale) await leaveStale(path);
        const socket = new AsyncSocket({ transport });
        const request = socket.listen({ path });
        await socket.disconnect();
        await failure(request, "CLOSED");
        const next = Belongings.of(t).add(await new AsyncSocket({ transport }).listen({ path }));
        assert.deepEqual(readdirSync(within), ["s"]);
        await next.disconnect();
        assert.deepEqual(readdirSync(within), []);
      }
    });

    it("says why it cannot be had, with the errno in the cause", async (t) => {
      const within = folder(t);
      const taken = join(within, "taken");
      Belongings.of(t).add(await new AsyncSocket({ transport }).listen({ path: taken }));
      writeFileSync(join(within, "file"), "");
      const cases: readonly [path: string, code: string, words: RegExp][] = [
        [taken, "EADDRINUSE", /another listener is there \(EADDRINUSE\)/],
        [join(within, "file"), "EADDRINUSE", /a file that is not a socket is there \(EADDRINUSE\)/],
        [join(within, "missing", "s"), "ENOENT", /its folder does not exist \(ENOENT\)/],
        [join(within, "file", "s"), "ENOTDIR", /not a directory \(ENOTDIR\)/],
      ];
      for (const [path, code, words] of cases) {
        const error = await failure(new AsyncSocket({ transport }).listen({ path }), "LISTEN");
        assert.match(error.message, words);
        assert.ok(error.message.includes(`${path}:`), error.message);
        assert.equal(errnoOf(error), code);
        assert.equal((error.cause as { address?: unknown }).address, path);
      }
      assert.deepEqual(readdirSync(within).sort(), ["file", "taken"]);
    });

    it("may have a folder with a name so long that nothing longer than its own fits in", async (t) => {
      const within = folder(t);
      const deep = join(within, "d".repeat(103 - within.length - 3));
      mkdirSync(deep);
      const path = join(deep, "s");
      assert.equal(path.length, 103);
      await leaveStale(path).catch(() => undefined);
      const listener = Belongings.of(t).add(await new AsyncSocket({ transport }).listen({ path }));
      const client = Belongings.of(t).add(await AsyncSocket.connect({ path }));
      assert.equal(client.state, "open");
      assert.deepEqual(readdirSync(deep), ["s"]);
      await listener.disconnect();
      assert.deepEqual(readdirSync(deep), []);
    });
  });

  describe(`the file of a listener, on the ${transport} transport`, { ...SAFETY, skip: NO_PATHS }, () => {
    const successions: Readonly<Record<string, (path: string) => Promise<unknown>>> = {
      "a successor that unlinks and listens": (path) => {
        unlinkSync(path);
        return new AsyncSocket({ transport }).listen({ path });
      },
      "a successor that renames": async (path) => {
        const successor = await new AsyncSocket({ transport }).listen({ path: `${path}2` });
        renameSync(`${path}2`, path);
        return successor;
      },
    };
    for (const [who, succeed] of Object.entries(successions)) {
      it(`is not removed when it is that of ${who}`, async (t) => {
        const path = join(folder(t), "s");
        const old = Belongings.of(t).add(await new AsyncSocket({ transport }).listen({ path }));
        const successor = Belongings.of(t).add((await succeed(path)) as AsyncSocket);
        await old.disconnect();
        assert.ok(lstatSync(path).isSocket());
        const client = Belongings.of(t).add(await AsyncSocket.connect({ path }));
        const { value } = await successor.connections().next();
        assert.equal(Belongings.of(t).add(value as AsyncSocket).state, "open");
        assert.equal(client.state, "open");
      });
    }

    it("is not removed when it is a regular file", async (t) => {
      const path = join(folder(t), "s");
      const old = Belongings.of(t).add(await new AsyncSocket({ transport }).listen({ path }));
      unlinkSync(path);
      writeFileSync(path, "important");
      await old.disconnect();
      assert.equal(readFileSync(path, "utf8"), "important");
    });

    it("is removed after chdir, where it is", async (t) => {
      const within = folder(t);
      const { line } = child(
        t,
        `import { AsyncSocket } from "asyncsocket";
         process.chdir(process.argv[1]);
         const listener = await new AsyncSocket({ transport: ${JSON.stringify(transport)} }).listen({ path: "s" });
         console.log(JSON.stringify(listener.local));
         process.chdir("/");
         await listener.disconnect();
         console.log("closed");`,
        [within],
      );
      assert.deepEqual(JSON.parse(await line()), { family: "unix", path: "s" });
      assert.equal(await line(), "closed");
      assert.deepEqual(readdirSync(within), []);
    });

    const NO_ROOT = process.getuid?.() !== 0 && "only root can become somebody else";
    it("is a warning, and no more, where it may not be removed", { skip: NO_ROOT }, async (t) => {
      const within = folder(t);
      chmodSync(within, 0o755);
      const { line, ended } = child(
        t,
        `import { AsyncSocket } from "asyncsocket";
         const listener = await new AsyncSocket({ transport: ${JSON.stringify(transport)} })
           .listen({ path: process.argv[1] });
         process.setuid(65534);
         process.on("warning", ({ message }) => console.log(message));
         const { by, error } = await listener.disconnect();
         console.log(by, error, listener.state);`,
        [join(within, "s")],
      );
      const said = [await line(), await line()].sort();
      assert.match(said[0] ?? "", /^The socket file .*\/s could not be removed: permission denied \(EACCES\)$/);
      assert.equal(said[1], "local null closed");
      assert.equal((await ended).code, 0);
      assert.deepEqual(readdirSync(within), ["s"]);
    });
  });
}
