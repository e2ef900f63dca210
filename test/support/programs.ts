/** Real programs that the examples are tried against, and the examples themselves, as processes of a test's own. */

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import {
  accessSync,
  chownSync,
  constants,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after } from "node:test";

const EXAMPLES = join(import.meta.dirname, "../../examples");
/** A safety net, and no measure: nothing that the tests wait for takes seconds. */
const DEADLINE_MS = 60_000;
/** After SIGTERM. */
const GRACE_MS = 5_000;

/** Debian keeps PostgreSQL's programs in a folder for each version. */
const POSTGRESQL = "/usr/lib/postgresql";

/** Server programs live in folders that the PATH of a user need not have. */
const FOLDERS = [
  ...(process.env["PATH"] ?? "").split(delimiter),
  "/usr/sbin",
  "/usr/local/sbin",
  "/opt/homebrew/bin",
  ...namesIn(POSTGRESQL).map((version) => join(POSTGRESQL, version, "bin")),
];

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Who ends or removes what was made when it is over: a test, or a suite. */
export interface Owner {
  readonly after: (end: () => unknown) => void;
}

/** The suite that is being described, as the owner of what its tests share. The last that was made is ended first. */
export function suiteAsOwner(): Owner {
  const ends: (() => unknown)[] = [];
  after(async () => {
    for (const end of ends.reverse()) await end();
  });
  return { after: (end) => void ends.push(end) };
}

/** Some servers refuse to run as root: they run as `nobody` where the tests do. */
const NOBODY = 65_534;
export const UNPRIVILEGED: Account = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};

interface Account {
  readonly uid?: number;
  readonly gid?: number;
}

/** Where it is installed. */
export function findProgram(name: string): string | undefined {
  return FOLDERS.map((folder) => join(folder, name)).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Options for a test that needs a program: without it the test is skipped, and says so, loudly. */
export function needs(name: string, debianPackage: string): { skip: false | string } {
  if (findProgram(name) !== undefined) return { skip: false };
  const reason = `skipped: ${name} is not installed (apt-get install ${debianPackage})`;
  console.error(`*** Tests of the examples are ${reason}`);
  return { skip: reason };
}

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A process that a test has started. When the test is over it is ended, however that went. */
export class Program {
  readonly #name: string;
  readonly #child: ChildProcessWithoutNullStreams;
  /** Tells that there is something new to look at. */
  readonly #news = new EventEmitter();
  #isClosed = false;
  #stdout = "";
  #stderr = "";

  constructor(t: Owner, name: string, args: readonly string[], account: Account = {}) {
    this.#name = [name, ...args].join(" ");
    this.#child = spawn(findProgram(name) ?? name, args, { stdio: "pipe", ...account });
    const { stdin, stdout, stderr } = this.#child;
    stdout.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout += text;
      this.#news.emit("news");
    });
    stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
      this.#news.emit("news");
    });
    stdin.on("error", () => undefined); // one that has ended reads no more
    this.#child.on("error", (error) => (this.#stderr += error.message));
    this.#child.on("close", () => {
      this.#isClosed = true;
      this.#news.emit("news");
    });
    t.after(() => this.stop());
  }

  /** An example. */
  static example(t: Owner, name: string, args: readonly string[] = []): Program {
    return new Program(t, process.execPath, [Program.pathOf(name), ...args]);
  }

  static pathOf(example: string): string {
    return join(EXAMPLES, `${example}.js`);
  }

  type(text: string | Buffer): void {
    this.#child.stdin.write(text);
  }

  endInput(): void {
    this.#child.stdin.end();
  }

  /** The first match in what it has printed, on either output. Fails when it ends without. */
  async sees(pattern: RegExp): Promise<RegExpExecArray> {
    const find = (): RegExpExecArray | null => pattern.exec(this.#stdout) ?? pattern.exec(this.#stderr);
    await this.#until(() => find() !== null, `print ${pattern.source}`);
    return find() ?? this.#fail(`print ${pattern.source} before it ended`);
  }

  /** Waits until it has ended by itself. */
  async ended(): Promise<Ended> {
    await this.#until(() => this.#isClosed, "end");
    return { code: this.#child.exitCode, stdout: this.#stdout, stderr: this.#stderr };
  }

  /** Asks it to end, and makes it if it does not. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.#isClosed) return;
    this.#child.kill(signal);
    const force = setTimeout(() => this.#killAll(), GRACE_MS);
    await this.#until(() => this.#isClosed, "end");
    clearTimeout(force);
  }

  /** Ends it at once, with all processes that it has started: their peers are told nothing. */
  async kill(): Promise<void> {
    this.#killAll();
    await this.#until(() => this.#isClosed, "end");
  }

  #killAll(): void {
    const { pid } = this.#child;
    for (const one of pid === undefined ? [] : descendants(pid)) killOne(one);
    this.#child.kill("SIGKILL");
  }

  async #until(isMet: () => boolean, what: string): Promise<void> {
    const signal = AbortSignal.timeout(DEADLINE_MS);
    try {
      while (!isMet() && !this.#isClosed) await once(this.#news, "news", { signal });
    } catch {
      this.#fail(what);
    }
  }

  #fail(what: string): never {
    throw new Error(`Expected ${this.#name} to ${what}; it printed:\n${this.#stdout}\n${this.#stderr}`);
  }
}

/** The children of a process and theirs, where the system lists them. */
function descendants(pid: number): number[] {
  try {
    const list = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim();
    const children = list === "" ? [] : list.split(" ").map(Number);
    return children.flatMap((child) => [child, ...descendants(child)]);
  } catch {
    return [];
  }
}

/** Ends a process that may have ended by itself. */
export function killOne(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** A folder for a program that runs as `UNPRIVILEGED`. */
export function unprivilegedFolder(t: Owner): string {
  const folder = temporaryFolder(t);
  if (UNPRIVILEGED.uid !== undefined) chownSync(folder, UNPRIVILEGED.uid, NOBODY);
  return folder;
}

/** A file that such a program alone can read. @returns its path */
export function unprivilegedFile(folder: string, name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  if (UNPRIVILEGED.uid !== undefined) chownSync(path, UNPRIVILEGED.uid, NOBODY);
  return path;
}

export function temporaryFolder(t: Owner): string {
  const folder = mkdtempSync(join(tmpdir(), "asyncsocket-examples-"));
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}

/** For programs that cannot choose a port themselves: what is free now may be taken when they start. */
export async function startOnFreePort(
  start: (port: number) => Program,
  isReady: RegExp,
): Promise<{ server: Program; port: number }> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const server = start(port);
    try {
      await server.sees(isReady);
      return { server, port };
    } catch (error) {
      if (attempt === 3) throw error;
    }
  }
}
