import { Authority } from "./certificates.js";

/** A certificate of an authority that nobody trusts, where only the handshake is of interest. */
export const identity = await (await Authority.create()).issue(["localhost"]);
