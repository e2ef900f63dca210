/** What is needed to relay between two connections, and to look from all four ends. */

import type { TestContext } from "node:test";
import type { AsyncSocket, AsyncSocketOptions } from "asyncsocket";
import { opened } from "./lifecycle-helpers.js";
import type { Kind } from "./transports.js";

/** Two connections, of which a relay joins the near ends: left ── a ═ relay ═ b ── right. */
export interface Road {
  readonly left: AsyncSocket;
  readonly a: AsyncSocket;
  readonly b: AsyncSocket;
  readonly right: AsyncSocket;
}

export async function road(t: TestContext, kind: Kind, near: AsyncSocketOptions = {}): Promise<Road> {
  const one = await opened(t, kind, near);
  const other = await opened(t, kind, { allowHalfOpen: true, limits: { writeQueue: Infinity, readAhead: 1000 } });
  const [left, a] = await Promise.all([
    one.connect({ allowHalfOpen: true, limits: { writeQueue: Infinity } }),
    one.accepted(),
  ]);
  const [b, right] = await Promise.all([other.connect(near), other.accepted()]);
  return { left, a, b, right };
}
