import { AsyncResource } from "node:async_hooks";

/**
 * Where code of one socket runs that came up in one go with code of others. What it enters in an `AsyncLocalStorage`
 * stays in there, as does all that it leaves for later; and nothing is in there that anybody entered before.
 */
class Scope extends AsyncResource {
  /** Runtimes that keep stores on the resource itself (Node 20, 22) have put one here: it is not used again. */
  isMarked: boolean;

  constructor() {
    super("asyncsocket", { requireManualDestroy: true });
    // It has been given what is entered here and now, as properties: all but those that number it.
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

// Behind the class in the chain of prototypes, where it sees what becomes a property for the first time.
const watch = new Proxy(AsyncResource.prototype, {
  set: (_prototype, key, value, scope: Scope) => define(scope, key, value) && define(scope, "isMarked", true),
});
Object.setPrototypeOf(Scope.prototype, watch);

// eslint-disable-next-line @typescript-eslint/unbound-method -- it is called with its `this`, and found without the proxy
const { runInAsyncScope } = AsyncResource.prototype;

let free: Scope | null = null;

/** Calls the task in a context of its own: for each of those who are told something in one turn. */
export function apart<A, B>(task: (a: A, b: B) => void, a: A, b: B): void {
  const scope = free ?? new Scope();
  free = null;
  try {
    runInAsyncScope.call(scope, task, undefined, a, b);
  } finally {
    if (!scope.isMarked) free = scope;
  }
}
