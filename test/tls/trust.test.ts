import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DetailedPeerCertificate } from "node:tls";
import type { AsyncSocket } from "asyncsocket";
import { VirtualClock } from "asyncsocket/testing";
import { NO_NATIVE } from "../support/availability.js";
import { failure, settled, until } from "../support/delegates.js";
import { ODD_VALUES } from "../support/thrown-values.js";
import { SAFETY } from "../support/transports.js";
import { uncaught } from "../support/uncaught.js";
import {
  assertWords,
  authority,
  closedBy,
  HOST,
  identity,
  idle,
  listening,
  overMemory,
  secured,
  SecureRecorder,
  type Sides,
  stranger,
  trusting,
} from "./helpers.js";

type Answer = (certificate: DetailedPeerCertificate, error: Error | null) => boolean | Promise<boolean>;

/** Is asked, and notes it. */
class Asked extends SecureRecorder {
  readonly errors: (Error | null)[] = [];
  readonly #answer: Answer;

  constructor(answer: Answer) {
    super();
    this.#answer = answer;
  }

  shouldTrustPeer(
    _: AsyncSocket,
    certificate: DetailedPeerCertificate,
    error: Error | null,
  ): boolean | Promise<boolean> {
    this.calls.push(["shouldTrustPeer", certificate.subject.CN]);
    this.errors.push(error);
    return this.#answer(certificate, error);
  }
}

/** An answer that is given when the test says so. */
class Later {
  readonly promise: Promise<boolean>;
  readonly answer: (isTrusted: boolean) => void;

  constructor() {
    let resolve: (isTrusted: boolean) => void = () => undefined;
    this.promise = new Promise((given) => (resolve = given));
    this.answer = resolve;
  }
}

const strange = await stranger.issue([HOST]);
const member = await authority.issue(["a member"]);
const outsider = await stranger.issue(["an outsider"]);

describe("A client's delegate decides whether to trust the server", SAFETY, () => {
  const trusted: Record<string, Answer> = {
    "at once": () => true,
    "by a promise": () => Promise.resolve(true),
    "turns later": () => settled().then(() => true),
  };
  for (const [how, answer] of Object.entries(trusted)) {
    it(`yes, ${how}: didConnect, then didSecure, then the promise`, async (t) => {
      const { target } = await listening(t, strange);
      const delegate = new Asked(answer);
      const client = idle(t, { delegate });
      await client.connect({ ...target, tls: trusting }).then(() => delegate.calls.push(["the promise"]));
      assert.deepEqual(delegate.names, ["shouldTrustPeer", "didConnect", "didSecure", "the promise"]);
      assert.equal(client.isSecure, true);
      assert.deepEqual([client.tls?.authorized, client.tls?.authorizationError], [false, delegate.errors[0]]);
    });
  }

  const refused: Record<string, Answer> = {
    "at once": () => false,
    "by a promise": () => Promise.resolve(false),
    "by nothing at all": () => undefined as unknown as boolean,
    "by what is only like true": () => 1 as unknown as boolean,
  };
  for (const [how, answer] of Object.entries(refused)) {
    it(`no, ${how}: even where the certificate is valid`, async (t) => {
      const { target } = await listening(t, identity);
      const delegate = new Asked(answer);
      const client = idle(t, { delegate });
      assertWords(await failure(client.connect({ ...target, tls: trusting }), "TLS"), /does not trust/);
      await client.closed;
      assert.deepEqual(delegate.names, ["shouldTrustPeer", "didDisconnect"]);
      assert.deepEqual(delegate.errors, [null]);
    });
  }

  it("a getter that throws does not trust, nor does an answer whose `then` is one: the exception surfaces", async (t) => {
    const seen = uncaught(t);
    const { target } = await listening(t, identity);
    const fault = new Error("from a getter");
    const throwing = {
      get(): never {
        throw fault;
      },
    };
    const unaskable = Object.defineProperty({}, "shouldTrustPeer", throwing);
    const unclear = { shouldTrustPeer: () => Object.defineProperty({}, "then", throwing) as unknown as boolean };
    for (const delegate of [unaskable, unclear]) {
      const error = await failure(idle(t, { delegate }).connect({ ...target, tls: trusting }), "TLS");
      assert.equal(error.cause, fault);
      await settled();
      assert.deepEqual(seen.splice(0), [fault]);
    }
  });

  it("a delegate that throws does not trust, and its exception surfaces as uncaught, as from any method", async (t) => {
    const seen = uncaught(t);
    const { target } = await listening(t, identity);
    const fault = new Error("from the delegate");
    const delegate = new Asked(() => {
      throw fault;
    });
    const error = await failure(idle(t, { delegate }).connect({ ...target, tls: trusting }), "TLS");
    assert.equal(error.cause, fault);
    await until(() => seen.length > 0, "an uncaught exception");
    assert.deepEqual(seen, [fault]);
  });

  for (const [what, fault] of ODD_VALUES) {
    it(`a promise that rejects with ${what} is no trust: that is the cause, and nothing surfaces`, async (t) => {
      const seen = uncaught(t);
      const { target } = await listening(t, identity);
      const delegate = new Asked(async () => {
        await settled(1);
        return new Promise(() => {
          throw fault;
        });
      });
      const error = await failure(idle(t, { delegate }).connect({ ...target, tls: trusting }), "TLS");
      assert.match(error.message, /^The peer is not to be trusted: shouldTrustPeer failed/);
      assert.ok(Object.is(error.cause, fault));
      await settled();
      assert.deepEqual(seen, []);
    });
  }

  it("is asked once, with what is wrong, and with null where nothing is", async (t) => {
    for (const shown of [identity, strange]) {
      const { target } = await listening(t, shown);
      const delegate = new Asked(() => true);
      await idle(t, { delegate }).connect({ ...target, tls: trusting });
      assert.equal(delegate.errors.length, 1);
      assert.equal(delegate.errors[0] === null, shown === identity);
    }
  });

  it("is not asked where it has no such method, nor of a server by rejectUnauthorized: false alone", async (t) => {
    const { target } = await listening(t, strange);
    const delegate = new Asked(() => false);
    const tls = { rejectUnauthorized: false };
    await failure(idle(t, { delegate }).connect({ ...target, tls }), "TLS");
    await idle(t, { delegate: new SecureRecorder() }).connect({ ...target, tls });
  });

  it("nothing encrypted is read or written before the answer", async (t) => {
    const { target, accepted } = await listening(t, identity);
    const later = new Later();
    const delegate = new Asked(() => later.promise);
    const client = idle(t, { delegate });
    client.read({ tag: "r" });
    client.write("hello", { tag: "w" });
    const connecting = client.connect({ ...target, tls: trusting });
    const server = await accepted();
    await until(() => delegate.names.length > 0, "the question");
    await secured(server);
    server.write("early");
    await settled(50);
    assert.deepEqual(delegate.names, ["shouldTrustPeer"]);
    assert.deepEqual([server.bytesRead, client.state, client.isSecure], [0, "connecting", false]);
    later.answer(true);
    await connecting;
    assert.equal(String(await server.readExactly(5)), "hello");
    await until(() => delegate.names.includes("didRead"), "the read");
    assert.deepEqual(delegate.names.slice(0, 3), ["shouldTrustPeer", "didConnect", "didSecure"]);
    assert.deepEqual(delegate.of("didRead"), [["early", "r"]]);
  });

  for (const transport of ["node", "native"] as const) {
    for (const [when, isAskedBefore] of [
      ["later", false],
      ["already", true],
    ] as const) {
      const skip = transport === "native" && NO_NATIVE;
      it(
        `a server that floods meanwhile is held back, ${transport}, where all is asked for ${when}`,
        { skip },
        async (t) => {
          const { target, accepted } = await listening(t, identity, { transport });
          const later = new Later();
          const delegate = new Asked(() => later.promise);
          const client = idle(t, { delegate, transport, limits: { readAhead: 1000 } });
          const asked = isAskedBefore ? client.skip(16_000_000) : null;
          const connecting = client.connect({ ...target, tls: trusting });
          const server = await accepted();
          await until(() => delegate.names.length > 0, "the question");
          await secured(server);
          const flood = server.write(Buffer.alloc(16_000_000));
          await settled(300);
          assert.ok(client.unreadBytes <= 1000, `${client.unreadBytes} bytes unread`);
          later.answer(true);
          await connecting;
          await (asked ?? client.skip(16_000_000));
          await flood;
        },
      );
    }
  }

  it("an answer after the close does nothing", async (t) => {
    const { target } = await listening(t, identity);
    const later = new Later();
    const delegate = new Asked(() => later.promise);
    const client = idle(t, { delegate });
    const connecting = client.connect({ ...target, tls: trusting });
    await until(() => delegate.names.length > 0, "the question");
    client.disconnect();
    await failure(connecting, "CLOSED");
    await client.closed;
    later.answer(true);
    await settled();
    assert.deepEqual(delegate.names, ["shouldTrustPeer", "didDisconnect"]);
    assert.equal(client.isSecure, false);
  });

  it("a server that resets while it is asked closes the connection", async (t) => {
    const { target, accepted } = await listening(t, identity);
    const later = new Later();
    const delegate = new Asked(() => later.promise);
    const client = idle(t, { delegate });
    const connecting = client.connect({ ...target, tls: trusting });
    await until(() => delegate.names.length > 0, "the question");
    const server = await accepted();
    await secured(server);
    server.reset();
    await failure(connecting, "CONNECTION_LOST");
    later.answer(true);
    await client.closed;
    assert.equal(client.isSecure, false);
  });
});

describe("An answer that never comes", SAFETY, () => {
  it("is waited for within limits.handshakeMs", async (t) => {
    const clock = new VirtualClock();
    const delegate = new Asked(() => new Promise<boolean>(() => {}));
    const limits = { handshakeMs: 700 };
    const { client, server }: Sides = await overMemory(t, { clock }, { delegate, limits });
    server.startTLS({ ...identity, isServer: true });
    const upgrade = client.startTLS(trusting);
    await until(() => delegate.names.includes("shouldTrustPeer"), "the question");
    clock.advance(699);
    await settled();
    assert.equal(upgrade.state, "current");
    clock.advance(1);
    const error = await failure(upgrade, "TLS_TIMEOUT");
    assert.match(
      error.message,
      /^startTLS timed out after limits\.handshakeMs, 700 ms: shouldTrustPeer has not answered$/,
    );
    assert.equal(await closedBy(client, "TLS_TIMEOUT"), error);
  });

  it("does not outlive connect's timeout", async (t) => {
    const { target } = await listening(t, identity);
    const delegate = new Asked(() => new Promise<boolean>(() => {}));
    const client = idle(t, { delegate });
    const connecting = client.connect({ ...target, tls: trusting, timeout: 50 });
    await failure(connecting, "CONNECT_TIMEOUT");
  });
});

describe("A server's delegate decides whether to trust clients that are asked for a certificate", SAFETY, () => {
  const asking = { ...identity, requestCert: true, ca: authority.cert };
  const cases: readonly [name: string, showing: object, answer: boolean, isAsked: boolean, isIn: boolean][] = [
    ["a member, yes", member, true, true, true],
    ["a member, no", member, false, true, false],
    ["an outsider, yes", outsider, true, true, true],
    ["an outsider, no", outsider, false, true, false],
  ];
  for (const [name, showing, answer, isAsked, isIn] of cases) {
    it(name, async (t) => {
      const delegate = new Asked(() => answer);
      const { target, accepted } = await listening(t, asking, { delegate });
      const client = idle(t);
      client.connect({ ...target, tls: { ...trusting, ...showing } });
      const server = await accepted();
      await secured(server);
      assert.equal(server.isSecure, isIn);
      assert.equal(delegate.errors.length, isAsked ? 1 : 0);
      assert.equal(delegate.errors[0] === null, showing === member);
      if (!isIn) await closedBy(server, "TLS");
    });
  }

  it("sends nothing to a client that is not trusted yet, though that is through with its handshake", async (t) => {
    const later = new Later();
    const delegate = new Asked(() => later.promise);
    const { target, accepted } = await listening(t, asking, { delegate });
    const client = idle(t);
    const connecting = client.connect({ ...target, tls: { ...trusting, ...member } });
    const server = await accepted();
    server.write("for members");
    await connecting;
    client.write("hello");
    await until(() => delegate.errors.length > 0, "the question");
    await settled(50);
    assert.deepEqual([client.bytesRead, server.pendingWrites, server.isSecure], [0, 1, false]);
    later.answer(true);
    assert.equal(String(await client.readExactly(11)), "for members");
    assert.equal(String(await server.readExactly(5)), "hello");
  });

  it("is not asked of clients that need show nothing", async (t) => {
    const delegate = new Asked(() => false);
    const { target, accepted } = await listening(t, identity, { delegate });
    await idle(t).connect({ ...target, tls: trusting });
    const server = await accepted();
    await secured(server);
    assert.deepEqual([server.isSecure, delegate.errors.length], [true, 0]);
  });
});
