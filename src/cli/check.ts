/** `asyncsocket check`: whether a server can be reached, at all of its addresses and by which TLS. */

import type { LookupAddress } from "node:dns";
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { performance } from "node:perf_hooks";
import { AsyncSocketError, type TLSInfo } from "../index.js";
import { certificateFacts, type CertificateFacts } from "./certificate.js";
import type { Command } from "./command.js";
import { dial, refuseTLSOptionsInTheClear } from "./dial.js";
import { EXIT, exitCodeOf, UsageError } from "./exit-code.js";
import { CONNECTION, GENERAL, parse, type Values, wholeNumber } from "./options.js";
import { jsonLine, printable } from "./printable.js";
import { table } from "./table.js";
import { parseTarget, type Target } from "./target.js";
import { duration, painted, print, type Terminal } from "./terminal.js";

const { tls, starttls, insecure, ca, cert, key, servername, ipv4, ipv6, timeout } = CONNECTION;
const OPTIONS = {
  ...{ tls, starttls, insecure, ca, cert, key, servername, ipv4, ipv6, timeout },
  days: { type: "string", value: "N", about: "how many days the certificate must still be valid (0)" },
  json: { type: "boolean", about: "prints the findings as one JSON object" },
  ...GENERAL,
} as const;
type CheckValues = Values<typeof OPTIONS>;

const TIMEOUT_MS = "5000";
const VERSIONS = ["1.2", "1.3"] as const;

export const check: Command = {
  usage: "HOST PORT | URI",
  about: [
    "Looks the name up, connects to each of its addresses, and, with TLS, tries each version and looks at the certificate.",
    "Exit code: 0 if all is well, 4 if there is no such name, 3 if no address answers, 1 if only some do, 5 if TLS takes",
    "too long, 6 if it is not spoken, the certificate is not to be trusted, or has fewer than --days days left.",
  ].join("\n"),
  options: OPTIONS,
  examples: [
    ["https://example.org --days 14", "for a script that warns of certificates that run out"],
    ["localhost 5432 --starttls postgres -k", "whether a database speaks TLS"],
    ["example.org 22 --json", "addresses and times, as JSON"],
  ],
  run,
};

/** One attempt, and how it went. */
interface Attempt {
  readonly ms: number;
  readonly error: Error | null;
  readonly tls: TLSInfo | undefined;
}

interface AddressResult extends Attempt {
  readonly address: string;
}

interface VersionResult extends Attempt {
  readonly version: string;
}

interface Findings {
  readonly target: Target & { readonly host: string };
  readonly lookupMs: number;
  readonly addresses: readonly AddressResult[];
  readonly versions: readonly VersionResult[];
  readonly certificate: CertificateFacts | null;
  /** Why the certificate is not to be trusted; null if it is, or there is none. */
  readonly problem: string | null;
}

async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parse(args, OPTIONS);
  const target = parseTarget(positionals);
  if (target.path !== undefined || target.port === undefined) throw new UsageError("Expected a host and a port");
  refuseTLSOptionsInTheClear(target, values);
  const days = wholeNumber("days", values.days) ?? 0;
  const findings = await examine({ ...target, host: target.host ?? "localhost" }, values, terminal.interrupted);
  const code = codeOf(findings, values, days);
  if (values.json === true) await print(terminal.stdout, jsonLine({ exitCode: code, ...inJSON(findings) }));
  else if (values.quiet !== true) await print(terminal.stdout, inTable(findings, terminal, days));
  return code;
}

async function examine(target: Findings["target"], values: CheckValues, signal: AbortSignal): Promise<Findings> {
  const startMs = performance.now();
  const family = values.ipv4 === true ? 4 : values.ipv6 === true ? 6 : 0;
  const found = await lookup(target.host, { all: true, family }).catch((error: unknown) => {
    if (isAbsence(error)) return [];
    throw error;
  });
  const lookupMs = performance.now() - startMs;
  const plain = { ipv4: values.ipv4, ipv6: values.ipv6, timeout: values.timeout };
  const attempts = found.map(async ({ address }: LookupAddress) => ({
    address,
    ...(await attempt({ ...target, host: address, tls: false }, plain, signal)),
  }));
  const addresses = await Promise.all(attempts);
  const reached = addresses.find(({ error }) => error === null);
  const isSecure = target.tls || values.tls === true || values.starttls !== undefined;
  const versions = reached === undefined || !isSecure ? [] : await tryVersions(target, reached.address, values, signal);
  const best = versions.findLast(({ error }) => error === null)?.tls;
  const peer = best?.peerCertificate ?? null;
  const certificate = peer === null ? null : certificateFacts(peer);
  return { target, lookupMs, addresses, versions, certificate, problem: best?.authorizationError?.message ?? null };
}

function isAbsence(error: unknown): boolean {
  return ["ENOTFOUND", "ENODATA", "EAI_NODATA", "EAI_NONAME"].includes((error as NodeJS.ErrnoException).code ?? "");
}

/** Tries each version of TLS, one after the other, whoever the server is. */
async function tryVersions(
  target: Findings["target"],
  address: string,
  values: CheckValues,
  signal: AbortSignal,
): Promise<VersionResult[]> {
  const name = values.servername ?? (isIP(target.host) === 0 ? target.host : undefined);
  const results: VersionResult[] = [];
  for (const version of VERSIONS) {
    const options = { ...values, insecure: true, servername: name, "tls-version": version };
    results.push({ version, ...(await attempt({ ...target, host: address }, options, signal)) });
  }
  return results;
}

async function attempt(target: Target, values: CheckValues, signal: AbortSignal): Promise<Attempt> {
  const startMs = performance.now();
  const { socket, ready } = dial(target, { timeout: TIMEOUT_MS, ...defined(values) }, { signal });
  try {
    await ready;
    return { ms: performance.now() - startMs, error: null, tls: socket.tls };
  } catch (error) {
    if (!(error instanceof Error) || exitCodeOf(error) === EXIT.interrupted) throw error;
    return { ms: performance.now() - startMs, error, tls: undefined };
  } finally {
    await socket.disconnect();
  }
}

function defined(values: CheckValues): CheckValues {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function codeOf({ addresses, versions, certificate, problem }: Findings, values: CheckValues, days: number): number {
  const failed = addresses.filter(({ error }) => error !== null);
  if (addresses.length === 0) return EXIT.dns;
  if (failed.length === addresses.length) return EXIT.connect;
  const isMute = versions.length > 0 && versions.every(({ error }) => error !== null);
  if (isMute && versions.every(({ error }) => exitCodeOf(error) === EXIT.timeout)) return EXIT.timeout;
  const isDoubtful = problem !== null && values.insecure !== true;
  if (isMute || isDoubtful || (certificate !== null && certificate.daysLeft < days)) return EXIT.tls;
  return failed.length > 0 ? EXIT.failed : EXIT.ok;
}

function inJSON({ target, lookupMs, addresses, versions, certificate, problem }: Findings): object {
  const outcome = ({ ms, error }: Attempt): object => ({ ms, code: codeWord(error), message: error?.message ?? null });
  return {
    host: target.host,
    port: target.port,
    lookupMs,
    addresses: addresses.map((one) => ({ address: one.address, ...outcome(one) })),
    tls: versions.map((one) => ({ version: one.version, cipher: one.tls?.cipher ?? null, ...outcome(one) })),
    certificate,
    problem,
  };
}

function inTable(findings: Findings, terminal: Terminal, days: number): string {
  const { target, lookupMs, addresses, versions, certificate, problem } = findings;
  const paint = (isGood: boolean, text: string): string =>
    painted(terminal.stdout, terminal, isGood ? "green" : "red", printable(text));
  const rows = [
    [
      "name",
      target.host,
      paint(addresses.length > 0, addresses.length === 1 ? "1 address" : `${addresses.length} addresses`),
      duration(lookupMs),
    ],
    ...addresses.map(({ address, ms, error }) => [
      "address",
      `${address} port ${target.port ?? 0}`,
      paint(error === null, error === null ? "connected" : reasonOf(error)),
      duration(ms),
    ]),
    ...versions.map(({ version, ms, error, tls: info }) => {
      return ["TLS", version, paint(error === null, info?.cipher ?? reasonOf(error)), duration(ms)];
    }),
  ];
  return `${[...table(rows), ...table(certificateRows())].join("\n")}\n`;

  function certificateRows(): string[][] {
    if (certificate === null) return [];
    const { subject, names, issuer, from, until, daysLeft } = certificate;
    return [
      ["subject", printable(subject)],
      ["names", printable(names.join(", "))],
      ["issuer", printable(issuer)],
      ["valid", `${from} to ${until}, ${paint(daysLeft >= days, daysLeft < 0 ? "EXPIRED" : `${daysLeft} days left`)}`],
      ["trust", paint(problem === null, problem ?? "verified")],
    ];
  }
}

function codeWord(error: Error | null): string | null {
  return error === null ? null : ((error as NodeJS.ErrnoException).code ?? "ERROR");
}

/** A failure in a few words: the errno of the system, or what the library says. */
function reasonOf(error: Error | null): string {
  const cause = error instanceof AsyncSocketError ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
  return cause?.code ?? error?.message ?? "";
}
