/** The TLS forwarder: between curl and nginx, and between two sockets of this library. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket } from "asyncsocket";
import { pattern, readToEnd } from "../support/delegates.js";
import { FiledAuthority } from "../support/key-files.js";
import { findProgram, needs, Program, startOnFreePort, temporaryFolder } from "../support/programs.js";
import { SAFETY } from "../support/transports.js";

const TEMPORARY = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
const LARGE_BYTES = 20_000_000;

/** A server that takes PROXY headers only. */
async function startNginx(t: TestContext, folder: string): Promise<number> {
  const configuration = (port: number): string => `
    daemon off; master_process off; pid ${folder}/pid; error_log stderr notice;
    events {}
    http {
      access_log off; default_type text/plain; root ${folder};
      ${TEMPORARY.map((name) => `${name}_temp_path ${folder}/${name};`).join(" ")}
      server {
        listen 127.0.0.1:${port} proxy_protocol;
        location /who { return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_port"; }
      }
    }`;
  const file = join(folder, "nginx.conf");
  const { port } = await startOnFreePort((port) => {
    writeFileSync(file, configuration(port));
    return new Program(t, "nginx", ["-p", folder, "-e", "stderr", "-c", file]);
  }, /using the "\w+" event method/);
  return port;
}

interface Forwarder {
  readonly forwarder: Program;
  readonly port: number;
  readonly authority: FiledAuthority;
}

async function startForwarder(t: TestContext, to: number, ...options: string[]): Promise<Forwarder> {
  const authority = await FiledAuthority.create(t);
  const { keyFile, certFile } = await authority.issue("localhost", "127.0.0.1");
  const files = ["--key", keyFile, "--cert", certFile];
  const args = ["--host", "127.0.0.1", "--to", `127.0.0.1:${to}`, ...files, ...options];
  const forwarder = Program.example(t, "tls-forwarder", args);
  const [, port = ""] = await forwarder.sees(/Forwarder on port (\d+)/);
  return { forwarder, port: Number(port), authority };
}

const bothThere = findProgram("curl") === undefined ? needs("curl", "curl") : needs("nginx", "nginx-light");

describe("the TLS forwarder, between curl and nginx", { ...SAFETY, ...bothThere }, () => {
  function curl(t: TestContext, { port, authority }: Forwarder, path: string, ...more: string[]): Program {
    const url = `https://localhost:${port}/${path}`;
    return new Program(t, "curl", ["-sS", "-4", "--cacert", authority.caFile, url, ...more]);
  }

  for (const version of ["1", "2"]) {
    it(`tells nginx who the client is, by a header of version ${version}`, async (t) => {
      const to = await startNginx(t, temporaryFolder(t));
      const forwarder = await startForwarder(t, to, "--proxy", version);
      const { code, stdout, stderr } = await curl(t, forwarder, "who", "-w", " %{local_port}").ended();
      assert.equal(code, 0, stderr);
      const [address, port, serverPort, localPort] = stdout.split(" ");
      assert.deepEqual([address, port, serverPort], ["127.0.0.1", localPort, String(forwarder.port)]);
      await forwarder.forwarder.sees(/\d+ bytes to the server, \d+ bytes to the client, finished/);
    });
  }

  it("carries 20 megabytes", async (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, "large"), pattern(LARGE_BYTES));
    const forwarder = await startForwarder(t, await startNginx(t, folder));
    const target = join(folder, "received");
    const { code, stderr } = await curl(t, forwarder, "large", "-o", target).ended();
    assert.equal(code, 0, stderr);
    const digest = (data: Buffer): string => createHash("sha256").update(data).digest("hex");
    assert.equal(digest(readFileSync(target)), digest(pattern(LARGE_BYTES)));
  });
});

describe("the TLS forwarder, between two sockets of this library", SAFETY, () => {
  it("tells the server what TLS has negotiated, and passes each side's end on", async (t) => {
    const server = await AsyncSocket.listen({ port: 0, host: "127.0.0.1", proxyProtocol: true, allowHalfOpen: true });
    t.after(() => server.disconnect());
    const { port, authority, forwarder } = await startForwarder(t, server.port ?? 0, "--alpn", "hello/1");
    const client = await AsyncSocket.connect({
      host: "127.0.0.1",
      port,
      allowHalfOpen: true,
      tls: { ca: authority.cert, servername: "localhost", ALPNProtocols: ["hello/1"] },
    });
    t.after(() => client.disconnect());
    client.write("hello");
    client.end();
    const { value: accepted } = await server.connections().next();
    assert.ok(accepted !== undefined);
    t.after(() => accepted.disconnect());
    assert.equal((await readToEnd(accepted)).toString(), "hello");
    assert.deepEqual(accepted.proxied?.remote, client.local);
    assert.deepEqual(accepted.proxied?.local, client.remote);
    const { alpn, authority: name, tls } = accepted.proxied?.tlvs ?? {};
    assert.deepEqual([alpn, name, tls?.version], ["hello/1", "localhost", client.tls?.version]);
    accepted.write("goodbye");
    accepted.end();
    assert.equal((await readToEnd(client)).toString(), "goodbye");
    await forwarder.sees(/5 bytes to the server, 7 bytes to the client, finished/);
  });

  it("says which side has failed", async (t) => {
    const server = await AsyncSocket.listen({ port: 0, host: "127.0.0.1" });
    const { port, authority, forwarder } = await startForwarder(t, server.port ?? 0);
    await server.disconnect();
    const client = await AsyncSocket.connect({ host: "127.0.0.1", port, tls: { ca: authority.cert } });
    t.after(() => client.disconnect());
    assert.equal((await readToEnd(client)).length, 0);
    await forwarder.sees(/failed \(server: .*refused/i);
    const plain = await AsyncSocket.connect({ host: "127.0.0.1", port });
    t.after(() => plain.disconnect());
    plain.write("no TLS at all\r\n");
    await readToEnd(plain);
    await forwarder.sees(/a client failed: .*TLS/);
  });
});
