/**
 * Unix-domain sockets as files. A path is held by one process at a time, however many ask for it at once, and whichever of
 * them is killed on the way:
 *
 * ```
 * listen at a name of one's own, beside the path ── link it to the path ──> held
 *                                                     └─ something is there ─> stale? ── take turns, look again, remove it, link
 * ```
 *
 * So what stands at the path listens from its first moment on, and the runtime, which removes at the end what it has bound,
 * never removes what somebody else has put there meanwhile.
 */

import {
  type BigIntStats,
  chmodSync,
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  unlinkSync,
} from "node:fs";
import { constants } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { inWords, reasonOf } from "../base/errno.js";
import { AsyncSocketError, socketError } from "../base/errors.js";
import { inTurns, probe, randomName } from "./takeover.js";

/** `sun_path` has 108 bytes on Linux, 104 elsewhere, the zero at the end included. */
const NAME_MAX_BYTES = process.platform === "linux" ? 107 : 103;
/** As much as a name beside the path takes, at most. */
const BESIDE_BYTES = 16;
/** What systems say of a file system that has no hard links. */
const NO_LINKS = ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"];

/** The socket file of one listener. */
export class SocketFile {
  /** Where to bind. */
  readonly boundPath: string;
  /** As it was asked for. */
  readonly #path: string;
  /** The current folder may change. */
  readonly #absolute: string;
  readonly #folder: string;
  readonly #mode: number | undefined;
  /** A folder that only this user can enter, where the socket is until it has its mode; null where none was asked for. */
  readonly #private: string | null;
  #descriptor = -1;
  /** What was bound. */
  #own: BigIntStats | null = null;
  #state: "new" | "bound" | "held" | "over" = "new";

  /** @param mode the permissions of the file; undefined leaves them to the umask */
  constructor(path: string, mode?: number) {
    this.#path = path;
    this.#mode = mode;
    this.#absolute = resolve(path);
    this.#folder = this.#shortFolder();
    const own = join(this.#folder, randomName("new"));
    this.#private = mode === undefined ? null : own;
    this.boundPath = this.#private === null ? own : join(own, "s");
  }

  /** Called before the socket is bound. @throws the system's error */
  prepare(): void {
    if (this.#private !== null) mkdirSync(this.#private, { mode: 0o700 });
  }

  /** Names in it have to fit into an address. On Linux any folder has a short name, too, while it is open. */
  #shortFolder(): string {
    const folder = dirname(this.#absolute);
    const longest = Math.max(BESIDE_BYTES, Buffer.byteLength(basename(this.#absolute)));
    if (Buffer.byteLength(folder) + 1 + longest <= NAME_MAX_BYTES) return folder;
    if (process.platform !== "linux") return dirname(this.#path);
    try {
      this.#descriptor = openSync(folder, "r");
    } catch {
      return folder; // To bind there will tell what is wrong.
    }
    return `/proc/self/fd/${this.#descriptor}`;
  }

  get #target(): string {
    return join(this.#folder, basename(this.#absolute));
  }

  /** It was bound, and listens: puts it where it was asked for. @throws LISTEN where something else is there */
  async take(): Promise<void> {
    if (this.#state === "over") return this.discard();
    this.#state = "bound";
    try {
      this.#own = lstatSync(this.boundPath, { bigint: true });
      if (this.#mode !== undefined) chmodSync(this.boundPath, this.#mode);
      if (!this.#link(false)) {
        await this.#checkStale();
        await inTurns(this.#folder, this.#target, this.#path, () => this.#replace());
      }
    } catch (error) {
      this.release();
      throw error instanceof AsyncSocketError ? error : this.explained(error);
    } finally {
      this.#closeFolder();
    }
  }

  /** It was not bound, or is not wanted any more. */
  discard(): void {
    this.#state = "over";
    this.#removeBound();
    this.#closeFolder();
  }

  /** @param isAlone whether nobody else can come in between. @returns false where something is there already */
  #link(isAlone: boolean): boolean {
    try {
      linkSync(this.boundPath, this.#target);
      this.#state = "held";
      unlinkSync(this.boundPath);
    } catch (error) {
      if (this.#state === "held") return true;
      if (reasonOf(error) === "EEXIST") return false;
      if (!NO_LINKS.includes(reasonOf(error))) throw error;
      // Without links it is done in turns, where nothing can appear at the path after it was looked at.
      if (!isAlone) return false;
      renameSync(this.boundPath, this.#target);
    }
    this.#state = "held";
    return true;
  }

  /** While all others who would do the same wait. */
  async #replace(): Promise<void> {
    const isStale = await this.#checkStale();
    // It may have been given up meanwhile.
    if (this.#state !== "bound") return;
    if (isStale) unlinkSync(this.#target);
    if (!this.#link(true)) throw this.#inUse("another listener is there");
  }

  /** Removes a stale file, for those who cannot listen but at the path itself. @throws LISTEN where it is anything else */
  async clear(): Promise<void> {
    const remove = async (): Promise<void> => {
      if (await this.#checkStale()) unlinkSync(this.#target);
    };
    try {
      await this.#checkStale();
      await inTurns(this.#folder, this.#target, this.#path, remove);
    } finally {
      this.#closeFolder();
    }
  }

  /** @returns whether a socket file is there, at which nobody listens any more. @throws LISTEN where it is anything else */
  async #checkStale(): Promise<boolean> {
    const there = lstatSync(this.#target, { throwIfNoEntry: false });
    if (there === undefined) return false;
    if (!there.isSocket()) throw this.#inUse("a file that is not a socket is there");
    const answer = await probe(this.#target);
    if (answer === "ENOENT") return false;
    if (answer !== "ECONNREFUSED") throw this.#inUse("another listener is there");
    return true;
  }

  #inUse(why: string): Error {
    return this.#failure("EADDRINUSE", why);
  }

  /** What went wrong with the name beside it, told of the path itself. */
  explained(error: unknown): Error {
    const code = reasonOf(error);
    // Some runtimes say EACCES of a folder that is not there.
    if (code === "ENOENT" || (code === "EACCES" && isMissing(dirname(this.#absolute))))
      return this.#failure("ENOENT", "its folder does not exist");
    return this.#failure(code, inWords(error));
  }

  #failure(code: string, why: string): Error {
    const errno = (constants.errno as Readonly<Record<string, number>>)[code] ?? 0;
    const cause = Object.assign(new Error(`listen ${code} ${this.#path}`), {
      code,
      errno: -errno,
      syscall: "listen",
      address: this.#path,
    });
    const words = why.includes(code) ? why : `${why} (${code})`;
    return socketError("LISTEN", "listen", `Cannot listen on ${this.#path}: ${words}`, cause);
  }

  /** Before it is closed: as long as it listens, nobody takes it for stale, and its number is no other file's. */
  release(): void {
    if (this.#state === "held") this.#removeOwn();
    else if (this.#state === "bound") this.#removeBound();
    this.#state = "over";
  }

  #removeOwn(): void {
    const path = this.#absolute;
    try {
      const there = lstatSync(path, { bigint: true, throwIfNoEntry: false });
      if (there !== undefined && there.ino === this.#own?.ino && there.dev === this.#own.dev) unlinkSync(path);
    } catch (error) {
      process.emitWarning(`The socket file ${path} could not be removed: ${inWords(error)}`);
    }
  }

  #removeBound(): void {
    try {
      unlinkSync(this.boundPath);
    } catch {
      // It was never there, or somebody has cleaned up.
    }
  }

  #closeFolder(): void {
    if (this.#private !== null) removeFolder(this.#private);
    if (this.#descriptor >= 0) closeSync(this.#descriptor);
    this.#descriptor = -1;
  }
}

function removeFolder(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // It was never there, or somebody has cleaned up.
  }
}

function isMissing(folder: string): boolean {
  try {
    return lstatSync(folder, { throwIfNoEntry: false }) === undefined;
  } catch {
    return false;
  }
}
