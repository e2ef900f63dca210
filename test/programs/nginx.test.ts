/** A TLS client on AsyncSocket, against nginx, which asks clients for certificates. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, type TLSOptions } from "asyncsocket";
import { FiledAuthority } from "../support/key-files.js";
import { needs, Program, startOnFreePort } from "../support/programs.js";

const TEMPORARY = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
const VERSIONS = ["TLSv1.2", "TLSv1.3"] as const;

/** One process, no daemon, nothing outside of the folder. */
async function startNginx(t: TestContext, authority: FiledAuthority): Promise<number> {
  const { folder, caFile } = authority;
  const { keyFile, certFile } = await authority.issue("localhost");
  const file = join(folder, "nginx.conf");
  const configuration = (port: number): string => `
    daemon off; master_process off; pid ${folder}/pid; error_log stderr notice;
    events {}
    http {
      access_log off;
      ${TEMPORARY.map((name) => `${name}_temp_path ${folder}/${name};`).join(" ")}
      server {
        listen 127.0.0.1:${port} ssl;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate ${certFile}; ssl_certificate_key ${keyFile};
        ssl_client_certificate ${caFile}; ssl_verify_client on;
        return 200 "$ssl_client_verify $ssl_client_s_dn $ssl_protocol $ssl_server_name $ssl_alpn_protocol\\n";
      }
    }`;
  const { port } = await startOnFreePort((port) => {
    writeFileSync(file, configuration(port));
    return new Program(t, "nginx", ["-p", folder, "-e", "stderr", "-c", file]);
  }, /using the "\w+" event method/);
  return port;
}

/** The status line, and the body, which ends with the stream. */
async function get(port: number, tls: TLSOptions): Promise<{ status: string; body: string }> {
  await using socket = await AsyncSocket.connect({
    host: "127.0.0.1",
    port,
    timeout: 30_000,
    limits: { idleMs: 30_000 },
    tls: { servername: "localhost", requireCloseNotify: true, ALPNProtocols: ["http/1.1"], ...tls },
  });
  socket.write("GET / HTTP/1.0\r\n\r\n");
  const status = await socket.readLine();
  await socket.readUntil("\r\n\r\n");
  const body: Buffer[] = [];
  for await (const data of socket) body.push(data);
  assert.equal((await socket.closed).error, null);
  return { status, body: Buffer.concat(body).toString() };
}

describe("a TLS client, against nginx", needs("nginx", "nginx-light"), () => {
  it("is known by its certificate", async (t) => {
    const authority = await FiledAuthority.create(t);
    const port = await startNginx(t, authority);
    const { key, cert } = await authority.identity("client");
    for (const version of VERSIONS) {
      const { status, body } = await get(port, { ca: authority.cert, key, cert, maxVersion: version });
      assert.equal(status, "HTTP/1.1 200 OK");
      assert.equal(body, `SUCCESS CN=client ${version} localhost http/1.1\n`);
    }
  });

  it("is told that it has shown no certificate, or one of a stranger's", async (t) => {
    const authority = await FiledAuthority.create(t);
    const stranger = await FiledAuthority.create(t, "CN=A stranger");
    const port = await startNginx(t, authority);
    const { key, cert } = await stranger.identity("client");
    for (const maxVersion of VERSIONS) {
      const without = await get(port, { ca: authority.cert, maxVersion });
      assert.match(without.status, /^HTTP\/1\.1 400 /);
      assert.match(without.body, /No required SSL certificate was sent/);
      const unknown = await get(port, { ca: authority.cert, key, cert, maxVersion });
      assert.match(unknown.status, /^HTTP\/1\.1 400 /);
      assert.match(unknown.body, /The SSL certificate error/);
    }
  });
});
