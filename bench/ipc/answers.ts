/** The child's end of the channel: answers what the parent asks, and ends with it, so that no server is left behind. */
import { isRequest, type Exchanges, type Reply, type Request } from "./exchange.js";

export type Handlers<R extends Exchanges<R>> = {
  [K in keyof R]: (ask: R[K]["ask"]) => R[K]["answer"] | Promise<R[K]["answer"]>;
};

type AnyHandler = (ask: unknown) => unknown;

/** `process.exit` rather than a quiet end: it writes the `--cpu-prof` file, whatever is still open. */
export function answerRequests<R extends Exchanges<R>>(handlers: Handlers<R>): void {
  const byName = new Map<string, AnyHandler>(Object.entries<AnyHandler>(handlers));
  process.on("message", (message) => {
    if (isRequest(message)) void answer(byName, message);
  });
  process.on("disconnect", () => process.exit(0));
}

async function answer(handlers: Map<string, AnyHandler>, { id, name, ask }: Request): Promise<void> {
  try {
    const handler = handlers.get(name);
    if (handler === undefined) throw new Error(`Nobody answers ${name}`);
    reply({ id, answer: (await handler(ask)) ?? null });
  } catch (error) {
    reply({ id, failure: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}

function reply(message: Reply): void {
  if (process.connected) process.send?.(message);
}
