/** The TCP proxy, between clients and servers on plain node:net, and between curl and its web server. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createWebServer } from "node:http";
import { type AddressInfo, connect, createServer, type NetConnectOpts, type Server, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { pattern } from "../support/delegates.js";
import { allOf } from "../support/lifecycle-helpers.js";
import { needs, Program } from "../support/programs.js";
import { SAFETY } from "../support/transports.js";

async function listen(t: TestContext, server: Server): Promise<number> {
  t.after(() => void server.close());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

function clientOf(t: TestContext, options: NetConnectOpts): Socket {
  const client = connect(options);
  t.after(() => void client.destroy());
  return client;
}

async function startProxy(t: TestContext, to: number): Promise<{ proxy: Program; port: number }> {
  const proxy = Program.example(t, "tcp-proxy", ["--host", "127.0.0.1", "--to", `127.0.0.1:${to}`]);
  const [, port = ""] = await proxy.sees(/Proxy on port (\d+)/);
  return { proxy, port: Number(port) };
}

describe("the TCP proxy", SAFETY, () => {
  it("carries a megabyte each way, and each side's end by itself", async (t) => {
    const bytes = pattern(1_000_000);
    const echo = createServer({ allowHalfOpen: true }, (socket) => {
      void allOf(socket).then((all) => socket.end(all));
    });
    const { proxy, port } = await startProxy(t, await listen(t, echo));
    const client = clientOf(t, { port, host: "127.0.0.1", allowHalfOpen: true });
    client.end(bytes);
    assert.ok((await allOf(client)).equals(bytes));
    await proxy.sees(/1000000 bytes up, 1000000 bytes down, finished/);
  });

  it("closes a client whose server is not there, and says why", async (t) => {
    const server = createServer();
    const gone = await listen(t, server);
    server.close();
    await once(server, "close");
    const { proxy, port } = await startProxy(t, gone);
    const client = clientOf(t, { port, host: "127.0.0.1" });
    client.write("is anybody there?");
    assert.equal((await allOf(client)).length, 0);
    await proxy.sees(/0 bytes up, 0 bytes down, failed \(b: .*refused/i);
  });
});

describe("the TCP proxy, with curl", needs("curl", "curl"), () => {
  it("gives the server's answer", async (t) => {
    const web = createWebServer((request, response) => response.end(`You asked for ${request.url ?? ""}`));
    const { port } = await startProxy(t, await listen(t, web));
    const curl = new Program(t, "curl", ["--silent", "--show-error", `http://127.0.0.1:${port}/page`]);
    assert.deepEqual(await curl.ended(), { code: 0, stdout: "You asked for /page", stderr: "" });
  });
});
