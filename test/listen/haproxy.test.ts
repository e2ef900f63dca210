/** PROXY headers as HAProxy sends them. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { parseProxyHeader } from "#dist/listen/proxy-protocol.js";
import { portOf } from "../conformance/transports.js";
import { LOCALHOST, startSilent } from "../connect/silent-program.js";
import { needs, temporaryFolder } from "../examples/programs.js";

/** A proxy in front of the port. @param option what its `server` line says about headers */
function startProxy(t: TestContext, port: number, option: string): Promise<number> {
  const configuration = join(temporaryFolder(t), "haproxy.cfg");
  return startSilent(t, "haproxy", (proxyPort) => {
    writeFileSync(
      configuration,
      `defaults
  mode tcp
  timeout connect 60s
  timeout client 60s
  timeout server 60s
listen proxy
  bind ${LOCALHOST}:${proxyPort}
  server behind ${LOCALHOST}:${port} ${option}
`,
    );
    return ["-db", "-f", configuration];
  });
}

const OPTIONS = ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id,crc32c"];

describe("a PROXY header from HAProxy", needs("haproxy", "haproxy"), () => {
  for (const option of OPTIONS) {
    it(`tells who connected, by ${option}`, async (t) => {
      const listener = await AsyncSocket.listen({ host: LOCALHOST, port: 0 });
      t.after(() => listener.shutdown({ graceMs: 0 }));
      const proxyPort = await startProxy(t, portOf(listener), option);
      const client = await AsyncSocket.connect({ host: LOCALHOST, port: proxyPort });
      t.after(() => client.disconnect());
      client.write("hello\n");
      for await (const socket of listener.connections()) {
        const received: Buffer[] = [];
        for await (const bytes of socket) {
          received.push(bytes);
          if (bytes.at(-1) === 0x0a && Buffer.concat(received).includes("hello")) break;
        }
        const all = Buffer.concat(received);
        if (!all.includes("hello")) continue; // the connection by which it was seen that the proxy is ready
        const result = parseProxyHeader(all);
        assert.ok(result.state === "header", JSON.stringify(result));
        assert.equal(all.toString("utf8", result.length), "hello\n");
        assert.deepEqual(result.header, { command: "PROXY", source: client.local, destination: client.remote });
        break;
      }
    });
  }
});
