/** The HTTP client, against nginx. */

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { FiledAuthority, type KeyFiles } from "../support/key-files.js";
import { needs, Program, startOnFreePort, temporaryFolder } from "../support/programs.js";

const LARGE_BYTES = 128 * 2 ** 20;
/** Server-side includes make nginx send chunks: it cannot know beforehand how long the result will be. */
const INCLUDES = "ssi on; ssi_types text/plain;";
const TEMPORARY = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];

/** One process, no daemon, nothing outside of the folder. */
function configuration(folder: string, port: number, tls?: KeyFiles): string {
  const secure = tls === undefined ? "" : `ssl_certificate ${tls.certFile}; ssl_certificate_key ${tls.keyFile};`;
  return `
    daemon off; master_process off; pid ${folder}/pid; error_log stderr notice;
    events {}
    http {
      access_log off; default_type text/plain; root ${folder}/www;
      ${TEMPORARY.map((name) => `${name}_temp_path ${folder}/${name};`).join(" ")}
      server {
        listen 127.0.0.1:${port} ${tls === undefined ? "" : "ssl"}; ${secure}
        location /chunked/ { alias ${folder}/www/; ${INCLUDES} }
        location /until-the-end/ { alias ${folder}/www/; ${INCLUDES} chunked_transfer_encoding off; }
        location /nothing { return 204; }
      }
    }`;
}

interface Nginx {
  /** Where it takes its files from. */
  www: string;
  url: string;
}

async function startNginx(t: TestContext, tls?: KeyFiles): Promise<Nginx> {
  const folder = temporaryFolder(t);
  const www = join(folder, "www");
  mkdirSync(www);
  const file = join(folder, "nginx.conf");
  const { port } = await startOnFreePort((port) => {
    writeFileSync(file, configuration(folder, port, tls));
    return new Program(t, "nginx", ["-p", folder, "-e", "stderr", "-c", file]);
  }, /using the "\w+" event method/);
  return { www, url: `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}` };
}

/** Runs the client to its end. */
function get(t: TestContext, ...args: string[]): ReturnType<Program["ended"]> {
  return Program.example(t, "http-client", args).ended();
}

function sha256(data: Buffer): string {
  return createHash("sha256").update(data).digest("hex");
}

/** Text of many lines, none like another. */
function manyLines(): string {
  return Array.from({ length: 200_000 }, (_, i) => `line ${i} of a text that nginx sends in chunks\n`).join("");
}

describe("the HTTP client, against nginx", needs("nginx", "nginx-light"), () => {
  it("takes a body by its Content-Length", async (t) => {
    const { www, url } = await startNginx(t);
    writeFileSync(join(www, "page"), "Hello from nginx\n");
    const { code, stdout, stderr } = await get(t, `${url}/page`);
    assert.equal(stdout, "Hello from nginx\n");
    assert.match(stderr, /^HTTP\/1\.1 200 OK\n/);
    assert.equal(code, 0);
  });

  it("takes an empty body, and none at all", async (t) => {
    const { www, url } = await startNginx(t);
    writeFileSync(join(www, "empty"), "");
    for (const name of ["empty", "nothing"]) {
      const { code, stdout, stderr } = await get(t, `${url}/${name}`);
      assert.equal(stdout, "");
      assert.match(stderr, /^HTTP\/1\.1 20[04] /);
      assert.equal(code, 0);
    }
  });

  it("takes a large file as it is, and shows how far it is", async (t) => {
    const { www, url } = await startNginx(t);
    const data = randomBytes(LARGE_BYTES);
    writeFileSync(join(www, "large"), data);
    const output = join(www, "copy");
    const { code, stdout, stderr } = await get(t, `${url}/large`, "--output", output);
    assert.equal(code, 0);
    assert.equal(stdout, "");
    for (const percent of [25, 50, 75, 100]) assert.match(stderr, new RegExp(`received +${percent} %`));
    assert.equal(sha256(readFileSync(output)), sha256(data));
  });

  it("takes chunks, few and many", async (t) => {
    const { www, url } = await startNginx(t);
    for (const [name, text] of [
      ["short", "A few words\n"],
      ["long", manyLines()],
    ] as const) {
      writeFileSync(join(www, name), text);
      const { code, stdout } = await get(t, `${url}/chunked/${name}`);
      assert.ok(stdout === text, `${name}: ${stdout.length} of ${text.length} characters`);
      assert.equal(code, 0);
    }
  });

  it("takes a body that ends with the stream", async (t) => {
    const { www, url } = await startNginx(t);
    const text = manyLines();
    writeFileSync(join(www, "long"), text);
    const { code, stdout } = await get(t, `${url}/until-the-end/long`);
    assert.ok(stdout === text, `${stdout.length} of ${text.length} characters`);
    assert.equal(code, 0);
  });

  it("takes any body over TLS, from a server that is verified", async (t) => {
    const authority = await FiledAuthority.create(t);
    const { www, url } = await startNginx(t, await authority.issue("127.0.0.1"));
    const text = manyLines();
    writeFileSync(join(www, "long"), text);
    for (const path of ["long", "chunked/long", "until-the-end/long"]) {
      const { code, stdout, stderr } = await get(t, `${url}/${path}`, "--ca", authority.caFile);
      assert.ok(stdout === text, `${path}: ${stdout.length} of ${text.length} characters; ${stderr}`);
      assert.equal(code, 0);
    }
    const { code, stdout, stderr } = await get(t, `${url}/long`);
    assert.equal(stdout, "");
    assert.match(stderr, /not to be trusted/);
    assert.equal(code, 1);
  });

  it("shows the body of a refusal, and fails", async (t) => {
    const { url } = await startNginx(t);
    const { code, stdout, stderr } = await get(t, `${url}/not-here`);
    assert.match(stderr, /404 Not Found/);
    assert.match(stdout, /<h1>404 Not Found<\/h1>/);
    assert.equal(code, 1);
  });
});

describe("the HTTP client, alone", () => {
  it("says what is wrong when nobody listens", async (t) => {
    const { code, stderr } = await get(t, "http://127.0.0.1:1/");
    assert.match(stderr, /Cannot connect to 127\.0\.0\.1 port 1/);
    assert.equal(code, 1);
  });

  it("says how it is used when it is used otherwise", async (t) => {
    const { code, stderr } = await get(t, "ftp://localhost/");
    assert.match(stderr, /^Usage: /);
    assert.equal(code, 2);
  });
});
