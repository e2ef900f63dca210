/** Connecting where addresses are silent, or cannot be reached: in a network that the test makes. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { LIVE, LIVE6, NEAR, ONLY4, SILENT, SILENT6, UNREACHABLE, UNREACHABLE6, type Outcome } from "./in-namespace.js";

/** Root needs no other user; anybody else becomes root of the namespace. */
const UNSHARE = process.getuid?.() === 0 ? ["--net"] : ["--net", "--map-root-user"];

function reasonToSkip(): string | false {
  const probe = spawnSync("unshare", [...UNSHARE, "ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1"]);
  if (probe.status === 0) return false;
  const why = probe.error?.message ?? probe.stderr.toString().trim();
  return `no network namespaces here (Linux with unshare and iproute2 has them): ${why}`;
}

const skip = reasonToSkip();
if (skip !== false) console.error(`SKIPPED: ${skip}`);

const CONNECTED: readonly (readonly [name: string, address: string])[] = [
  ["a silent address beside a live one", LIVE],
  ["an address without a route beside a live one", LIVE],
  ["an interface, by IPv6", LIVE6],
  ["an interface, by IPv4", LIVE],
  ["a zone by its name", NEAR],
  ["a zone by its number", NEAR],
];

const FAILED: readonly (readonly [name: string, code: string, ...words: string[]])[] = [
  ["a silent address alone", "CONNECT_TIMEOUT", `[${SILENT6}]: no answer yet`],
  ["two silent families", "CONNECT_TIMEOUT", `[${SILENT6}]: no answer yet`, `${SILENT}: no answer yet`],
  ["two families without a route", "CONNECT", `[${UNREACHABLE6}]: no route`, `${UNREACHABLE}: no route`],
  ["an interface that is not there", "CONNECT", "v7", "v0"],
  ["a zone that is not there", "CONNECT", '"v7" for the zone of', "v0"],
  ["an interface without an address of the family", "CONNECT", '"v1" has no IPv6 address', ONLY4],
];

/** Some transports tell the zone of an address, too. */
function isAt(shown: string, address: string): boolean {
  return shown.includes(`"${address}"`) || shown.includes(`"${address}%v0"`);
}

describe("connecting in a network of its own", { skip }, () => {
  let outcomes: Record<string, Outcome> = {};

  before(() => {
    const program = fileURLToPath(new URL("in-namespace.js", import.meta.url));
    const run = spawnSync("unshare", [...UNSHARE, process.execPath, program, "run"], { timeout: 60_000 });
    assert.equal(run.status, 0, run.stderr.toString());
    outcomes = JSON.parse(run.stdout.toString()) as Record<string, Outcome>;
  });

  for (const [name, address] of CONNECTED) {
    it(`connects, with ${name}`, () => {
      const outcome = outcomes[name];
      assert.ok(outcome !== undefined && "remote" in outcome, JSON.stringify(outcome));
      assert.ok(isAt(outcome.remote, address), outcome.remote);
      assert.ok(isAt(outcome.local, address), outcome.local);
    });
  }

  for (const [name, code, ...words] of FAILED) {
    it(`says what was wrong, with ${name}`, () => {
      const outcome = outcomes[name];
      assert.ok(outcome !== undefined && "code" in outcome, JSON.stringify(outcome));
      assert.equal(outcome.code, `ERR_ASYNCSOCKET_${code}`);
      for (const word of words) assert.ok(outcome.message.includes(word), outcome.message);
    });
  }
});
