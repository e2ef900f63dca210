/** Keys and certificates, made when a test needs them: none is ever committed. */

import "reflect-metadata";
import { webcrypto } from "node:crypto";
import { isIP } from "node:net";
import {
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";

cryptoProvider.set(webcrypto);

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const DAY_MS = 86_400_000;
const CLIENT_AND_SERVER = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"];

/** As options of TLS take them. */
export interface Identity {
  readonly key: string;
  readonly cert: string;
}

export interface Validity {
  /** Days from now. */
  readonly from?: number;
  readonly until?: number;
}

async function pemOfKey(key: webcrypto.CryptoKey): Promise<string> {
  return PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY");
}

let serial = 0;

/** A certificate authority of the test's own. */
export class Authority {
  readonly cert: string;
  readonly #name: string;
  readonly #keys: webcrypto.CryptoKeyPair;

  private constructor(name: string, cert: string, keys: webcrypto.CryptoKeyPair) {
    this.#name = name;
    this.cert = cert;
    this.#keys = keys;
  }

  static async create(name = "CN=An authority for tests"): Promise<Authority> {
    const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
    const certificate = await X509CertificateGenerator.createSelfSigned({
      serialNumber: (++serial).toString(16).padStart(2, "0"),
      name,
      keys,
      signingAlgorithm: ALGORITHM,
      notBefore: new Date(Date.now() - DAY_MS),
      notAfter: new Date(Date.now() + 30 * DAY_MS),
      extensions: [
        new BasicConstraintsExtension(true, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      ],
    });
    return new Authority(name, certificate.toString("pem"), keys);
  }

  /** For host names and addresses; the first is its common name, too. */
  async issue(names: readonly string[], { from = -1, until = 7 }: Validity = {}): Promise<Identity> {
    const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
    const extensions: Extension[] = [
      new BasicConstraintsExtension(false),
      new ExtendedKeyUsageExtension(CLIENT_AND_SERVER),
      new SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) === 0 ? ("dns" as const) : ("ip" as const), value })),
      ),
    ];
    const certificate = await X509CertificateGenerator.create({
      serialNumber: (++serial).toString(16).padStart(2, "0"),
      subject: `CN=${names[0] ?? "nobody"}`,
      issuer: this.#name,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: ALGORITHM,
      notBefore: new Date(Date.now() + from * DAY_MS),
      notAfter: new Date(Date.now() + until * DAY_MS),
      extensions,
    });
    return { key: await pemOfKey(keys.privateKey), cert: certificate.toString("pem") };
  }
}
