/** The inspector's server: whom it answers, and what it says. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { AsyncSocket, openSockets } from "asyncsocket";
import { inspect, type Inspector } from "asyncsocket/inspector";
import { MemoryNetwork } from "asyncsocket/testing";
import { refusalOf } from "#dist/inspector/server.js";
import { SAFETY } from "../support/transports.js";

async function inspector(t: TestContext): Promise<Inspector> {
  const one = await inspect({ intervalMs: 50 });
  // The inspector does not keep the process alive.
  const alive = setInterval(() => undefined, 1000);
  t.after(async () => {
    clearInterval(alive);
    await one.close();
  });
  return one;
}

/** Sends a request as it stands. @returns the status, the fields and the body */
async function ask(url: string, lines: readonly string[]): Promise<{ status: number; head: string; body: string }> {
  const { port } = new URL(url);
  const socket = await AsyncSocket.connect({ host: "127.0.0.1", port: Number(port) });
  socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  const head = await socket.readUntil("\r\n\r\n", { encoding: "latin1" });
  let body = "";
  for await (const part of socket) body += part.toString();
  await socket.closed;
  return { status: Number(head.split(" ")[1]), head, body };
}

function get(url: string, file = "", fields: Readonly<Record<string, string>> = {}): string[] {
  const { pathname, host } = new URL(url);
  const given = { Host: host, ...fields };
  return [`GET ${pathname}${file} HTTP/1.1`, ...Object.entries(given).map(([name, value]) => `${name}: ${value}`)];
}

describe("the inspector's server", SAFETY, () => {
  it("serves the page, its script and its style to who knows the token, and lets them load nothing else", async (t) => {
    const { url } = await inspector(t);
    for (const [file, type] of [
      ["", "text/html"],
      ["script.js", "text/javascript"],
      ["style.css", "text/css"],
    ] as const) {
      const { status, head, body } = await ask(url, get(url, file));
      assert.equal(status, 200);
      assert.ok(head.includes(`Content-Type: ${type}`) && body.length > 1000);
      assert.match(head, /Content-Security-Policy: default-src 'none'; script-src 'self'/);
      assert.match(head, /Referrer-Policy: no-referrer/);
      assert.match(head, /X-Content-Type-Options: nosniff/);
    }
  });

  it("refuses everybody else: without the token, under another name, from other sites, and what is no GET", async (t) => {
    const { url } = await inspector(t);
    const { host, port } = new URL(url);
    const token = new URL(url).pathname.slice(1, -1);
    const wrong = `${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}`;
    const plain = (line: string): string[] => [line, `Host: ${host}`];
    const asked: [number, string[]][] = [
      [403, plain("GET / HTTP/1.1")],
      [403, plain("GET /events HTTP/1.1")],
      [403, plain(`GET /${wrong}/ HTTP/1.1`)],
      [403, plain(`GET /${wrong}/events HTTP/1.1`)],
      [403, plain(`GET /${token}x/ HTTP/1.1`)],
      [421, get(url, "", { Host: `attacker.example:${port}` })],
      [421, get(url, "", { Host: "127.0.0.1" })],
      [421, [`GET /${token}/ HTTP/1.1`]],
      [403, get(url, "events", { Origin: "http://attacker.example" })],
      [403, get(url, "events", { Origin: "null" })],
      [403, get(url, "", { "Sec-Fetch-Site": "cross-site" })],
      [405, [`POST /${token}/ HTTP/1.1`, `Host: ${host}`]],
      [404, get(url, "elsewhere")],
      [404, get(url, "script.js/more")],
      [404, get(url, "__proto__")],
      [400, plain("GET nothing")],
      [400, [...plain(`GET /${token}/ HTTP/1.1`), `Host: ${host}`]],
      [400, [...plain(`GET /${token}/ HTTP/1.1`), " folded: line"]],
    ];
    for (const [expected, lines] of asked) {
      const { status, body } = await ask(url, lines);
      assert.equal(status, expected, lines.join("; "));
      assert.ok(!body.includes(token));
    }
    assert.equal((await ask(url, get(url, "", { Origin: `http://${host}`, "Sec-Fetch-Site": "none" }))).status, 200);
    assert.equal((await ask(url, get(url, "", { Host: `localhost:${port}` }))).status, 200);
  });

  it("tells of the sockets, but not of its own, one event after the other", async (t) => {
    const { url } = await inspector(t);
    const transport = new MemoryNetwork();
    const listener = await AsyncSocket.listen({ transport, port: 7 });
    const client = await AsyncSocket.connect({ transport, port: 7 });
    void client.readLine({ tag: "two\n\ndata: forged" }).catch(() => undefined);
    client.write("secret words");
    const viewer = await AsyncSocket.connect({ host: "127.0.0.1", port: Number(new URL(url).port) });
    viewer.write(`${get(url, "events").join("\r\n")}\r\n\r\n`);
    assert.match(await viewer.readUntil("\r\n\r\n", { encoding: "latin1" }), /text\/event-stream/);
    for (let i = 0; i < 3; i++) {
      const event = await viewer.readUntil("\n\n", { encoding: "utf8" });
      assert.match(event, /^data: [^\n]*\n\n$/);
      assert.ok(!event.includes("secret"));
      const { loops } = JSON.parse(event.slice(6)) as {
        loops: { sockets: { id: number; reads: { tag: string }[] }[] }[];
      };
      const sockets = loops[0]?.sockets ?? [];
      const ids = sockets.map(({ id }) => id);
      assert.ok([listener, client, viewer].every(({ id }) => ids.includes(id)));
      assert.equal(ids.length, 4, "neither its listener nor its end of this connection");
      assert.equal(sockets.find(({ id }) => id === client.id)?.reads[0]?.tag, "'two\\n\\ndata: forged'");
    }
    await Promise.all([client.disconnect(), viewer.disconnect(), listener.disconnect()]);
  });

  it("goes on where the class of a socket has a name or a getter that throws", async (t) => {
    const fail = (): never => {
      throw new Error("not told");
    };
    class Nameless extends AsyncSocket {}
    Object.defineProperty(Nameless, "name", { get: fail });
    const { url } = await inspector(t);
    const transport = new MemoryNetwork();
    const nameless = new Nameless({ transport });
    const hidden = new AsyncSocket({ transport });
    Object.defineProperty(hidden, "local", { get: fail });
    await nameless.listen({ port: 7 });
    await hidden.listen({ port: 8 });
    const viewer = await AsyncSocket.connect({ host: "127.0.0.1", port: Number(new URL(url).port) });
    viewer.write(`${get(url, "events").join("\r\n")}\r\n\r\n`);
    await viewer.readUntil("\r\n\r\n");
    for (let i = 0; i < 2; i++) {
      const event = await viewer.readUntil("\n\n", { encoding: "utf8" });
      const { loops } = JSON.parse(event.slice(6)) as { loops: { sockets: { id: number; name: string }[] }[] };
      assert.equal(loops[0]?.sockets.find(({ id }) => id === nameless.id)?.name, "AsyncSocket");
      assert.ok(loops[0].sockets.every(({ id }) => id !== hidden.id));
    }
    await Promise.all([viewer.disconnect(), nameless.disconnect(), hidden.disconnect()]);
  });

  it("is kept from nobody by connections that send nothing, nor by open pages", async (t) => {
    const { url } = await inspector(t);
    const port = Number(new URL(url).port);
    const connect = (): Promise<AsyncSocket> => AsyncSocket.connect({ host: "127.0.0.1", port });
    const silent: AsyncSocket[] = [];
    for (let i = 0; i < 80; i++) silent.push(await connect());
    assert.equal((await ask(url, get(url))).status, 200);
    await silent[0]?.closed;
    const pages: AsyncSocket[] = [];
    const open = async (): Promise<string> => {
      const page = await connect();
      pages.push(page);
      page.write(`${get(url, "events").join("\r\n")}\r\n\r\n`);
      return await page.readUntil("\r\n\r\n", { encoding: "latin1" });
    };
    for (let i = 0; i < 24; i++) assert.match(await open(), /^HTTP\/1\.1 200 /);
    assert.match(await open(), /^HTTP\/1\.1 503 /);
    assert.equal((await ask(url, get(url))).status, 200);
    await pages[0]?.readUntil("\n\n");
    await Promise.all([...silent, ...pages].map((socket) => socket.disconnect()));
  });

  it("takes a host without a port where the port is that of HTTP", () => {
    const refusal = (port: number, host: string, origin = `http://${host}`): string | null => {
      const fields = new Map([
        ["host", host],
        ["origin", origin],
      ]);
      return refusalOf({ method: "GET", path: "/secret/", fields }, { host: "127.0.0.2", port, token: "secret" });
    };
    for (const host of ["127.0.0.2", "localhost", "[::1]"]) {
      assert.equal(refusal(80, host), null);
      assert.equal(refusal(80, `${host}:80`), null);
      assert.match(refusal(8080, host) ?? "", /^421 /);
    }
    assert.match(refusal(80, "attacker.example") ?? "", /^421 /);
    assert.match(refusal(80, "localhost", "http://attacker.example") ?? "", /^403 /);
  });

  it("is closed, with all of its connections, by close(), and can be disposed of", async () => {
    // Sockets of earlier tests may be there, and close meanwhile: Deno runs what t.after() was given only once all tests
    // of the file are over. What counts is that none is left that was not there before.
    const before = new Set(openSockets());
    const added = (): number[] =>
      openSockets()
        .filter((socket) => !before.has(socket))
        .map(({ id }) => id);
    const one = await inspect();
    const viewer = await AsyncSocket.connect({ host: "127.0.0.1", port: Number(new URL(one.url).port) });
    viewer.write(`${get(one.url, "events").join("\r\n")}\r\n\r\n`);
    await viewer.readUntil("\n\n");
    assert.ok(added().length >= 2);
    await Promise.all([one.close(), one.close()]);
    await one.close();
    await viewer.closed;
    assert.deepEqual(added(), []);
    const other = await inspect();
    await other[Symbol.asyncDispose]();
    await other.close();
    assert.deepEqual(added(), []);
  });

  it("refuses options that are wrong, and addresses that others can reach", async () => {
    const wrong: [unknown, RegExp][] = [
      [{ host: "0.0.0.0" }, /Expected host to be a loopback address, got "0\.0\.0\.0"/],
      [{ host: "example.org" }, /loopback/],
      [{ intervalMs: 1 }, /intervalMs/],
      [{ port: "80" }, /Expected port and intervalMs to be numbers/],
      [{ prot: 1 }, /Expected options of inspect/],
      [null, /Expected options to be an object, got null/],
    ];
    for (const [options, message] of wrong) await assert.rejects(inspect(options as undefined), message);
    const taken = await inspect();
    await assert.rejects(inspect({ port: Number(new URL(taken.url).port) }), { code: "ERR_ASYNCSOCKET_LISTEN" });
    await taken.close();
  });
});
