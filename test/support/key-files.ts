/** Keys and certificates as programs take them: in files, gone when the test is over. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { Authority, type Identity } from "./certificates.js";
import { temporaryFolder } from "./programs.js";

/** What the programs take, besides what the library takes as options of TLS. */
export interface KeyFiles {
  keyFile: string;
  certFile: string;
}

/** An authority, whose certificate is a file, and which writes those that it issues to files. */
export class FiledAuthority {
  readonly folder: string;
  readonly caFile: string;
  readonly #authority: Authority;

  private constructor(folder: string, authority: Authority) {
    this.folder = folder;
    this.caFile = join(folder, "ca.pem");
    this.#authority = authority;
    writeFileSync(this.caFile, authority.cert);
  }

  static async create(t: TestContext, name?: string): Promise<FiledAuthority> {
    return new FiledAuthority(temporaryFolder(t), await Authority.create(name));
  }

  get cert(): string {
    return this.#authority.cert;
  }

  /** The first name is that of the files, too. */
  async issue(...names: [string, ...string[]]): Promise<KeyFiles> {
    const identity = await this.identity(...names);
    const keyFile = join(this.folder, `${names[0]}.key.pem`);
    const certFile = join(this.folder, `${names[0]}.cert.pem`);
    writeFileSync(keyFile, identity.key);
    writeFileSync(certFile, identity.cert);
    return { keyFile, certFile };
  }

  /** An identity for the library, which needs no files. */
  async identity(...names: [string, ...string[]]): Promise<Identity> {
    return this.#authority.issue(names);
  }
}
