import assert from "node:assert/strict";
import { createPrivateKey } from "node:crypto";
import { describe, it } from "node:test";
import { createSecureContext } from "node:tls";
import { AsyncSocket, type StartTLSOptions, type TLSOptions } from "asyncsocket";
import { MemoryNetwork } from "asyncsocket/testing";
import { failure, settled, until } from "../support/delegates.js";
import { Belongings, throwsBadState } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";
import { authority, HOST, identity, idle, listening, overMemory, secured, securePair, trusting } from "./helpers.js";

type Wrong = readonly [name: string, value: unknown, error: typeof TypeError | typeof RangeError, words?: RegExp];

const COMMON: readonly Wrong[] = [
  ["minVersion", "TLSv1", RangeError],
  ["minVersion", "TLSv1.1", RangeError],
  ["maxVersion", "TLSv1.1", RangeError],
  ["maxVersion", "SSLv3", RangeError],
  ["minVersion", 1.2, RangeError],
  ["secureProtocol", "TLSv1_method", TypeError],
  ["secureOptions", 1, TypeError],
  ["rejectUnauthorized", 0, TypeError],
  ["rejectUnauthorized", "false", TypeError],
  ["requestCert", "yes", TypeError],
  ["requireCloseNotify", 1, TypeError],
  ["checkServerIdentity", "no", TypeError],
  ["keyLog", "file", TypeError],
  ["session", "abc", TypeError],
  ["session", new Uint8Array(4), TypeError],
  ["ALPNProtocols", "h2", TypeError],
  ["ALPNProtocols", [1], TypeError],
  ["ALPNProtocols", [""], RangeError],
  ["ALPNProtocols", ["x".repeat(256)], RangeError],
  ["fingerprints", "ab", TypeError],
  ["fingerprints", [], TypeError],
  ["fingerprints", ["ab"], RangeError],
  ["fingerprints", [7], TypeError],
  ["certificates", "all", TypeError],
  ["certificates", null, TypeError],
  ["certificates", { a: { key: "no key", cert: "no certificate" } }, TypeError],
  ["key", "no key", TypeError],
  ["ca", 7, TypeError],
  ["ca", "no certificate", TypeError],
  ["ca", [authority.cert, Buffer.from("no certificate")], TypeError],
  ["ciphers", "NO-SUCH-CIPHER", TypeError],
];
const CLIENT: readonly Wrong[] = [
  ["servername", "", RangeError],
  ["servername", 7, TypeError],
];
const UPGRADE: readonly Wrong[] = [
  ["isServer", "yes", TypeError],
  ["timeout", -1, RangeError],
  ["timeout", "1s", TypeError],
  ["signal", {}, TypeError],
];

function assertThrows(call: () => unknown, [name, value, kind, words]: Wrong): void {
  const what = `${name}: ${String(value)}`;
  const isRight = (error: unknown): boolean => {
    assert.ok(error instanceof kind, `${what} gave ${String(error)}`);
    assert.match(error.message, words ?? /^Expected .*, got /, what);
    return true;
  };
  assert.throws(call, isRight, what);
}

describe("Wrong options of TLS throw at once, and change nothing", SAFETY, () => {
  it("of connect", () => {
    const socket = new AsyncSocket();
    for (const one of [...COMMON, ...CLIENT]) {
      const tls: TLSOptions = { ...trusting, [one[0]]: one[1] };
      assertThrows(() => socket.connect({ port: 1, tls }), one);
    }
    const wrong: unknown[] = ["yes", 1, null, () => {}];
    for (const tls of wrong) {
      assertThrows(() => socket.connect({ port: 1, tls: tls as boolean }), ["tls", tls, TypeError]);
    }
    assert.deepEqual([socket.state, socket.isSecure], ["idle", false]);
  });

  it("of listen", () => {
    const socket = new AsyncSocket();
    for (const one of COMMON) {
      const tls = { ...identity, [one[0]]: one[1] } as TLSOptions;
      assertThrows(() => socket.listen({ port: 0, tls }), one);
    }
    const wrong: unknown[] = [true, {}, { ca: authority.cert }, "yes", null];
    for (const tls of wrong) {
      assertThrows(() => socket.listen({ port: 0, tls: tls as TLSOptions }), ["tls", tls, TypeError]);
    }
    assert.equal(socket.state, "idle");
  });

  it("of startTLS, either side", async (t) => {
    const { client, server } = await overMemory(t);
    for (const wrong of [...COMMON, ...CLIENT, ...UPGRADE]) {
      const tls = { ...trusting, servername: HOST, [wrong[0]]: wrong[1] } as StartTLSOptions;
      assertThrows(() => client.startTLS(tls), wrong);
    }
    for (const wrong of COMMON) {
      const tls = { ...identity, [wrong[0]]: wrong[1] } as StartTLSOptions;
      assertThrows(() => server.startTLS(tls), wrong);
    }
    assertThrows(() => server.startTLS(), ["options", undefined, TypeError]);
    assertThrows(() => client.startTLS(7 as unknown as StartTLSOptions), ["options", 7, TypeError]);
    assert.deepEqual([client.pendingReads, client.pendingWrites, server.pendingReads], [0, 0, 0]);
    server.startTLS(identity);
    await client.startTLS({ ...trusting, servername: HOST });
  });

  it("of setTLS, and the certificate stays", async (t) => {
    const { listener, target } = await listening(t, identity);
    for (const wrong of COMMON) {
      const tls = { ...identity, [wrong[0]]: wrong[1] } as TLSOptions;
      assertThrows(() => listener.setTLS(tls), wrong);
    }
    await idle(t).connect({ ...target, tls: trusting });
  });

  it("take undefined everywhere", async (t) => {
    const names = [...COMMON, ...CLIENT, ...UPGRADE].map(([name]) => name);
    const nothing = Object.fromEntries(names.map((name) => [name, undefined]));
    await securePair(t, { ...nothing, ...identity }, { ...nothing, ...trusting });
    const { client, server } = await overMemory(t);
    server.startTLS({ ...nothing, ...identity });
    await client.startTLS({ ...nothing, ...trusting });
  });

  it("tls: false asks for no TLS", async (t) => {
    const { target } = await listening(t);
    const client = idle(t);
    await client.connect({ ...target, tls: false });
    assert.equal(client.isSecure, false);
  });
});

describe("A key with a passphrase", SAFETY, () => {
  const passphrase = "correct horse battery staple";
  const key = createPrivateKey(identity.key).export({
    type: "pkcs8",
    format: "pem",
    cipher: "aes-256-cbc",
    passphrase,
  });

  it("opens with it", async (t) => {
    const { client } = await securePair(t, { key, passphrase });
    assert.equal(client.tls?.authorized, true);
  });

  it("throws without it, or with another, and neither key nor passphrase is in the words", () => {
    for (const given of [undefined, "wrong horse"]) {
      assert.throws(
        () => new AsyncSocket().listen({ port: 0, tls: { cert: identity.cert, key, passphrase: given } }),
        (error: unknown) => {
          assert.ok(error instanceof TypeError);
          assert.match(error.message, /^Expected .*, got /);
          assert.doesNotMatch(error.message, /horse|PRIVATE|BEGIN/);
          return true;
        },
      );
    }
  });
});

describe("setTLS", SAFETY, () => {
  it("serves new connections; those that are open stay as they are", async (t) => {
    const renewed = await authority.issue(["renewed.example", HOST]);
    const { listener, target, accepted } = await listening(t, identity);
    const old = idle(t);
    await old.connect({ ...target, tls: trusting });
    const server = await accepted();
    await secured(server);
    listener.setTLS(renewed);
    const young = idle(t);
    await young.connect({ ...target, tls: trusting });
    assert.equal(young.tls?.peerCertificate?.subject.CN, "renewed.example");
    assert.equal(old.tls?.peerCertificate?.subject.CN, "localhost");
    server.write("still here\n");
    assert.equal(await old.readLine(), "still here");
  });

  it("is not possible on a listener in the clear, on another socket, or after the close", async (t) => {
    const plain = await listening(t);
    throwsBadState(() => plain.listener.setTLS(identity), "setTLS");
    throwsBadState(() => idle(t).setTLS(identity), "setTLS");
    const { client } = await securePair(t);
    throwsBadState(() => client.setTLS(identity), "setTLS");
  });
});

describe("The log of keys", SAFETY, () => {
  for (const [maxVersion, label] of [
    ["TLSv1.2", /^CLIENT_RANDOM [0-9a-f]{64} [0-9a-f]{96}\s*$/],
    ["TLSv1.3", /^[A-Z_]+_SECRET(_0)? [0-9a-f]{64} [0-9a-f]+\s*$/],
  ] as const) {
    it(`is the same on both sides, line by line: ${maxVersion}`, async (t) => {
      const [ours, theirs]: [string[], string[]] = [[], []];
      await securePair(
        t,
        { maxVersion, keyLog: (line) => void ours.push(String(line)) },
        { keyLog: (line) => void theirs.push(String(line)) },
      );
      assert.ok(ours.length > 0);
      for (const line of ours) assert.match(line, label);
      assert.deepEqual(ours.toSorted(), theirs.toSorted());
    });
  }
});

describe("What is told of a secured socket", SAFETY, () => {
  it("counts the bytes of the application alone", async (t) => {
    const { client, server } = await securePair(t);
    assert.deepEqual([client.bytesRead, client.bytesWritten, server.bytesRead, server.bytesWritten], [0, 0, 0, 0]);
    await client.write(Buffer.alloc(1000));
    await server.readExactly(1000);
    assert.deepEqual([client.bytesWritten, server.bytesRead], [1000, 1000]);
    const reason = await client.disconnect();
    assert.deepEqual([reason.bytesWritten, reason.bytesRead], [1000, 0]);
  });

  it("tells isSecure and tls after the close, too, and an idle socket tells neither", async (t) => {
    const { client, server } = await securePair(t);
    const { tls } = client;
    client.disconnect();
    await Promise.all([client.closed, server.closed]);
    assert.deepEqual([client.isSecure, client.tls, server.isSecure], [true, tls, true]);
    const unused = idle(t);
    assert.deepEqual([unused.isSecure, unused.tls], [false, undefined]);
  });

  it("uses contexts made beforehand, on either side", async (t) => {
    const { client } = await securePair(
      t,
      { key: undefined, cert: undefined, secureContext: createSecureContext(identity) },
      { ca: undefined, secureContext: createSecureContext({ ca: authority.cert }) },
    );
    assert.equal(client.tls?.authorized, true);
  });

  it("connect({ tls }) and listen({ tls }) work on a network in memory", async (t) => {
    const belongings = Belongings.of(t);
    const transport = new MemoryNetwork({ chunkBytes: () => 7 });
    const listener = belongings.add(new AsyncSocket({ transport }));
    await listener.listen({ port: 7, tls: identity });
    const client = belongings.add(new AsyncSocket({ transport }));
    await client.connect({ host: HOST, port: 7, tls: trusting });
    const { value } = await listener.connections().next();
    assert.ok(value !== undefined);
    const server = belongings.add(value);
    server.write("hello\n");
    assert.equal(await client.readLine(), "hello");
    await until(() => server.isSecure, "the server's end");
  });

  it("a Unix-domain path has no name: connect({ tls }) fails in words without a servername", async (t) => {
    const belongings = Belongings.of(t);
    const transport = new MemoryNetwork();
    await belongings.add(new AsyncSocket({ transport })).listen({ path: "/s", tls: identity });
    const client = (): AsyncSocket => belongings.add(new AsyncSocket({ transport }));
    const error = await failure(client().connect({ path: "/s", tls: trusting }), "TLS");
    assert.match(error.message, /servername/);
    await client().connect({ path: "/s", tls: { ...trusting, servername: "localhost" } });
    await settled();
  });
});
