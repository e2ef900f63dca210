/** Converts host names, in whatever script people write them, to the ASCII form that goes over the wire. */

import { domainToASCII } from "node:url";

/** Characters at which `domainToASCII` would end the name, or that no host name contains. */
const NO_NAME = /[\p{Cc}\s/\\?#@:[\]%<>^|]/u;

/** The name in ASCII (IDNA: `xn--…`). An ASCII name is returned as it is. Undefined means that the text is no name. */
export function asciiName(name: string): string | undefined {
  // The conversion takes "1.2" for an address and drops line ends, so it is given only names that need it.
  if (!/[^\0-\x7f]/.test(name)) return name;
  const ascii = NO_NAME.test(name) ? "" : domainToASCII(name);
  return ascii === "" ? undefined : ascii;
}

/** Removes the dot that ends an absolute name in DNS. SNI (RFC 6066, section 3) and certificates do not have it. */
export function withoutFinalDot(name: string): string {
  return name.length > 1 && name.endsWith(".") ? name.slice(0, -1) : name;
}

/** The form of a name for comparisons: in ASCII, in lower case, and without a final dot. */
export function canonicalName(name: string): string {
  return withoutFinalDot(asciiName(name) ?? name).toLowerCase();
}
