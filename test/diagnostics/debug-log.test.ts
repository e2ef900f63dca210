/** NODE_DEBUG=asyncsocket: a line for each event. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, it, type TestContext } from "node:test";
import { moduleArgs, ROOT } from "../support/module-args.js";
import { SAFETY } from "../support/transports.js";

/** Its lines are counted from 1, the empty one before the first import. */
const PROGRAM = `
import { AsyncSocket } from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";
const transport = new MemoryNetwork();
const listener = await new AsyncSocket({ transport, limits: { connections: 1 } }).listen({ port: 7 });
const client = await new AsyncSocket({ transport }).connect({ host: "name.test", port: 7 });
const { value: server } = await listener.connections().next();
client.write("secret\\n", { tag: "two\\nlines" });
await server.readLine();
await server.readLine({ timeout: 1, onFailure: "continue" }).catch(() => undefined);
const refused = await new AsyncSocket({ transport }).connect({ port: 7 });
await refused.closed;
await new AsyncSocket({ transport }).connect({ port: 8 }).catch(() => undefined);
await server.disconnectAfterWriting();
await client.closed;
await listener.disconnect();
process.exit();
`;

function run(t: TestContext, debug: string): string[] {
  const options = { env: { ...process.env, NODE_DEBUG: debug }, encoding: "utf8" as const, cwd: ROOT };
  const { stderr, status } = spawnSync(process.execPath, moduleArgs(t, PROGRAM), options);
  assert.equal(status, 0, stderr);
  return stderr.split("\n").filter((line) => line.startsWith("ASYNCSOCKET"));
}

describe("the log of NODE_DEBUG=asyncsocket", SAFETY, () => {
  it("has a line for each event, with the socket's number and the line that asked", (t) => {
    const lines = run(t, "asyncsocket");
    const expected = [
      /#1 listens on 127\.0\.0\.1:7/,
      /#2 connected from .* to name\.test:7, .* \(.*1 IPv4 addresses of name\.test .*127\.0\.0\.1:7 connected .*\) <- .*:L6:\d+$/,
      /#1 accepted #3 from 127\.0\.0\.1/,
      /#2 write done, 7 bytes, queued .* ms, current .* ms, tag 'two\\nlines' <- .*:L8:\d+$/,
      /#3 readLine done, 7 bytes, .* <- .*:L9:\d+$/,
      /#3 readLine failed, 0 bytes, .*timed out after 1 ms.* <- .*:L10:\d+$/,
      /#3 timeout of readLine/,
      /#1 refused 127\.0\.0\.1:\d+: A connection was refused/,
      /#5 connect failed to localhost:8, .* <- .*:L13:\d+$/,
      /#3 closed, by local after .* ms, 7 bytes read, 0 written, 0 unread, 0 unsent <- .*:L14:\d+$/,
      /#2 closed, by remote after/,
      /#1 closed, by local/,
    ];
    for (const { source } of expected) {
      // Deno runs the program from a file that has a line more.
      const pattern = new RegExp(source.replace(/L(\d+)/, (_, line: string) => `(?:${line}|${Number(line) + 1})`));
      assert.ok(
        lines.some((line) => pattern.test(line)),
        `${pattern} in\n${lines.join("\n")}`,
      );
    }
    assert.ok(lines.every((line) => !line.includes("secret")));
  });

  it("is not there without it", (t) => {
    assert.deepEqual(run(t, "http"), []);
  });
});
