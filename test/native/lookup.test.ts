/** Names looked up by the addon: as by the runtime, but for what that lets a name without an answer do. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import dns from "node:dns";
import type { LookupAddress } from "node:dns";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { NO_NATIVE } from "../support/availability.js";
import { SAFETY } from "../support/transports.js";
import { systemLookup } from "#dist/connect/system-lookup.js";
import { canLookUp, holdForLookups, lookUpNatively } from "#dist/transport/native/lookup.js";

type Found = readonly LookupAddress[] | string;

function byAddon(host: string, family: number): Promise<Found> {
  assert.ok(canLookUp());
  holdForLookups(true);
  return new Promise((found) => {
    lookUpNatively(host, family, (error, all) => {
      holdForLookups(false);
      found(error === null ? all : error.message);
    });
  });
}

function byRuntime(host: string, family: number): Promise<Found> {
  return new Promise((found) => {
    dns.lookup(host, { family, all: true }, (error, all) => found(error === null ? all : error.message));
  });
}

/** Asks much, says so, and is ended at whatever moment. */
const ASKER = `
  import { parentPort, workerData } from "node:worker_threads";
  const { systemLookup } = await import(workerData);
  for (let i = 0; i < 100; i++) systemLookup("127.0.1." + i, 0, () => undefined);
  parentPort.postMessage("asked");`;

describe("the addon's lookup", { ...SAFETY, skip: NO_NATIVE }, () => {
  after(() => dns.setDefaultResultOrder("verbatim"));

  for (const host of ["localhost", hostname(), "a..b"]) {
    for (const family of [0, 4, 6]) {
      it(`finds what the runtime's finds: ${host.slice(0, 20)}, family ${family}`, async () => {
        assert.deepEqual(await byAddon(host, family), await byRuntime(host, family));
      });
    }
  }

  it("heeds the order that the runtime was told", async () => {
    for (const order of ["ipv4first", "verbatim"] as const) {
      dns.setDefaultResultOrder(order);
      assert.deepEqual(await byAddon("localhost", 0), await byRuntime("localhost", 0));
    }
  });

  it("answers more questions than it has threads, each once", async () => {
    const hosts = Array.from({ length: 200 }, (_, i) => `127.0.0.${i}`);
    const answers: string[] = [];
    await new Promise<void>((all) => {
      for (const host of hosts) {
        systemLookup(host, 0, (error, found) => {
          answers.push(`${String(error)} ${JSON.stringify(found)}`);
          if (answers.length === hosts.length) all();
        });
      }
    });
    const expected = hosts.map((address) => `null ${JSON.stringify([{ address, family: 4 }])}`);
    assert.deepEqual(answers.sort(), expected.sort());
  });

  it("does not mind that threads which have asked are ended", async () => {
    const workerData = import.meta.resolve("#dist/connect/system-lookup.js");
    const source = new URL(`data:text/javascript,${encodeURIComponent(ASKER)}`);
    for (let round = 0; round < 5; round++) {
      const workers = [1, 2, 3].map(() => new Worker(source, { workerData }));
      await Promise.all(workers.map((worker) => once(worker, "message")));
      await Promise.all(workers.map((worker) => worker.terminate()));
    }
    assert.deepEqual(await byAddon("127.0.0.1", 0), [{ address: "127.0.0.1", family: 4 }]);
  });
});

/** Root needs no other user; anybody else becomes root of the namespace. */
const UNSHARE = ["--net", "--mount", ...(process.getuid?.() === 0 ? [] : ["--map-root-user"])];
const SETUP = 'ip link set lo up && mount --bind "$0" /etc/resolv.conf && exec "$@"';

describe("a name server that never answers", SAFETY, () => {
  const program = fileURLToPath(new URL("unheard.js", import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), "asyncsocket-"));
  const config = join(folder, "resolv.conf");

  function run(...command: string[]): { status: number | null; stdout: string; stderr: string } {
    const args = [...UNSHARE, "sh", "-c", SETUP, config, ...command];
    return spawnSync("unshare", args, { encoding: "utf8", timeout: SAFETY.timeout });
  }

  before(() => writeFileSync(config, "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n"));
  after(() => rmSync(folder, { recursive: true }));

  for (const transport of ["node", "native"]) {
    for (const [how, outcome] of [
      ["timeout", "ERR_ASYNCSOCKET_CONNECT_TIMEOUT\n"],
      ["disconnect", "ERR_ASYNCSOCKET_CLOSED\n"],
      ["exit", ""],
    ] as const) {
      it(`holds up neither other connects nor the end of the process: ${transport}, ${how}`, (t) => {
        if (NO_NATIVE !== false) return t.skip(NO_NATIVE);
        if (run("true").status !== 0) return t.skip("no namespaces here (Linux with unshare and iproute2 has them)");
        const { status, stdout, stderr } = run(process.execPath, program, transport, how);
        assert.equal(stderr, "");
        assert.equal(stdout, `connected to localhost\nconnected to 127.0.0.1\n${outcome}`);
        assert.equal(status, 0, "it was ended while it waited for names");
      });
    }
  }
});
