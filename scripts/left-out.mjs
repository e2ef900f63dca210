// This lists what is known not to work on Bun and Deno; docs/runtimes.md explains it. Everything else of the suite has to pass
// there, but for what need not run again. `kinds` are transports that the conformance tests leave out, or "uncaught exceptions", whose tests are skipped. `files` are
// parts of the names of files that are not run. `tests` are parts of "file: suite > test": these tests are run, may fail, and are
// counted.

const CANNOT_HAVE = {
  bun: [
    {
      reason: "ES modules have a __filename here, so that every part of a bundle knows its place",
      tests: ["node/bundled.test.js: in a CommonJS bundle"],
    },
    {
      reason: "streams are held against the runtime's own sockets, whose events and errors differ from Node's",
      files: ["node/duplex-", "drivers/"],
    },
    {
      reason:
        "run loops: this runtime can move no socket between threads, and its workers and cluster differ from Node's",
      files: ["loops/", "node/cluster", "examples/audio"],
    },
    {
      reason: "the inspector's page: one runtime's browser is enough, since the page is the same",
      files: ["inspector/page"],
    },
    {
      reason: "Bun's test runner reports what a test throws on purpose as uncaught, and takes no capture callback",
      kinds: ["uncaught exceptions"],
      files: ["simulation/", "fuzz/"],
    },
    {
      reason:
        "a net.Socket whose peer does not read does not go on by its stream events; the socket of this library does",
      kinds: ["streams, on the accepted side"],
      tests: ["node/from.test.js: from"],
    },
    {
      reason: "TLS: half-closes, close_notify, forged records, versions and the SNI of addresses differ from Node's",
      kinds: ["TLSv1.2", "TLSv1.3"],
      tests: [
        "tls/endings.test.js: ",
        "tls/hostile.test.js: ",
        "node/reset-after-answer.test.js: a reset behind an answer, over TLS",
        "tls/negotiation.test.js: A version is agreed on > is TLS 1.2 at least",
        "tls/states.test.js: an upgrade to TLS > askingDelegate: the peer's FIN",
        "tls/upgrade.test.js: startTLS > is queued before the connection is there",
        "tls/verification.test.js: A server's certificate is verified by default, of connect({ tls }) > sends no SNI",
        "tls/verification.test.js: A client of startTLS that knows no name",
        "programs/openssl-server.test.js: a TLS client, against openssl s_server > tells an end by close_notify",
        "programs/openssl-server.test.js: a TLS client, against openssl s_server > does not speak TLS 1.1",
        "examples/http-client.test.js: the HTTP client, against nginx",
        "examples/smtp-server.test.js: the mail server, spoken to by",
      ],
    },
    {
      reason:
        "TLS: sessions of clients with certificates are not resumed; some clients are refused that Node lets in, or in other words",
      tests: [
        "tls/negotiation.test.js: A server may ask its clients for certificates > lets in the same clients",
        "tls/negotiation.test.js: A server may ask its clients for certificates > required, of an unknown authority",
        "tls/negotiation.test.js: A fingerprint stands for the checks of chain and name > of a client",
        "tls/negotiation.test.js: A session is resumed > by TLSv1.2, with",
        "tls/negotiation.test.js: A session is resumed > by TLSv1.3, with",
        "tls/negotiation.test.js: A session is resumed > never in place of a certificate",
        "tls/resumption.test.js: A session of one name, resumed at another that asks for other clients, TLSv1.2 > opens nothing, with a context",
        "tls/resumption.test.js: A session of one name, resumed at another that asks for other clients, TLSv1.3 > opens nothing, with a context",
        "tls/resumption.test.js: A session of one name, resumed at another that asks for other clients, TLSv1.3 > as openssl s_client does it",
        "programs/openssl-client.test.js: a TLS server, spoken to by openssl s_client > demands a certificate",
        "programs/openssl-server.test.js: a TLS client, against openssl s_server > shows a certificate",
      ],
    },
    {
      reason: "the test starts programs with the options of Node's command line, or measures Node's memory",
      files: [
        "conformance/reads-memory",
        "memory/byte-queue",
        "tls/transport-stream",
        "node/namespaces",
        "native/",
        "soak/",
      ],
      tests: [
        "node/processes.test.js: a process without free descriptors > fails a connect",
        "examples/redis-client.test.js: the Redis client, against redis-server > reads every kind of reply",
        "examples/start.test.js: the tour, on a terminal > has colours",
      ],
    },
    {
      reason: "the test makes an error whose message is a symbol; this runtime throws where that is made",
      files: ["errors.test", "tls/thrown", "tls/trust"],
    },
    {
      reason: "a TLS socket with more unread than is read ahead holds the process after unref()",
      files: ["node/holding"],
    },
    {
      reason:
        "how much the system has still to send is asked by the addon, which is not loaded here: idleMs counts what is handed to the system alone",
      tests: [
        "conformance/busy-thread.test.js: a busy thread, node transport > decision 3: idleMs counts what the peer takes",
      ],
    },
    {
      reason: "a connect to a Unix-domain socket with a full backlog fails with ECONNREFUSED, as if nobody listened",
      tests: ["node/dead-ends.test.js: connects that lead nowhere, node > a backlog that stays full is told"],
    },
    {
      reason: "a function of a builtin module that a test replaces stays as it was for modules that have imported it",
      tests: ["node/unix-paths.test.js: Unix-domain sockets > mode: the file has it when it appears"],
    },
    {
      reason: "a server on an inherited Unix-domain descriptor does not know its address",
      tests: [
        "node/inherited.test.js: listen({ fd }) on the node transport > a service takes the connections of a Unix",
      ],
    },
    {
      reason: "a module that is imported a second time, with a query, sees the real timers and not the mocked ones",
      tests: ["pump/deadlines.test.js: the real clock > "],
    },
  ],
  deno: [
    {
      reason: "TLS inside TLS through a proxy hung in 3 of 12 runs, on a busy machine; the cause is not known",
      files: ["connect/real-proxies"],
    },
    {
      reason: "streams are held against the runtime's own sockets, whose events and errors differ from Node's",
      files: ["node/duplex-", "drivers/"],
    },
    {
      reason:
        "run loops: this runtime can move no socket between threads, and its workers and cluster differ from Node's",
      files: ["loops/", "node/cluster", "examples/audio"],
    },
    {
      reason: "the inspector's page: one runtime's browser is enough, since the page is the same",
      files: ["inspector/page"],
    },
    {
      reason: "TLS: half-closes, resets, close_notify, sessions, keys and client certificates differ from Node's",
      kinds: ["TLSv1.2", "TLSv1.3"],
      files: ["tls/hostile", "examples/http-client", "examples/start"],
      tests: [
        "tls/endings.test.js: ",
        "tls/negotiation.test.js: A server with several certificates > refuses the connection when the function",
        "tls/negotiation.test.js: A server may ask its clients for certificates > resumes sessions",
        "tls/negotiation.test.js: A session is resumed > ",
        "tls/negotiation.test.js: A version is agreed on > ",
        "tls/resumption.test.js: A session of one name, resumed at another that asks for other clients, TLSv1.2 > is resumed",
        "tls/resumption.test.js: A session of one name, resumed at another that asks for other clients, TLSv1.3 > is resumed",
        "tls/resumption.test.js: A session of one name, resumed at another that asks for other clients, TLSv1.2 > as openssl",
        "tls/resumption.test.js: A session of one name, resumed at another that asks for other clients, TLSv1.3 > as openssl",
        "tls/resumption.test.js: A session of one name, resumed at another that asks for other clients, TLSv1.2 > opens nothing, by a ticket",
        "tls/resumption.test.js: A session of one name, resumed at another that asks for other clients, TLSv1.2 > opens nothing, by a session id",
        "tls/resumption.test.js: A session of one name, resumed at another that asks for other clients, TLSv1.3 > opens nothing, by a ticket",
        "tls/resumption.test.js: A session of one name, resumed at another that asks for other clients, TLSv1.3 > opens nothing, by a session id",
        "reconnect.test.js: the arguments of reconnect > cannot connect by { port: 1, tls: { cert",
        "tls/options.test.js: Wrong options of TLS",
        "tls/options.test.js: A key with a passphrase",
        "tls/options.test.js: The log of keys",
        "tls/session.test.js: The certificate in a session",
        "tls/trust.test.js: ",
        "tls/upgrade.test.js: startTLS > is queued before the connection is there",
        "tls/verification.test.js: A client of startTLS that knows no name",
        "connect/https-proxy.test.js: a proxy that is spoken to over TLS > that breaks off",
        "programs/nginx.test.js: a TLS client, against nginx",
        "programs/openssl-client.test.js: a TLS server, spoken to by openssl s_client > demands a certificate",
        "programs/openssl-server.test.js: a TLS client, against openssl s_server",
        "examples/smtp-",
      ],
    },
    {
      reason: "TLS: refused as on Node, but with other words, or another code",
      tests: [
        "tls/injection.test.js: Clear text in the segment of the line before the handshake",
        "tls/injection.test.js: A ClientHello in the segment of the command",
        "tls/verification.test.js: A server's certificate is verified by default",
      ],
    },
    {
      reason:
        "writes that are queued when the peer's FIN comes fail with EPIPE, though nobody has tried them: half-closes lose data",
      files: ["conformance/half-close", "listen/proxied", "fuzz/"],
      tests: [
        "conformance/closing-graceful.test.js: ",
        "conformance/end-of-stream.test.js: the peer's FIN > ",
        "conformance/inlet.test.js: what exceeds the room",
        "conformance/parity.test.js: parity",
        "examples/cookbook.test.js: the cookbook > has a chat server, which tells everybody",
        "examples/echo-server.test.js: the echo server, spoken to by socat > lets its clients finish",
        "examples/redis-client.test.js: the Redis client, against redis-server > reads every kind of reply",
        "examples/scaling.test.js: ",
        "node/from.test.js: from > a net.Socket that has bytes waiting",
      ],
    },
    {
      reason:
        "a FIN that is sent before anything else ends the stream of what comes as well, so that the answer is lost",
      tests: [
        "cli/connect.test.js: asyncsocket connect > shows control characters as escapes",
        "cli/connect.test.js: asyncsocket connect > sends and shows lines",
        "cli/connect.test.js: asyncsocket connect > sends and shows frames",
        "cli/listen.test.js: asyncsocket listen > sends a file to each client",
      ],
    },
    {
      reason: "a write to stdout that fails at once throws, and is no event of the stream",
      tests: ["cli/failures.test.js: a file > that is full as stdout or stderr makes no stack"],
    },
    {
      reason: "`X509Certificate` finds no host names in a certificate",
      tests: ["cli/listen.test.js: a certificate that is made up > is for the names"],
    },
    {
      reason: "a descriptor is not shown, so that what the kernel holds cannot be read, and no child can inherit it",
      files: ["node/reset-after-answer", "node/inherited"],
    },
    {
      reason:
        "a socket that always has something to read leaves others no turn, and a delegate's exception ends a test",
      tests: ["conformance/ordering-depth.test.js: "],
    },
    {
      reason:
        "addresses of links, paths, interfaces and name servers, and attempts that are given up, differ from Node's",
      tests: [
        "node/connecting.test.js: ",
        "node/racing.test.js: racing addresses > ",
        "node/services.test.js: services by the runtime's resolver > a name server that fails",
        "node/unix-paths.test.js: Unix-domain sockets > ",
      ],
    },
    {
      reason: "the test starts programs with the options of Node's command line, or measures Node's memory",
      files: ["node/processes", "node/holding", "node/namespaces", "native/", "soak/"],
      tests: [
        "simulation/watchdog.test.js: ",
        "examples/file-transfer.test.js: ",
        "cli/programs.test.js: asyncsocket, as a program of its own",
      ],
    },
    {
      reason:
        "the system is asked for news only where the thread has to wait: of 300 connects and reads that were met meanwhile some time out, and the test of the connects never ends",
      files: ["conformance/busy-thread"],
    },
    {
      reason: "events of several sockets share the stores that one of them enters (`AsyncLocalStorage.enterWith`)",
      tests: ["conformance/apart.test.js: over "],
    },
    {
      reason: "its `http.Server` answers one request only over a stream that is no `net.Socket`",
      tests: ["conformance/streams-habits.test.js: http.Server over the stream of a socket > "],
    },
    {
      reason: "`ipv6Only` is ignored, and to listen on an address that the machine has not is EINVAL",
      tests: [
        "node/listening.test.js: listening on the node transport > decision 16: an address that this machine has not",
        "node/listening.test.js: listening on the node transport > ipv6Only takes IPv6 alone",
      ],
    },
    {
      reason:
        "the test runner resets the timers that a test has mocked too late, and its loop needs `process.nextTick`, which is mocked here",
      tests: ["pump/deadlines.test.js: the real clock > "],
    },
  ],
};

/** What need not run again, so that all runtimes have their turn within the time that there is. */
const NEED_NOT_RUN = {
  everywhere: [
    {
      reason: "it looks at files of the project, and needs to run once",
      files: ["architecture.test", "docs.test", "docs-site.test", "lists.test", "package.test", "types.test"],
    },
    {
      reason: "over IPv6 this runtime does what it does over IPv4; Node 20 tries both",
      kinds: ["TCP over IPv6", "native TCP over IPv6"],
    },
  ],
  "node-22": [
    {
      reason: "Node 20 and Node 26 show all that a network in memory, a page or a program of others shows of a runtime",
      kinds: ["memory", "memory, one byte a chunk"],
      files: ["drivers/", "examples/", "inspector/page", "programs/", "simulation/", "soak/"],
    },
  ],
  "node-24": [
    {
      reason: "what Node 22 and Node 26 both pass is not tried again in between, unless it is about connections",
      kinds: ["memory", "memory, one byte a chunk", "TLSv1.2"],
      files: [
        "capture/",
        "cli/",
        "diagnostics/",
        "inspector/",
        "examples/",
        "framing/",
        "fuzz/",
        "memory/",
        "programs/",
        "drivers/",
        "pump/",
        "simulation/",
        "soak/",
        "conformance/exact-progress",
        "conformance/reads-memory",
      ],
    },
  ],
};

function rowsOf(runtime) {
  return [...(CANNOT_HAVE[runtime] ?? []), ...(NEED_NOT_RUN[runtime] ?? []), ...NEED_NOT_RUN.everywhere];
}

/** The names of the transports left out, with reasons, in the form that the tests take from the environment. */
export function kindsLeftOut(runtime) {
  return Object.fromEntries(rowsOf(runtime).flatMap(({ kinds = [], reason }) => kinds.map((kind) => [kind, reason])));
}

/** Why a file is left out; undefined if it is not. */
export function whyLeftOut(runtime, file) {
  return rowsOf(runtime).find(({ files = [] }) => files.some((part) => file.includes(part)))?.reason;
}

/** Why a test, given as the runner reports it by file and name, is known to fail; undefined if it is not. */
export function whyFails(runtime, test) {
  const rows = CANNOT_HAVE[runtime] ?? [];
  return rows.find(({ tests = [] }) => tests.some((part) => test.includes(part)))?.reason;
}

/** The parts of file names in all the lists. `test/lists.test.ts` checks that a file exists for each. */
export function filesNamed() {
  const rows = [...Object.values(CANNOT_HAVE), ...Object.values(NEED_NOT_RUN)].flat();
  return rows.flatMap(({ files = [], tests = [] }) => [...files, ...tests.map((test) => test.split(": ", 1)[0])]);
}
