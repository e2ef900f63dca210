/** Tells where this code was loaded from, which differs once a bundler has made it a part of another file. */

import { pathToFileURL } from "node:url";

/** Bundlers to CommonJS leave this undefined. */
const known = import.meta.url as string | undefined;

/**
 * The URL of the file that this code is in: of its module, or of the bundle that it is a part of. Undefined where
 * neither is known.
 */
export const here: string | undefined =
  known ?? (typeof __filename === "string" ? pathToFileURL(__filename).href : undefined);
