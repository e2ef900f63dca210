/** Names to addresses: what is asked of whom, and what is made of the answers. No name server is asked. */

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import dns from "node:dns";
import type { LookupFunction } from "node:net";
import { describe, it, mock, type TestContext } from "node:test";
import { AsyncSocketError } from "asyncsocket";
import { errno } from "./scripted-factory.js";
import type { Candidate, Question } from "#dist/connect/happy-eyeballs.js";
import { addressesOf, ask, type NameQuery, questionsOf, withoutBrackets } from "#dist/connect/resolve.js";

const BOTH = [6, 4] as const;
const NOBODY: LookupFunction = () => assert.fail("nobody is to be asked");

/** By question: addresses, a single one as old functions answer, or a failure. */
type Zone = Partial<Record<Question, readonly string[] | string | Error>>;

/** A lookup that finds what the zone says, and notes what it was asked. */
function lookupIn(zone: Zone): LookupFunction & { readonly asked: string[] } {
  const asked: string[] = [];
  const lookup: LookupFunction = (host, { family, all }, done) => {
    asked.push(`${host} ${family} ${all}`);
    const found = zone[family as Question] ?? errno("ENOTFOUND");
    if (found instanceof Error) done(found, []);
    else if (typeof found === "string") done(null, found);
    // The family that it tells is not to be believed.
    else
      done(
        null,
        found.map((address) => ({ address, family: 5 })),
      );
  };
  return Object.assign(lookup, { asked });
}

function query(given: Partial<NameQuery> = {}): NameQuery {
  return { host: "a.test", families: BOTH, lookup: undefined, networkLookup: undefined, ...given };
}

/** The one answer: addresses, or the words of the error. */
function answerTo(asked: NameQuery, question: Question): readonly Candidate[] | string {
  const answers: (readonly Candidate[] | string)[] = [];
  ask(asked, question, (error, found) => {
    if (error === null) answers.push(found);
    else {
      assert.ok(error instanceof AsyncSocketError && error.code === "ERR_ASYNCSOCKET_DNS");
      assert.deepEqual(found, []);
      answers.push(error.message);
    }
  });
  assert.equal(answers.length, 1);
  return answers[0] ?? "";
}

/** The same, where it is a failure. */
function wordsOf(asked: NameQuery, question: Question): string {
  const answer = answerTo(asked, question);
  assert.ok(typeof answer === "string", "a failure");
  return answer;
}

const four = (address: string): Candidate => ({ address, family: 4 });
const six = (address: string): Candidate => ({ address, family: 6 });
const HINT = "no such host name, or one without an address; check how it is spelt (ENOTFOUND)";

describe("a host in brackets", () => {
  for (const [host, expected] of [
    ["[::1]", "::1"],
    ["[fe80::1%eth0]", "fe80::1%eth0"],
    ["::1", "::1"],
    ["[::1", "[::1"],
    ["::1]", "::1]"],
    ["x::1]", "x::1]"],
    ["[::1x", "[::1x"],
    ["[127.0.0.1]", "[127.0.0.1]"],
    ["[a.test]", "[a.test]"],
    ["", ""],
  ] as const) {
    it(`is the IPv6 address in them, and anything else is left as it is: ${host}`, () => {
      assert.equal(withoutBrackets(host), expected);
    });
  }
});

describe("what is asked for a host", () => {
  for (const [name, given, questions] of [
    ["a name is asked for once, for both families", {}, [0]],
    ["a name in a network of one's own is asked for family by family", { networkLookup: NOBODY }, [6, 4]],
    ["a name is asked for in the one family that is wanted", { families: [4] as const }, [4]],
    ["the caller's own lookup is asked once for both", { lookup: NOBODY }, [0]],
    [
      "the caller's own lookup is asked for the one family that is wanted",
      { lookup: NOBODY, families: [6] as const },
      [6],
    ],
    ["an address is its own family's", { host: "::1" }, [6]],
    ["an address is its own family's, whatever is wanted", { host: "192.0.2.1", families: [6] as const }, [4]],
  ] as const) {
    it(name, () => {
      assert.deepEqual(questionsOf(query(given)), questions);
    });
  }
});

describe("an address", () => {
  it("is its own answer, and nobody is asked", () => {
    const given = { lookup: NOBODY, networkLookup: NOBODY };
    assert.deepEqual(answerTo(query({ ...given, host: "192.0.2.1" }), 4), [four("192.0.2.1")]);
    assert.deepEqual(answerTo(query({ ...given, host: "::1", families: [6] }), 6), [six("::1")]);
  });

  it("whose zone is no interface's says which there are", { skip: process.platform === "win32" }, async () => {
    const words = /there is no network interface "nowhere7" for the zone of fe80::1%nowhere7; there are /;
    ask(query({ host: "fe80::1%nowhere7" }), 6, (error, found) => {
      assert.match(error?.message ?? "", words);
      assert.deepEqual(found, []);
    });
    await assert.rejects(addressesOf("fe80::1%nowhere7"), { code: "ERR_ASYNCSOCKET_LISTEN", message: words });
    assert.deepEqual(await addressesOf("::1"), ["::1"]);
  });

  it("of a family that is not wanted is no answer", () => {
    const message = 'Cannot find an IPv4 address of the host "::1": it is an IPv6 address';
    assert.equal(answerTo(query({ host: "::1", families: [4] }), 6), message);
  });
});

describe("a name", () => {
  for (const key of ["lookup", "networkLookup"] as const) {
    it(`is asked of the ${key}, for all addresses, with the question's family`, () => {
      for (const question of [4, 6, 0] as const) {
        const lookup = lookupIn({ [question]: ["192.0.2.1", "::1"] });
        assert.deepEqual(answerTo(query({ [key]: lookup }), question), [four("192.0.2.1"), six("::1")]);
        assert.deepEqual(lookup.asked, [`a.test ${question} true`]);
      }
    });

    it(`is not looked up by the runtime where it is localhost, with a ${key}`, () => {
      const lookup = lookupIn({ 4: ["192.0.2.1"] });
      assert.deepEqual(answerTo(query({ host: "localhost", [key]: lookup }), 4), [four("192.0.2.1")]);
      assert.match(wordsOf(query({ host: "localhost", [key]: lookup }), 6), /ENOTFOUND/);
    });
  }

  it("is asked of the caller's own lookup before the network's", () => {
    const asked = query({ lookup: lookupIn({ 0: ["::1"] }), networkLookup: NOBODY });
    assert.deepEqual(answerTo(asked, 0), [six("::1")]);
  });

  it("may be answered by a single address", () => {
    assert.deepEqual(answerTo(query({ networkLookup: lookupIn({ 4: "192.0.2.1" }) }), 4), [four("192.0.2.1")]);
  });

  it("may be answered without a word about an error", () => {
    const lookup = ((_host: string, _options: object, done: (error: unknown, found: unknown) => void) => {
      done(undefined, [{ address: "::1" }]);
    }) as LookupFunction;
    assert.deepEqual(answerTo(query({ lookup }), 0), [six("::1")]);
  });

  it("has only those answers that are addresses, of families that are wanted", () => {
    const lookup = lookupIn({ 4: ["x", "192.0.2.1", "::1", "", "192.0.2.2"] });
    assert.deepEqual(answerTo(query({ lookup, families: [4] }), 4), [four("192.0.2.1"), four("192.0.2.2")]);
  });

  it("has none where the answer is no list", () => {
    const lookup = ((_host: string, _options: object, done: (error: null, found: unknown) => void) => {
      done(null, null);
    }) as LookupFunction;
    const message = 'Cannot find an address of the host "a.test": the name exists but has no address';
    assert.equal(answerTo(query({ lookup }), 0), message);
  });

  it("that is not found says so", () => {
    const message = `Cannot find an address of the host "a.test": ${HINT}`;
    assert.equal(answerTo(query({ networkLookup: lookupIn({}) }), 6), message);
    assert.equal(answerTo(query({ lookup: lookupIn({}) }), 0), message);
  });

  it("says what it has instead of what is wanted", () => {
    const lookup = lookupIn({ 6: ["::1", "::2"] });
    const message =
      'Cannot find an IPv4 address of the host "a.test": the name exists but has other addresses only: ::1, ::2';
    assert.equal(answerTo(query({ lookup, families: [4] }), 6), message);
  });

  it("fails with what a lookup throws", () => {
    for (const [thrown, words] of [
      [new Error("no lookups today"), "no lookups today"],
      [errno("ENOTFOUND"), HINT],
      ["a string", "a string"],
    ] as const) {
      const lookup: LookupFunction = () => AbortSignal.abort(thrown).throwIfAborted();
      const message = `Cannot find an address of the host "a.test": ${words}`;
      assert.equal(answerTo(query({ lookup }), 0), message);
    }
  });
});

describe("a name without an address of the one family that is wanted", () => {
  for (const [wanted, other, addresses] of [
    [4, 6, ["::1", "::2"]],
    [6, 4, ["192.0.2.1"]],
  ] as const) {
    it(`is looked for in the other one, to say what there is: IPv${wanted}`, () => {
      const lookup = lookupIn({ [other]: addresses });
      const found = answerTo(query({ networkLookup: lookup, families: [wanted] }), wanted);
      const why = `the name exists but has other addresses only: ${addresses.join(", ")}`;
      assert.equal(found, `Cannot find an IPv${wanted} address of the host "a.test": ${why}`);
      assert.deepEqual(lookup.asked, [`a.test ${wanted} true`, `a.test ${other} true`]);
    });
  }

  it("is not found where it is in neither", () => {
    const lookup = lookupIn({ 6: errno("EAI_AGAIN") });
    const message = `Cannot find an IPv4 address of the host "a.test": ${HINT}`;
    assert.equal(answerTo(query({ networkLookup: lookup, families: [4] }), 4), message);
  });

  it("is not looked for again where the lookup failed, or is the caller's own, or both were wanted", () => {
    for (const given of [
      { networkLookup: lookupIn({ 4: errno("ESERVFAIL") }), families: [4] as const },
      { lookup: lookupIn({ 6: ["::1"] }), families: [4] as const },
      { networkLookup: lookupIn({ 6: ["::1"] }) },
    ]) {
      assert.match(wordsOf(query(given), 4), /ESERVFAIL|ENOTFOUND/);
      assert.equal((given.networkLookup ?? given.lookup).asked.length, 1);
    }
  });
});

/** In place of the runtime's own lookup, until the end of the test. */
function runtimeFinds(t: TestContext, zone: Zone): readonly string[] {
  const lookup = lookupIn(zone);
  mock.method(dns, "lookup", lookup);
  t.after(() => mock.restoreAll());
  return lookup.asked;
}

describe("the runtime's lookup", () => {
  it("is asked where there is no other", (t) => {
    const asked = runtimeFinds(t, { 4: ["192.0.2.1"] });
    assert.deepEqual(answerTo(query(), 4), [four("192.0.2.1")]);
    assert.match(wordsOf(query(), 6), /no such host name/);
    assert.deepEqual(asked, ["a.test 4 true", "a.test 6 true"]);
  });

  it("is asked for the other family, too, to say what there is", (t) => {
    runtimeFinds(t, { 4: ["192.0.2.1"] });
    assert.match(wordsOf(query({ families: [6] }), 6), /other addresses only: 192\.0\.2\.1$/);
  });

  for (const host of ["localhost", "localhost.", "LocalHost"]) {
    it(`is not asked for ${host}, which is known in both families`, async (t) => {
      const asked = runtimeFinds(t, {});
      assert.deepEqual(answerTo(query({ host }), 4), [four("127.0.0.1")]);
      assert.deepEqual(answerTo(query({ host }), 6), [six("::1")]);
      assert.deepEqual(answerTo(query({ host }), 0), [six("::1"), four("127.0.0.1")]);
      assert.deepEqual(await addressesOf(host), ["::1", "127.0.0.1"]);
      assert.deepEqual(asked, []);
    });
  }

  it("is asked once for what is asked already, and each is told in a context of its own", (t) => {
    const answers: (() => void)[] = [];
    const asked: string[] = [];
    const slow: LookupFunction = (host, { family }, done) => {
      asked.push(`${host} ${family}`);
      answers.push(() => done(null, [{ address: "192.0.2.1", family: 4 }]));
    };
    mock.method(dns, "lookup", slow);
    t.after(() => mock.restoreAll());
    const who = new AsyncLocalStorage<string>();
    const told: string[] = [];
    const want = (name: string, host: string, question: Question): void =>
      who.run(name, () => {
        ask(query({ host }), question, (_, found) => told.push(`${who.getStore()} ${found.length}`));
      });
    want("first", "a.test", 0);
    want("second", "a.test", 0);
    want("third", "a.test", 4);
    want("fourth", "b.test", 0);
    assert.deepEqual(asked, ["a.test 0", "a.test 4", "b.test 0"]);
    answers[0]?.();
    assert.deepEqual(told, ["first 1", "second 1"]);
    want("fifth", "a.test", 0);
    assert.equal(asked.length, 4, "what has been answered is asked anew");
    for (const answer of answers.slice(1)) answer();
    assert.deepEqual(told.slice(2), ["third 1", "fourth 1", "fifth 1"]);
  });

  it("is asked anew where another one has been put in its place meanwhile", (t) => {
    mock.method(dns, "lookup", () => undefined);
    t.after(() => mock.restoreAll());
    ask(query({ host: "replaced.test" }), 0, () => assert.fail("there is no answer"));
    const asked = runtimeFinds(t, { 0: ["192.0.2.1"] });
    assert.deepEqual(answerTo(query({ host: "replaced.test" }), 0), [four("192.0.2.1")]);
    assert.equal(asked.length, 1);
  });

  it("is believed about names that are only like localhost", (t) => {
    runtimeFinds(t, {});
    for (const host of ["localhost.test", "a.localhost", "localhostx", "xlocalhost", "localhost.."]) {
      assert.match(wordsOf(query({ host }), 4), /no such host name/, host);
    }
  });
});

describe("the addresses to listen on", () => {
  it("are those of the host, each once, in the runtime's order", async (t) => {
    const asked = runtimeFinds(t, { 0: ["192.0.2.1", "::1", "192.0.2.1", "192.0.2.0"] });
    assert.deepEqual(await addressesOf("a.test"), ["192.0.2.1", "::1", "192.0.2.0"]);
    assert.deepEqual(asked, ["a.test 0 true"]);
  });

  for (const [name, found, words] of [
    ["there is no such host", errno("ENOTFOUND"), HINT],
    ["it has no address", [], "the name exists but has no address"],
    ["the lookup fails", errno("ESERVFAIL"), "the name server failed (ESERVFAIL)"],
  ] as const) {
    it(`fail, as those of a listen, where ${name}`, async (t) => {
      runtimeFinds(t, { 0: found });
      await assert.rejects(addressesOf("a.test"), {
        code: "ERR_ASYNCSOCKET_DNS",
        operation: "listen",
        message: `Cannot find an address of the host "a.test": ${words}`,
      });
    });
  }
});
