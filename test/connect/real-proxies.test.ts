/** Connecting through the proxies that people use. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it, type TestContext } from "node:test";
import { AsyncSocket, AsyncSocketError, type ProxyOptions, type TLSOptions } from "asyncsocket";
import { FiledAuthority } from "../support/key-files.js";
import { needs, Program, startOnFreePort, temporaryFolder } from "../support/programs.js";
import { assertNothingLeft, portOf } from "../support/transports.js";
import { deadPort, LOCALHOST, startSilent } from "./silent-program.js";
import type { ProxyTarget } from "#dist/connect/proxy/proxy-url.js";

const LOGIN = "user:hunter2";

after(assertNothingLeft);

/** Says welcome, and then sends all back. */
async function startEcho(t: TestContext, host = LOCALHOST, tls?: TLSOptions): Promise<number> {
  const listener = await AsyncSocket.listen({
    host,
    tls,
    port: 0,
    delegate: {
      didAccept(_listener, socket) {
        socket.write("welcome\r\n");
        socket.read();
      },
      didRead(socket, data) {
        socket.write(data);
        socket.read();
      },
    },
  });
  t.after(() => listener.shutdown({ graceMs: 0 }));
  return portOf(listener);
}

async function through(t: TestContext, proxy: string | ProxyOptions, target: ProxyTarget): Promise<AsyncSocket> {
  const socket = new AsyncSocket();
  t.after(() => socket.disconnect());
  return await socket.connect({ ...target, proxy });
}

const MUCH = Buffer.alloc(1_000_000, "0123456789");

async function assertEchoes(socket: AsyncSocket): Promise<void> {
  assert.equal(await socket.readLine(), "welcome");
  const [echo] = await Promise.all([socket.readExactly(MUCH.length), socket.write(MUCH)]);
  assert.ok(echo.equals(MUCH), "all came back as it was sent");
  assert.equal((await socket.disconnectAfterWriting()).by, "local");
}

/** The echo listens at the last of the addresses that are found for its name alone. */
async function assertGoesOn(t: TestContext, proxyPort: number): Promise<void> {
  const port = await startEcho(t, "127.0.0.97");
  const socket = new AsyncSocket();
  t.after(() => socket.disconnect());
  await socket.connect({
    host: "echo.test",
    port,
    proxy: `socks5://${LOCALHOST}:${proxyPort}`,
    lookup: (_host, _options, done) =>
      done(
        null,
        [LOCALHOST, "127.0.0.98", "127.0.0.97"].map((address) => ({ address, family: 4 })),
      ),
  });
  await assertEchoes(socket);
}

async function assertRefuses(t: TestContext, url: string, target: ProxyTarget, message: RegExp): Promise<void> {
  await assert.rejects(through(t, url, target), (error) => {
    assert.ok(error instanceof AsyncSocketError);
    assert.equal(error.code, "ERR_ASYNCSOCKET_PROXY");
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /hunter2/);
    return true;
  });
}

function startMicrosocks(t: TestContext, ...options: string[]): Promise<number> {
  return startSilent(t, "microsocks", (port) => ["-i", LOCALHOST, "-p", String(port), ...options]);
}

describe("SOCKS5, with microsocks", needs("microsocks", "microsocks"), () => {
  it("goes on to the next address where nothing listens", async (t) => {
    await assertGoesOn(t, await startMicrosocks(t));
  });

  for (const scheme of ["socks5", "socks5h"]) {
    for (const host of [LOCALHOST, "localhost"]) {
      it(`connects to ${host} by ${scheme}`, async (t) => {
        const target = { host, port: await startEcho(t) };
        await assertEchoes(await through(t, `${scheme}://${LOCALHOST}:${await startMicrosocks(t)}`, target));
      });
    }
  }

  it("logs in", async (t) => {
    const target = { host: LOCALHOST, port: await startEcho(t) };
    const port = await startMicrosocks(t, "-u", "user", "-P", "hunter2");
    await assertEchoes(await through(t, `socks5://${LOGIN}@${LOCALHOST}:${port}`, target));
  });

  it("is told that it has to log in", async (t) => {
    const port = await startMicrosocks(t, "-u", "user", "-P", "hunter2");
    const target = { host: LOCALHOST, port: 9 };
    await assertRefuses(t, `socks5://${LOCALHOST}:${port}`, target, /asks for a user name and a password/);
    const wrong = `socks5://user:hunter22@${LOCALHOST}:${port}`;
    await assertRefuses(t, wrong, target, /does not accept the user name and the password/);
  });

  it("is told that nothing listens there", async (t) => {
    const target = { host: LOCALHOST, port: await deadPort() };
    await assertRefuses(
      t,
      `socks5://${LOCALHOST}:${await startMicrosocks(t)}`,
      target,
      /nothing listens there \(reply 5\)/,
    );
  });
});

describe("SOCKS5, with Dante", needs("danted", "dante-server"), () => {
  function startDante(t: TestContext): Promise<number> {
    const configuration = join(temporaryFolder(t), "danted.conf");
    return startSilent(t, "danted", (port) => {
      const rule = "from: 127.0.0.0/8 to: 0.0.0.0/0";
      writeFileSync(
        configuration,
        `logoutput: stderr
internal: ${LOCALHOST} port = ${port}
external: ${LOCALHOST}
clientmethod: none
socksmethod: none
client pass { ${rule} }
socks block { from: 127.0.0.0/8 to: 127.0.0.99/32 }
socks pass { ${rule} }
`,
      );
      return ["-f", configuration];
    });
  }

  for (const host of [LOCALHOST, "localhost"]) {
    it(`connects to ${host}`, async (t) => {
      const target = { host, port: await startEcho(t) };
      await assertEchoes(await through(t, `socks5h://${LOCALHOST}:${await startDante(t)}`, target));
    });
  }

  it("goes on to the next address where nothing listens", async (t) => {
    await assertGoesOn(t, await startDante(t));
  });

  it("is told what its rules forbid, and where nothing listens", async (t) => {
    const url = `socks5://${LOCALHOST}:${await startDante(t)}`;
    await assertRefuses(t, url, { host: "127.0.0.99", port: 9 }, /its rules do not allow that \(reply 2\)/);
    await assertRefuses(t, url, { host: LOCALHOST, port: await deadPort() }, /nothing listens there \(reply 5\)/);
  });
});

describe("CONNECT, with tinyproxy", needs("tinyproxy", "tinyproxy"), () => {
  async function startTinyproxy(t: TestContext, ...lines: string[]): Promise<number> {
    const folder = temporaryFolder(t);
    const { port } = await startOnFreePort((port) => {
      const configuration = join(folder, `${port}.conf`);
      const common = [`Port ${port}`, `Listen ${LOCALHOST}`, "Timeout 60", "MaxClients 10", "LogLevel Info"];
      writeFileSync(configuration, `${[...common, ...lines].join("\n")}\n`);
      return new Program(t, "tinyproxy", ["-d", "-c", configuration]);
    }, /Accepting connections|Starting main loop/);
    return port;
  }

  for (const host of [LOCALHOST, "localhost"]) {
    it(`connects to ${host}`, async (t) => {
      const target = { host, port: await startEcho(t) };
      await assertEchoes(await through(t, `http://${LOCALHOST}:${await startTinyproxy(t)}`, target));
    });
  }

  it("logs in", async (t) => {
    const target = { host: LOCALHOST, port: await startEcho(t) };
    const port = await startTinyproxy(t, "BasicAuth user hunter2");
    await assertEchoes(await through(t, `http://${LOGIN}@${LOCALHOST}:${port}`, target));
  });

  it("logs in by a header field", async (t) => {
    const target = { host: LOCALHOST, port: await startEcho(t) };
    const port = await startTinyproxy(t, "BasicAuth user hunter2");
    const headers = { "Proxy-Authorization": `Basic ${Buffer.from("user:hunter2").toString("base64")}` };
    await assertEchoes(await through(t, { url: `http://${LOCALHOST}:${port}`, headers }, target));
  });

  it("is told that it has to log in", async (t) => {
    const port = await startTinyproxy(t, "BasicAuth user hunter2");
    const target = { host: LOCALHOST, port: 9 };
    await assertRefuses(t, `http://${LOCALHOST}:${port}`, target, /asks for a user name and a password \("HTTP.* 407 /);
    // Without a challenge: it answers 401 to a wrong password.
    await assertRefuses(t, `http://user:hunter22@${LOCALHOST}:${port}`, target, /"HTTP\/1\.[01] 40[17] /);
  });

  it("is told which ports are forbidden", async (t) => {
    const port = await startTinyproxy(t, "ConnectPort 443");
    await assertRefuses(t, `http://${LOCALHOST}:${port}`, { host: LOCALHOST, port: 9 }, /rules do not allow.* 403 /);
  });

  it("is reached over TLS, through HAProxy, and reaches a target over TLS", needs("haproxy", "haproxy"), async (t) => {
    const authority = await FiledAuthority.create(t);
    const identity = await authority.identity("localhost");
    const file = join(authority.folder, "both.pem");
    writeFileSync(file, `${identity.cert}\n${identity.key}`);
    const behind = await startTinyproxy(t, "BasicAuth user hunter2");
    const timeouts = ["connect", "client", "server"].map((name) => `timeout ${name} 60s`).join("\n  ");
    const configuration = join(authority.folder, "haproxy.cfg");
    const front = await startSilent(t, "haproxy", (port) => {
      const places = `bind ${LOCALHOST}:${port} ssl crt ${file} alpn http/1.1\n  server behind ${LOCALHOST}:${behind}`;
      writeFileSync(configuration, `defaults\n  mode tcp\n  ${timeouts}\nlisten proxy\n  ${places}\n`);
      return ["-db", "-f", configuration];
    });
    const port = await startEcho(t, LOCALHOST, identity);
    const tls = { ca: authority.cert, servername: "localhost" };
    const socket = new AsyncSocket();
    t.after(() => socket.disconnect());
    const proxy = { url: `https://${LOGIN}@localhost:${front}`, tls: { ca: authority.cert } };
    await socket.connect({ host: LOCALHOST, port, proxy, tls });
    assert.ok(socket.isSecure);
    await assertEchoes(socket);
  });

  it("is told that the target cannot be reached", async (t) => {
    const target = { host: LOCALHOST, port: await deadPort() };
    await assertRefuses(t, `http://${LOCALHOST}:${await startTinyproxy(t)}`, target, /"HTTP\/1\.[01] 50[0-9] /);
  });
});

describe("a server that is no proxy", () => {
  for (const scheme of ["socks5h", "http"]) {
    it(`is reported as such, for ${scheme}`, async (t) => {
      const port = await startEcho(t);
      const url = `${scheme}://${LOCALHOST}:${port}`;
      await assertRefuses(t, url, { host: "example.org", port: 80 }, /it does not speak (?:SOCKS5|HTTP\/1\.1) /);
    });
  }
});
