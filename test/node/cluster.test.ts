/** Processes of `node:cluster`: the primary listens, and hands connections to the workers. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { ECHO } from "../loops/helpers.js";
import { NO_NATIVE } from "../support/availability.js";
import { Belongings, child } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";

/** A program that is its own workers'. Whoever asks is told which process answers. */
function program(transport: string, loops: boolean): string {
  return `
    import cluster from "node:cluster";
    import { writeFileSync, mkdtempSync, rmSync } from "node:fs";
    import { tmpdir } from "node:os";
    import { join } from "node:path";
    const folder = mkdtempSync(join(tmpdir(), "asyncsocket-"));
    const file = join(folder, "worker.mjs");
    writeFileSync(file, ${JSON.stringify(`
      const { AsyncSocket, RunLoop } = await import(process.env.ENTRY);
      const delegate = {
        didAccept(_listener, socket) { socket.readLine(); },
        didReadText(socket, text) { socket.write("w" + process.pid + " " + text + "\\n"); socket.readLine(); },
      };
      const loops = ${loops} ? await RunLoop.spawn(process.env.MODULE, { name: "w" + process.pid }) : undefined;
      const listener = new AsyncSocket({ transport: ${JSON.stringify(transport)}, delegate });
      await listener.listen({ port: 0, host: "127.0.0.1", loops });
      process.send(listener.local.port);
      process.on("message", async () => { await listener.shutdown({ graceMs: 0 }); process.disconnect(); });
    `)});
    cluster.setupPrimary({ exec: file, execArgv: [] });
    const workers = [0, 1].map(() => cluster.fork({ ENTRY: import.meta.resolve("asyncsocket"), MODULE: ${JSON.stringify(ECHO)} }));
    const ports = await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once("message", resolve))));
    console.log(JSON.stringify(ports));
    process.stdin.once("data", () => {
      for (const worker of workers) worker.send("end");
      process.stdin.destroy();
      rmSync(folder, { recursive: true });
    });`;
}

const SKIPS: Record<string, string | false> = { native: NO_NATIVE, node: false };

for (const transport of ["node", "native"]) {
  describe(`node:cluster with the ${transport} transport`, { ...SAFETY, skip: SKIPS[transport] ?? false }, () => {
    for (const loops of NO_NATIVE === false ? [false, true] : [false]) {
      it(`shares a port between processes${loops ? ", each of which has run loops" : ""}`, async (t) => {
        const primary = child(t, program(transport, loops));
        const [port, same] = JSON.parse(await primary.line()) as number[];
        assert.equal(port, same);
        const answered = new Set<string>();
        const clients: AsyncSocket[] = [];
        for (let i = 0; i < 6; i++) {
          const client = Belongings.of(t).add(new AsyncSocket());
          clients.push(await client.connect({ host: "127.0.0.1", port: port }));
          for (const text of ["one", "two"]) {
            client.write(`${text}\n`);
            const [name = "", said] = (await client.readLine()).split(" ");
            assert.equal(said, text);
            answered.add(name);
          }
        }
        assert.equal(answered.size, 2, "both processes answer");
        primary.process.stdin.write("end");
        for (const client of clients) assert.notEqual((await client.closed).by, "local");
        assert.equal((await primary.ended).code, 0);
      });
    }
  });
}
