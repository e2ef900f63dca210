import { AsyncResource } from "node:async_hooks";

/**
 * An async context of its own for the callbacks of one socket. A single turn of the event loop may deliver to many
 * sockets; a store that one of them enters (`AsyncLocalStorage.enterWith`) must reach the work which that socket
 * starts, and must not reach the others.
 */
class Scope extends AsyncResource {
  /** Whether a store was put on this resource, as Node 20 and 22 do. Such a scope is not used again. */
  isMarked: boolean;

  constructor() {
    super("asyncsocket", { requireManualDestroy: true });
    // The runtime has copied the present stores onto this resource as symbol properties. Only the async ids stay.
    for (const key of Object.getOwnPropertySymbols(this)) {
      if (key.description === "context_frame") define(this, key, undefined);
      else if (key.description?.endsWith("async_id_symbol") !== true) Reflect.deleteProperty(this, key);
    }
    this.isMarked = false;
  }
}

function define(scope: Scope, key: string | symbol, value: unknown): boolean {
  return Reflect.defineProperty(scope, key, { value, writable: true, enumerable: true, configurable: true });
}

// This proxy stands in the prototype chain, so its `set` trap sees each property that is set for the first time.
const watch = new Proxy(AsyncResource.prototype, {
  set: (_prototype, key, value, scope: Scope) => define(scope, key, value) && define(scope, "isMarked", true),
});
Object.setPrototypeOf(Scope.prototype, watch);

// eslint-disable-next-line @typescript-eslint/unbound-method -- called with an explicit `this`, to bypass the proxy
const { runInAsyncScope } = AsyncResource.prototype;

/** The stores that some code has, as its callbacks are to have them later. */
export type Stores = AsyncResource;

const keepStores = (): Stores => new AsyncResource("asyncsocket", { requireManualDestroy: true });

/**
 * The stores of the running code; null where it has none. Only Node shows them: elsewhere null, and the runtime decides
 * what a callback has.
 */
export function storesOfHere(): Stores | null {
  const stores = keepStores();
  for (const key of Object.getOwnPropertySymbols(stores)) {
    if (key.description?.endsWith("async_id_symbol") === true) continue;
    if ((stores as unknown as Record<symbol, unknown>)[key] !== undefined) return stores;
  }
  return null;
}

/** The same stores once more. What somebody enters there, nobody sees who has the first ones. */
export function copyOf(stores: Stores): Stores {
  return runInAsyncScope.call(stores, keepStores) as Stores;
}

/** Calls the task with these stores. */
export function withStores<A, B, C>(stores: Stores, task: (a: A, b: B, c: C) => unknown, a: A, b: B, c: C): unknown {
  return runInAsyncScope.call(stores, task, undefined, a, b, c);
}

/**
 * On Bun and Deno a scope keeps the stores of the code that makes it, and shows no property to clear. So further scopes
 * are made within this one, which is made while no socket is there to have entered a store.
 */
const first = new Scope();
const makeScope = (): Scope => new Scope();
let free: Scope | null = null;

/** Calls the task in an async context of its own. One call per socket that is told something in the same turn. */
export function apart<A, B>(task: (a: A, b: B) => void, a: A, b: B): void {
  const scope = free ?? (runInAsyncScope.call(first, makeScope) as Scope);
  free = null;
  try {
    runInAsyncScope.call(scope, task, undefined, a, b);
  } finally {
    if (!scope.isMarked) free = scope;
  }
}
