/** The words of connects, lookups and listens that fail, to the letter. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AsyncSocketError, type ListenTarget } from "asyncsocket";
import { errno } from "./scripted-factory.js";
import { socketError } from "#dist/base/errors.js";
import {
  addressInWords,
  connectFailure,
  connectTimeout,
  dnsFailure,
  isAbsence,
  listenFailure,
  lookupInWords,
  noAddress,
  srvFailure,
  srvWords,
  type Tried,
} from "#dist/connect/messages.js";

const REFUSED = errno("ECONNREFUSED");
const RESET = errno("ECONNRESET");
const NAMELESS = new Error("who knows");
const NO_NAME = socketError("DNS", "connect", "Cannot find it", errno("ENOTFOUND"));
const NO_INTERFACE = socketError("CONNECT", "connect", "There is no such interface");

/** Checks an error whole: code, operation, words, cause. */
function assertIs(error: Error, code: string, operation: string, message: string, cause?: unknown): void {
  assert.ok(error instanceof AsyncSocketError);
  assert.deepEqual([error.code, error.operation, error.message], [`ERR_ASYNCSOCKET_${code}`, operation, message]);
  assert.equal(error.cause, cause);
}

function at(where: string, error: Error | null): Tried {
  return { where, error };
}

describe("a connect that failed", () => {
  it("says where, why, and has the errno's error as its cause", () => {
    const error = connectFailure("a.test port 7", [at("192.0.2.1", REFUSED)]);
    const message = "Cannot connect to a.test port 7: 192.0.2.1: nothing listens there (ECONNREFUSED)";
    assertIs(error, "CONNECT", "connect", message, REFUSED);
  });

  it("does not repeat the place where the error says it all", () => {
    const error = connectFailure("/tmp/x", [at("", REFUSED)]);
    assertIs(error, "CONNECT", "connect", "Cannot connect to /tmp/x: nothing listens there (ECONNREFUSED)", REFUSED);
  });

  it("lists all that was tried, with all errors in the cause, and the first errno", () => {
    const tried = [at("1", NAMELESS), at("2", RESET), at("3", REFUSED), at("4", null), at("", NO_NAME)];
    const error = connectFailure("x", tried);
    const { cause } = error;
    assert.ok(cause instanceof AggregateError);
    const message =
      "Cannot connect to x: 1: who knows; 2: the peer reset the connection (ECONNRESET); " +
      "3: nothing listens there (ECONNREFUSED); 4: no answer yet; Cannot find it";
    assertIs(error, "CONNECT", "connect", message, cause);
    assert.deepEqual(cause.errors, [NAMELESS, RESET, REFUSED, NO_NAME]);
    assert.equal(cause.message, "All addresses failed");
    assert.equal((cause as NodeJS.ErrnoException).code, "ECONNRESET");
  });

  it("has no errno where none of them has", () => {
    const { cause } = connectFailure("x", [at("1", NAMELESS), at("2", NAMELESS)]);
    assert.ok(cause instanceof AggregateError);
    assert.equal("code" in cause, false);
  });

  it("is DNS only where all that failed are lookups", () => {
    const lookups = connectFailure("x", [at("", NO_NAME), at("", NO_NAME)]);
    assert.equal(lookups.code, "ERR_ASYNCSOCKET_DNS");
    assert.equal(lookups.message, "Cannot connect to x: Cannot find it; Cannot find it");
    for (const other of [NO_INTERFACE, REFUSED, errno("ERR_ASYNCSOCKET_DNS"), null]) {
      assert.equal(connectFailure("x", [at("", NO_NAME), at("1", other)]).code, "ERR_ASYNCSOCKET_CONNECT");
    }
  });

  it("is the one error itself where that is in our own words, and the only one", () => {
    for (const own of [NO_NAME, NO_INTERFACE]) assert.equal(connectFailure("x", [at("", own)]), own);
    assert.notEqual(connectFailure("x", [at("", NO_INTERFACE), at("1", REFUSED)]), NO_INTERFACE);
  });
});

describe("a connect that took too long", () => {
  it("says how long, what it waited for, and all that was tried", () => {
    const tried = [at("192.0.2.1", REFUSED), at("192.0.2.2", null)];
    const error = connectTimeout("a.test port 7", 500, tried, [lookupInWords("b.test"), "more"]);
    const message =
      "Cannot connect to a.test port 7: it took more than 500 ms; the name lookup of b.test has not answered yet; " +
      "more; 192.0.2.1: nothing listens there (ECONNREFUSED); 192.0.2.2: no answer yet";
    assertIs(error, "CONNECT_TIMEOUT", "connect", message, REFUSED);
  });

  it("has no cause where nothing failed", () => {
    const error = connectTimeout("x", 1, [at("192.0.2.1", null)], []);
    const message = "Cannot connect to x: it took more than 1 ms; 192.0.2.1: no answer yet";
    assertIs(error, "CONNECT_TIMEOUT", "connect", message);
  });
});

describe("a lookup that failed", () => {
  const HINT = "no such host name, or one without an address; check how it is spelt";
  for (const [code, words] of [
    ["ENOTFOUND", HINT],
    ["EAI_NONAME", HINT],
    ["ETIMEOUT", "the name server did not answer in time; check the network and the resolver"],
    ["ECONNREFUSED", "no name server answers there; check the resolver"],
    ["ESERVFAIL", "the name server failed"],
    ["EREFUSED", "the name server refused to answer"],
    ["EAI_NODATA", "the name exists but has no address"],
  ] as const) {
    it(`says in words what ${code} means`, () => {
      const cause = errno(code);
      const message = `Cannot find an address of the host "a.test": ${words} (${code})`;
      assertIs(dnsFailure("a.test", [6, 4], cause), "DNS", "connect", message, cause);
      const service = `${words} (${code}); and there is no port to fall back on`;
      if (!["ENOTFOUND", "EAI_NONAME", "EAI_NODATA"].includes(code)) assert.equal(srvWords(cause), service);
    });
  }

  it("says what the error says where that is not known, and which family was wanted by whom", () => {
    for (const [families, wanted] of [
      [[4], "an IPv4 address"],
      [[6], "an IPv6 address"],
      [[6, 4], "an address"],
    ] as const) {
      const message = `Cannot find ${wanted} of the host "a.test": who knows`;
      assertIs(dnsFailure("a.test", families, NAMELESS, "listen"), "DNS", "listen", message, NAMELESS);
    }
  });

  it("is absence where there is no such name, or no address of the family", () => {
    for (const code of ["ENOTFOUND", "ENODATA", "EAI_NODATA", "EAI_NONAME"]) {
      assert.equal(isAbsence(errno(code)), true, code);
      assert.equal(isAbsence(dnsFailure("a.test", [4], errno(code))), true, code);
    }
    for (const code of ["EAI_AGAIN", "ESERVFAIL", "ETIMEOUT", ""]) {
      assert.equal(isAbsence(errno(code)), false, code);
      assert.equal(isAbsence(dnsFailure("a.test", [4], errno(code))), false, code);
    }
    assert.equal(isAbsence(noAddress("a.test", [4], [])), true);
    assert.equal(isAbsence(NAMELESS), false);
  });
});

describe("a name without an address that would do", () => {
  for (const [host, families, others, words] of [
    ["a.test", [6, 4], [], 'an address of the host "a.test": the name exists but has no address'],
    ["a.test", [4], ["::1"], 'an IPv4 address of the host "a.test": the name exists but has other addresses only: ::1'],
    [
      "a.test",
      [6],
      ["::", "::1"],
      'an IPv6 address of the host "a.test": the name exists but has other addresses only: ::, ::1',
    ],
    ["::1", [4], [], 'an IPv4 address of the host "::1": it is an IPv6 address'],
    ["1.2.3.4", [6], [], 'an IPv6 address of the host "1.2.3.4": it is an IPv4 address'],
  ] as const) {
    it(`says so: ${words}`, () => {
      const found = others.map((address) => ({ address, family: 6 as const }));
      assertIs(noAddress(host, families, found), "DNS", "connect", `Cannot find ${words}`);
      assertIs(noAddress(host, families, found, undefined, "listen"), "DNS", "listen", `Cannot find ${words}`);
      const because = "localAddress is ::2";
      assertIs(noAddress(host, families, found, because), "DNS", "connect", `Cannot find ${words} (${because})`);
    });
  }
});

describe("a service that is not found", () => {
  it("says its name, and why", () => {
    const name = "_chat._tcp.a.test";
    assertIs(srvFailure(name, "so it is"), "DNS", "connect", `Cannot find the service ${name}: so it is`);
    assertIs(srvFailure(name, "x", REFUSED), "DNS", "connect", `Cannot find the service ${name}: x`, REFUSED);
  });

  it("tells no record from a name server that fails", () => {
    const absent = "there is no SRV record of that name, and no port to fall back on";
    assert.equal(srvWords(null), absent);
    assert.equal(srvWords(errno("ENODATA")), absent);
    assert.equal(srvWords(NAMELESS), "who knows; and there is no port to fall back on");
  });
});

describe("an address in a sentence", () => {
  it("has brackets where it is IPv6", () => {
    assert.equal(addressInWords("::1"), "[::1]");
    assert.equal(addressInWords("fe80::1%eth0"), "[fe80::1%eth0]");
    assert.equal(addressInWords("192.0.2.1"), "192.0.2.1");
  });
});

describe("a listen that failed", () => {
  const IN_USE = errno("EADDRINUSE");
  function target(path: string | null, host?: string): ListenTarget {
    const common = { backlog: 511, ipv6Only: false, reusePort: false };
    return path === null ? { ...common, path, host, port: 80 } : { ...common, path };
  }

  for (const [given, where] of [
    [target(null), "port 80"],
    [target(null, "localhost"), "localhost port 80"],
    [target("/tmp/x"), "/tmp/x"],
  ] as const) {
    it(`says where: on ${where}`, () => {
      const message = `Cannot listen on ${where}: the address is in use (EADDRINUSE)`;
      assertIs(listenFailure(given, IN_USE), "LISTEN", "listen", message, IN_USE);
    });
  }

  it("is the error itself where that is in our own words", () => {
    assert.equal(listenFailure(target(null), NO_NAME), NO_NAME);
  });
});
