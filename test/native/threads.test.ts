/** The native transport on threads, and a process without it. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { describe, it } from "node:test";
import { Worker } from "node:worker_threads";
import { AsyncSocket } from "asyncsocket";
import { NO_NATIVE } from "../support/availability.js";
import { until } from "../support/delegates.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import { openSockets } from "../support/open-sockets.js";
import { portOf, SAFETY } from "../support/transports.js";

const ENTRY = new URL(import.meta.resolve("asyncsocket"));

const WORKER = `
  import { parentPort } from "node:worker_threads";
  const { AsyncSocket } = await import(${JSON.stringify(ENTRY.href)});
  const delegate = {
    didAccept(_listener, socket) { socket.readLine(); },
    didReadText(socket, text) { socket.write(text + "\\n"); socket.readLine(); },
  };
  const listener = new AsyncSocket({ transport: "native", delegate });
  await listener.listen({ port: 0, host: "127.0.0.1" });
  parentPort.postMessage(listener.local.port);
`;

async function echoing(): Promise<{ worker: Worker; port: number }> {
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(WORKER)}`));
  const [port] = (await once(worker, "message")) as [number];
  return { worker, port };
}

describe("the native transport on worker threads", { ...SAFETY, skip: NO_NATIVE }, () => {
  it("has a loop for each, and serves them all at once", async (t) => {
    const threads = await Promise.all([echoing(), echoing(), echoing()]);
    t.after(() => Promise.all(threads.map(({ worker }) => worker.terminate())));
    const belongings = Belongings.of(t);
    for (const { port } of [...threads, ...threads]) {
      const socket = belongings.add(new AsyncSocket({ transport: "native" }));
      await socket.connect({ host: "127.0.0.1", port });
      for (const text of ["one", "two", "three"]) {
        socket.write(`${text}\n`);
        assert.equal(await socket.readLine(), text);
      }
    }
  });

  it("closes what a thread had open when the thread is ended, at whatever moment", async (t) => {
    const before = openSockets().length;
    const belongings = Belongings.of(t);
    for (let round = 0; round < 12; round++) {
      const { worker, port } = await echoing();
      const sockets = Array.from({ length: 5 }, () => belongings.add(new AsyncSocket({ transport: "native" })));
      await Promise.all(sockets.map((socket) => socket.connect({ host: "127.0.0.1", port })));
      let answers = 0;
      for (const socket of sockets) {
        socket.delegate = {
          didReadText(who, text) {
            answers++;
            who.write(`${text}\n`);
            who.readLine();
          },
        };
        socket.write("to and fro\n");
        socket.readLine();
      }
      await until(() => answers >= round * 20, "some traffic");
      await worker.terminate();
      const reasons = await Promise.all(sockets.map((socket) => socket.closed));
      for (const reason of reasons) assert.notEqual(reason.by, "local");
    }
    await until(() => openSockets().length <= before, "all is closed");
  });
});

describe("a socket that floods", { ...SAFETY, skip: NO_NATIVE }, () => {
  it("keeps neither timers nor other sockets from their turn", async (t) => {
    const belongings = Belongings.of(t);
    const accepted: AsyncSocket[] = [];
    const listener = belongings.add(
      new AsyncSocket({
        transport: "native",
        delegate: { didAccept: (_listener, socket) => void accepted.push(belongings.add(socket)) },
      }),
    );
    await listener.listen({ port: 0, host: "127.0.0.1" });
    const target = { host: "127.0.0.1", port: portOf(listener) };
    const [flooding, quiet] = [0, 1].map(() => belongings.add(new AsyncSocket({ transport: "native" }))) as [
      AsyncSocket,
      AsyncSocket,
    ];
    await flooding.connect(target);
    await until(() => accepted.length === 1, "the first");
    await quiet.connect(target);
    await until(() => accepted.length === 2, "the second");
    const chunk = Buffer.alloc(256 * 1024);
    let flooded = 0;
    flooding.delegate = { didWrite: (socket) => void socket.write(chunk) };
    (accepted[0] as AsyncSocket).delegate = {
      didRead(socket, data) {
        flooded += data.length;
        socket.read();
      },
    };
    accepted[0]?.read();
    flooding.write(chunk);
    await until(() => flooded > 1024 * 1024, "the flood");
    for (let i = 0; i < 20; i++) {
      quiet.write("ping\n");
      assert.equal(await (accepted[1] as AsyncSocket).readLine(), "ping");
      const before = flooded;
      await new Promise((resolve) => setTimeout(resolve, 1));
      await until(() => flooded > before, "the flood goes on");
    }
  });
});

describe("without the addon", SAFETY, () => {
  function run(code: string, env: Record<string, string>, cwd?: string): string {
    const args = ["--input-type=module", "-e", code];
    const { stdout, stderr } = spawnSync(process.execPath, args, {
      encoding: "utf8",
      env: { ...process.env, ...env },
      cwd,
    });
    return stdout + stderr;
  }

  const ASK = `
    const { AsyncSocket } = await import(${JSON.stringify(ENTRY.href)});
    try { new AsyncSocket({ transport: "native" }); console.log("there"); } catch (error) { console.log(error.code, error.message); }
    const listener = await AsyncSocket.listen({ port: 0, host: "127.0.0.1" });
    console.log(listener.state);
    await listener.disconnect();`;

  it('transport: "native" is BAD_STATE, with the reason; "auto" works all the same', () => {
    const said = run(ASK, { ASYNCSOCKET_NATIVE: "0" });
    assert.equal(
      said,
      'ERR_ASYNCSOCKET_BAD_STATE transport "native" is not possible: ASYNCSOCKET_NATIVE=0 turns it off\nlistening\n',
    );
  });
});
