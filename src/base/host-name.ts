/** Host names as they go over the wire, whatever script people write them in. */

import { domainToASCII } from "node:url";

/** What the conversion below would take for the end of the name, or for something else than one. */
const NO_NAME = /[\p{Cc}\s/\\?#@:[\]%<>^|]/u;

/** A name in ASCII (IDNA: `xn--…`). One that is in ASCII is left as it is; undefined: it can be no name. */
export function asciiName(name: string): string | undefined {
  // The conversion takes "1.2" for an address, and drops line ends: it gets only what needs it.
  if (!/[^\0-\x7f]/.test(name)) return name;
  const ascii = NO_NAME.test(name) ? "" : domainToASCII(name);
  return ascii === "" ? undefined : ascii;
}

/** Without the dot that ends an absolute name in DNS, and that neither SNI (RFC 6066, section 3) nor certificates have. */
export function withoutFinalDot(name: string): string {
  return name.length > 1 && name.endsWith(".") ? name.slice(0, -1) : name;
}

/** A form in which equal names are equal. */
export function canonicalName(name: string): string {
  return withoutFinalDot(asciiName(name) ?? name).toLowerCase();
}
