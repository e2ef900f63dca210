// What Bun and Deno are known not to do, or the library not on them: docs/runtimes.md shows it as a table. Everything else
// of the suite has to pass there. `kinds` are transports of the conformance tests, `files` parts of test files' names.

const CANNOT_HAVE = {
  bun: [
    {
      reason:
        "run loops: this runtime can move no socket between threads, and its workers and cluster differ from Node's",
      files: ["loops/", "node/cluster"],
    },
    {
      reason: "Bun's test runner reports what a test throws on purpose as uncaught, and takes no capture callback",
      files: ["simulation/", "tls/trust", "conformance/reads-memory"],
    },
    {
      reason:
        "a net.Socket whose peer does not read does not go on by its stream events; the socket of this library does",
      kinds: ["streams, on the accepted side"],
      files: ["node/from"],
    },
    {
      reason: "TLS: half-closes, close_notify, resumption and client certificates differ from Node's",
      kinds: ["TLSv1.2", "TLSv1.3"],
      files: [
        "tls/endings",
        "tls/hostile",
        "tls/negotiation",
        "tls/states",
        "tls/upgrade",
        "tls/verification",
        "programs/",
        "examples/http-client",
        "examples/smtp-",
      ],
    },
    {
      reason: "the test starts programs with the options of Node's command line, or measures Node's memory",
      files: [
        "node/processes",
        "node/memory",
        "node/namespaces",
        "native/",
        "simulation/watchdog",
        "examples/file-transfer",
        "examples/redis-client",
        "examples/start",
        "connect/real-proxies",
        "package.test",
        "types.test",
        "soak/",
        "bench/",
      ],
    },
  ],
  deno: [
    {
      reason:
        "run loops: this runtime can move no socket between threads, and its workers and cluster differ from Node's",
      files: ["loops/", "node/cluster"],
    },
    {
      reason: "TLS: handshakes go through, but resets, errors, close_notify, sessions and client certificates differ",
      kinds: ["TLSv1.2", "TLSv1.3"],
      files: ["tls/", "programs/", "examples/http-client", "examples/smtp-", "examples/start", "memory/network"],
    },
    {
      reason:
        "a connection is lost that still sends when the peer's FIN has come, or that still receives behind its own",
      files: [
        "conformance/closing-graceful",
        "conformance/end-of-stream",
        "conformance/half-close",
        "conformance/parity",
        "conformance/ordering-depth",
        "examples/echo-server",
        "examples/redis-client",
        "node/from",
        "listen/proxied",
        "listen/haproxy",
      ],
    },
    {
      reason: "the test starts programs with the options of Node's command line, or measures Node's memory",
      files: [
        "node/",
        "native/",
        "simulation/watchdog",
        "examples/file-transfer",
        "connect/real-proxies",
        "package.test",
        "types.test",
        "soak/",
        "bench/",
      ],
    },
  ],
};

/** The transports left out, as the tests take them from the environment: names and reasons. */
export function kindsLeftOut(runtime) {
  const rows = CANNOT_HAVE[runtime] ?? [];
  return Object.fromEntries(rows.flatMap(({ kinds = [], reason }) => kinds.map((kind) => [kind, reason])));
}

/** Why a file is left out; undefined if it is not. */
export function whyLeftOut(runtime, file) {
  const rows = CANNOT_HAVE[runtime] ?? [];
  return rows.find(({ files = [] }) => files.some((part) => file.includes(part)))?.reason;
}
