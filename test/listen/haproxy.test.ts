/** PROXY headers as HAProxy sends them. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, AsyncSocketError } from "asyncsocket";
import { LOCALHOST, startSilent } from "../connect/silent-program.js";
import { needs, temporaryFolder } from "../support/programs.js";
import { portOf } from "../support/transports.js";

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

async function isOther(socket: AsyncSocket): Promise<boolean> {
  try {
    assert.equal(await socket.readLine(), "hello");
    return false;
  } catch (error) {
    if (error instanceof AsyncSocketError) return true;
    throw error;
  }
}

const OPTIONS = ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id,crc32c"];

describe("a PROXY header from HAProxy", needs("haproxy", "haproxy"), () => {
  for (const option of OPTIONS) {
    it(`tells who connected, by ${option}`, async (t) => {
      const listener = await AsyncSocket.listen({ host: LOCALHOST, port: 0, proxyProtocol: true });
      t.after(() => listener.shutdown({ graceMs: 0 }));
      const proxyPort = await startProxy(t, portOf(listener), option);
      const client = await AsyncSocket.connect({ host: LOCALHOST, port: proxyPort });
      t.after(() => client.disconnect());
      client.write("hello\n");
      for await (const socket of listener.connections()) {
        // Another one may have come before: that by which it was seen that the proxy is ready.
        if (await isOther(socket)) continue;
        assert.deepEqual(socket.proxied, { local: client.remote, remote: client.local });
        break;
      }
    });
  }
});
