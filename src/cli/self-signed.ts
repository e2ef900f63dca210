/** A certificate that nobody has signed but its own key, for servers that are tried out. */

import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { isIPv4, isIPv6 } from "node:net";
import { bitString, der, integer, objectId, sequence, time, utf8String } from "./der.js";

const DAY_MS = 86_400_000;
const VALID_DAYS = 7;
const ECDSA_WITH_SHA256 = sequence(objectId("1.2.840.10045.4.3.2"));
const COMMON_NAME = "2.5.4.3";
const SUBJECT_ALTERNATIVE_NAME = "2.5.29.17";
/** The tags of a name and of an address in a list of names. */
const DNS_NAME = 0x82;
const IP_ADDRESS = 0x87;

/** A key and a certificate, as PEM, for these host names and addresses. It is valid for a week. */
export function selfSigned(names: readonly [string, ...string[]], now = new Date()): { key: string; cert: string } {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const name = sequence(der(0x31, sequence(objectId(COMMON_NAME), utf8String(names[0]))));
  const alternatives = sequence(...names.map(alternativeName));
  const certificate = sequence(
    der(0xa0, integer(Buffer.from([2]))), // version 3
    integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    ECDSA_WITH_SHA256,
    name,
    sequence(time(new Date(now.getTime() - DAY_MS)), time(new Date(now.getTime() + VALID_DAYS * DAY_MS))),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(sequence(objectId(SUBJECT_ALTERNATIVE_NAME), der(0x04, alternatives)))),
  );
  const signature = sign("sha256", certificate, privateKey);
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    cert: pem(sequence(certificate, ECDSA_WITH_SHA256, bitString(signature))),
  };
}

function alternativeName(name: string): Buffer {
  if (isIPv4(name)) return der(IP_ADDRESS, Buffer.from(name.split(".").map(Number)));
  if (isIPv6(name)) return der(IP_ADDRESS, ipv6Bytes(name));
  return der(DNS_NAME, Buffer.from(name));
}

/** The bytes of an IPv6 address that is written with numbers in hexadecimal only. */
function ipv6Bytes(address: string): Buffer {
  const [front = [], back = []] = address.split("::").map((half) => half.split(":").filter((group) => group !== ""));
  const missing = new Array<string>(8 - front.length - back.length).fill("0");
  return Buffer.from([...front, ...missing, ...back].map((group) => group.padStart(4, "0")).join(""), "hex");
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString("base64").replace(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}
