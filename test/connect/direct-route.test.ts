/** From a target to a transport, over transports that do what the test says: nothing here has a network. */

import assert from "node:assert/strict";
import type { SrvRecord } from "node:dns";
import { networkInterfaces } from "node:os";
import { describe, it } from "node:test";
import type { ConnectOptions } from "asyncsocket";
import { NotingOwner } from "./route-owner.js";
import { errno, type Hosts, ScriptedFactory } from "./scripted-factory.js";
import { DirectRoute, whereOf } from "#dist/connect/direct-route.js";
import { connectTarget } from "#dist/connect/options.js";

const SETTINGS = { noDelay: true, keepAliveMs: false } as const;
const HOSTS: Hosts = {
  "both.test": ["2001:db8::1", "192.0.2.1"],
  "slow.test": null,
  "a.test": ["192.0.2.10"],
  "b.test": ["192.0.2.20"],
};
const SERVICE = { service: "chat", host: "a.test" };
const NAME = "_chat._tcp.a.test";

interface Asked {
  readonly name: string;
  readonly answer: (error: Error | null, records?: readonly SrvRecord[]) => void;
}

/** A route, and its owner. */
class Stage extends NotingOwner {
  readonly route: DirectRoute;
  /** The questions for SRV records. */
  readonly asked: Asked[] = [];

  constructor(options: ConnectOptions, hosts: Hosts = HOSTS) {
    super(new ScriptedFactory(hosts));
    this.factory.resolveSrv = (name, answer) => {
      this.asked.push({ name, answer: (error, records = []) => answer(error, records) });
      return () => this.note("the question is given up");
    };
    this.route = new DirectRoute(this, this.factory, connectTarget(options), SETTINGS);
  }

  start(): this {
    this.route.start();
    return this;
  }
}

function srv(name: string, port: number, priority = 0): SrvRecord {
  return { name, port, priority, weight: 0 };
}

describe("where a target is", () => {
  for (const [options, words] of [
    [{ path: "/tmp/x" }, "/tmp/x"],
    [{ host: "a.test", port: 7 }, "a.test port 7"],
    [{ port: 7 }, "localhost port 7"],
    [SERVICE, "the service chat of a.test"],
    [{ ...SERVICE, port: 7 }, "the service chat of a.test"],
  ] as const) {
    it(`is said as ${words}`, () => {
      assert.equal(whereOf(connectTarget(options)), words);
    });
  }
});

describe("dialing a path", () => {
  it("ends at its one transport, with nothing received", () => {
    const stage = new Stage({ path: "/tmp/x" }).start();
    assert.deepEqual(stage.log, ["a descriptor more", "/tmp/x: connect"]);
    const transport = stage.factory.to("/tmp/x");
    assert.deepEqual(transport.endpoint, { path: "/tmp/x" });
    assert.equal(transport.settings, SETTINGS);
    transport.open();
    assert.deepEqual(stage.log, ["connected"]);
    assert.deepEqual(stage.reached, { transport, ahead: Buffer.alloc(0), hasEnded: false });
    stage.route.setReferenced(false);
    stage.route.change({ noDelay: false });
    stage.route.cancel();
    assert.deepEqual(stage.log, [], "what is connected is not the route's any more");
  });

  it("fails with its error, names the path once, and closes the descriptor", () => {
    const stage = new Stage({ path: "/tmp/x" }).start();
    const transport = stage.factory.to("/tmp/x");
    assert.deepEqual([stage.route.tried, stage.route.pending], [[], []]);
    const cause = errno("ENOENT");
    transport.sink.didFail(cause);
    transport.sink.didClose();
    assert.deepEqual(stage.log, [
      "a descriptor more",
      "/tmp/x: connect",
      "/tmp/x: destroy",
      "Cannot connect to /tmp/x: no such file (ENOENT)",
      "a descriptor less",
    ]);
    assert.equal(stage.error?.cause, cause);
    assert.deepEqual(stage.route.tried, [{ where: "", error: cause }]);
  });

  it("tells nothing but the descriptor's end once it is canceled", () => {
    const stage = new Stage({ path: "/tmp/x" }).start();
    stage.route.cancel();
    const transport = stage.factory.to("/tmp/x");
    transport.sink.didFail(errno("ECANCELED"));
    transport.sink.didClose();
    assert.deepEqual(stage.log.slice(2), ["/tmp/x: destroy", "/tmp/x: destroy", "a descriptor less"]);
  });

  it("does not keep the process alive where its owner does not", () => {
    const stage = new Stage({ path: "/tmp/x" });
    stage.isReferenced = false;
    stage.start();
    assert.deepEqual(stage.log, ["a descriptor more", "/tmp/x: connect", "/tmp/x: unref"]);
  });
});

describe("dialing a name", () => {
  const options = { host: "both.test", port: 7 };

  it("gives up the others when one wins, and tells when their descriptors are closed", () => {
    const stage = new Stage(options).start();
    stage.clock.advance(250);
    assert.deepEqual(stage.log, [
      "a descriptor more",
      "2001:db8::1: connect",
      "a descriptor more",
      "192.0.2.1: connect",
    ]);
    stage.factory.to("192.0.2.1").open();
    assert.deepEqual(stage.log, ["2001:db8::1: destroy", "connected"]);
    assert.equal(stage.reached?.transport, stage.factory.to("192.0.2.1"));
    assert.deepEqual(stage.route.tried, []);
    stage.factory.to("2001:db8::1").sink.didClose();
    assert.deepEqual(stage.log, ["a descriptor less"]);
    assert.equal(stage.clock.size, 0);
  });

  it("fails with every address, and after that says nothing more", () => {
    const stage = new Stage(options).start();
    for (const { sink } of stage.factory.made.slice(0, 1)) sink.didFail(errno("ECONNREFUSED"));
    stage.log.length = 0;
    stage.factory.to("192.0.2.1").sink.didFail(errno("EHOSTUNREACH"));
    const message =
      "Cannot connect to both.test port 7: [2001:db8::1]: nothing listens there (ECONNREFUSED); " +
      "192.0.2.1: no route to that host (EHOSTUNREACH)";
    assert.deepEqual(stage.log.slice(-1), [message]);
    assert.equal(stage.error?.code, "ERR_ASYNCSOCKET_CONNECT");
    stage.route.cancel();
    assert.equal(stage.log.includes(message), false);
  });

  it("has what is referenced, and what is changed, reach the attempts under way, and what is changed those to come", () => {
    const stage = new Stage(options).start();
    stage.route.setReferenced(false);
    stage.route.setReferenced(true);
    stage.route.change({ keepAliveMs: 5 });
    const [first] = stage.factory.made;
    assert.deepEqual(stage.log.slice(2), ["2001:db8::1: unref", "2001:db8::1: ref", "2001:db8::1: keepAlive 5"]);
    stage.clock.advance(250);
    assert.deepEqual(first?.settings, SETTINGS);
    assert.deepEqual(stage.factory.to("192.0.2.1").settings, { noDelay: true, keepAliveMs: 5 });
    stage.route.change({ noDelay: false });
    assert.deepEqual(stage.log.slice(2), ["2001:db8::1: noDelay false", "192.0.2.1: noDelay false"]);
    stage.factory.to("2001:db8::1").sink.didClose();
    stage.log.length = 0;
    stage.route.setReferenced(false);
    assert.deepEqual(stage.log.slice(-1), ["192.0.2.1: unref"], "what is closed is left alone");
  });

  it("ends all attempts with a cancel, and begins no more", () => {
    const stage = new Stage(options).start();
    stage.route.cancel();
    assert.ok(stage.log.includes("2001:db8::1: destroy"));
    stage.clock.advance(10_000);
    assert.deepEqual(stage.log, []);
    assert.equal(stage.clock.size, 0);
    assert.equal(stage.factory.made.length, 1);
  });

  it("tells what it tried, and what it still waits for", () => {
    const stage = new Stage(options).start();
    assert.deepEqual(stage.route.tried, [{ where: "[2001:db8::1]", error: null }]);
    assert.deepEqual(stage.route.pending, []);
    const slow = new Stage({ host: "slow.test", port: 7 });
    assert.deepEqual([slow.route.tried, slow.route.pending], [[], []]);
    slow.start();
    assert.deepEqual(slow.route.tried, []);
    assert.deepEqual(slow.route.pending, ["the name lookup of slow.test has not answered yet"]);
  });

  it("tells of a lookup that failed among what it tried, in its own words", () => {
    const stage = new Stage({ host: "nobody.test", port: 7 }).start();
    assert.equal(stage.error?.code, "ERR_ASYNCSOCKET_DNS");
    assert.deepEqual(stage.route.tried.at(-1), { where: "", error: stage.error });
  });

  it("asks for the wanted family alone", () => {
    const stage = new Stage({ ...options, family: 4 }).start();
    assert.deepEqual(stage.log, ["a descriptor more", "192.0.2.1: connect"]);
    stage.route.cancel();
  });

  it("takes the caller's lookup before the network's", () => {
    const lookup = (_host: string, _options: unknown, done: (error: null, address: string) => void): void =>
      done(null, "192.0.2.99");
    const stage = new Stage({ ...options, lookup }).start();
    assert.deepEqual(stage.log, ["a descriptor more", "192.0.2.99: connect"]);
    stage.route.cancel();
  });
});

describe("dialing from an interface", () => {
  // Whatever the machine has: its loopback interface, by the name that it has there.
  const [name] = Object.entries(networkInterfaces()).find(([, all]) => all?.some(({ internal }) => internal)) ?? [];

  it("comes from its address, and tries its families alone", { skip: name === undefined }, () => {
    const all = networkInterfaces()[name as string] ?? [];
    const stage = new Stage({ host: "both.test", port: 7, interface: name, attemptDelay: 10 }).start();
    stage.clock.advance(10);
    const families = stage.factory.made.map(({ endpoint }) => (endpoint.path === null ? `IPv${endpoint.family}` : ""));
    assert.deepEqual(families.sort(), [...new Set(all.map(({ family }) => family))].sort());
    for (const { endpoint } of stage.factory.made) {
      assert.ok(endpoint.path === null);
      assert.ok(all.some(({ address }) => address === endpoint.localAddress?.replace(/%.*/, "")));
    }
    stage.route.cancel();
  });

  it("fails where there is none of that name, in those words alone", () => {
    const stage = new Stage({ host: "both.test", port: 7, interface: "no-such-interface" }).start();
    assert.match(stage.error?.message ?? "", /^Cannot connect: there is no network interface "no-such-interface"/);
    assert.deepEqual(stage.factory.made, []);
    assert.deepEqual(stage.route.tried, [{ where: "", error: stage.error }]);
    assert.equal(stage.log.length, 1);
  });
});

describe("dialing a service", () => {
  it("tries the targets one after the other, by priority, and lists them all", () => {
    const stage = new Stage(SERVICE).start();
    const [question] = stage.asked;
    assert.equal(question?.name, NAME);
    assert.deepEqual(stage.route.pending, [`the name lookup of ${NAME} has not answered yet`]);
    question.answer(null, [srv("b.test", 2, 20), srv("a.test", 1, 10)]);
    assert.deepEqual(stage.route.pending, []);
    assert.deepEqual(stage.log, ["a descriptor more", "192.0.2.10: connect"]);
    stage.factory.to("192.0.2.10").sink.didFail(errno("ECONNREFUSED"));
    assert.deepEqual(stage.log, ["192.0.2.10: destroy", "a descriptor more", "192.0.2.20: connect"]);
    assert.deepEqual(
      stage.route.tried.map(({ where, error }) => [where, error?.message]),
      [
        ["a.test port 1 at 192.0.2.10", "ECONNREFUSED"],
        ["b.test port 2 at 192.0.2.20", undefined],
      ],
    );
    stage.factory.to("192.0.2.20").sink.didFail(errno("ECONNRESET"));
    assert.equal(
      stage.error?.message,
      "Cannot connect to the service chat of a.test: a.test port 1 at 192.0.2.10: nothing listens there (ECONNREFUSED); " +
        "b.test port 2 at 192.0.2.20: the peer reset the connection (ECONNRESET)",
    );
  });

  it("says what is looked up where the name of a target is", () => {
    const stage = new Stage(SERVICE).start();
    stage.asked[0]?.answer(null, [srv("slow.test", 1)]);
    assert.deepEqual(stage.route.pending, ["the name lookup of slow.test has not answered yet"]);
    stage.route.cancel();
  });

  for (const [name, error] of [
    ["no records", null],
    ["a failure", errno("ESERVFAIL")],
  ] as const) {
    it(`falls back on the port at ${name}`, () => {
      const stage = new Stage({ ...SERVICE, port: 5222 }).start();
      stage.asked[0]?.answer(error);
      const [made] = stage.factory.made;
      assert.ok(made?.endpoint.path === null);
      assert.deepEqual([made.endpoint.address, made.endpoint.port], ["192.0.2.10", 5222]);
    });
  }

  it("heeds no records that come with an error", () => {
    const stage = new Stage({ ...SERVICE, port: 5222 }).start();
    stage.asked[0]?.answer(errno("ESERVFAIL"), [srv("b.test", 1)]);
    assert.deepEqual(stage.log, ["a descriptor more", "192.0.2.10: connect"]);
  });

  for (const [name, given, words, hasCause] of [
    ["there are no records", null, "there is no SRV record of that name, and no port to fall back on", false],
    [
      "there is no such name",
      errno("ENOTFOUND"),
      "there is no SRV record of that name, and no port to fall back on",
      true,
    ],
    [
      "the lookup fails",
      errno("ESERVFAIL"),
      "the name server failed (ESERVFAIL); and there is no port to fall back on",
      true,
    ],
  ] as const) {
    it(`fails without a port where ${name}`, () => {
      const stage = new Stage(SERVICE).start();
      stage.asked[0]?.answer(given);
      assert.equal(stage.error?.code, "ERR_ASYNCSOCKET_DNS");
      assert.equal(stage.error.message, `Cannot find the service ${NAME}: ${words}`);
      assert.equal(stage.error.cause, hasCause ? given : undefined);
      assert.deepEqual(stage.route.tried, [{ where: "", error: stage.error }]);
    });
  }

  it("fails where the domain says that it does not offer it, port or not", () => {
    const stage = new Stage({ ...SERVICE, port: 5222 }).start();
    stage.asked[0]?.answer(null, [srv(".", 0)]);
    assert.equal(stage.error?.message, `Cannot find the service ${NAME}: a.test says that it does not offer it`);
    assert.deepEqual(stage.factory.made, []);
  });

  it("gives the question up with a cancel, once, and heeds no answer after it", () => {
    const stage = new Stage(SERVICE).start();
    stage.route.cancel();
    stage.route.cancel();
    assert.deepEqual(stage.route.pending, []);
    stage.asked[0]?.answer(null, [srv("a.test", 1)]);
    stage.asked[0]?.answer(errno("ECANCELLED"));
    assert.deepEqual(stage.log, ["the question is given up"]);
  });

  it("does not cancel a question that is answered", () => {
    const stage = new Stage(SERVICE).start();
    stage.asked[0]?.answer(null, [srv("a.test", 1)]);
    stage.route.cancel();
    assert.equal(stage.log.includes("the question is given up"), false);
  });

  it("uses only the first answer", () => {
    const stage = new Stage(SERVICE).start();
    const [question] = stage.asked;
    question?.answer(null, [srv("a.test", 1)]);
    question?.answer(null, [srv("b.test", 1)]);
    assert.deepEqual(stage.log, ["a descriptor more", "192.0.2.10: connect"]);
    stage.factory.to("192.0.2.10").open();
    question?.answer(null, [srv("b.test", 1)]);
    assert.deepEqual(stage.log, ["connected"]);
  });

  for (const [name, answer] of [
    ["with a target", [srv("a.test", 1)]],
    ["with nothing", []],
  ] as const) {
    it(`may be answered from inside the question, ${name}`, () => {
      const stage = new Stage(SERVICE);
      stage.factory.resolveSrv = (_name, done) => {
        done(null, answer);
        return () => assert.fail("it is answered");
      };
      stage.start();
      assert.deepEqual(stage.route.pending, []);
      stage.route.cancel();
    });
  }
});
