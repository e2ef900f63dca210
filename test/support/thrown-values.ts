/** What can be thrown, rejected with, or given to `destroy`: in JavaScript, anything. */

import fc from "fast-check";

const refuse = (): never => {
  throw new TypeError("as a getter may");
};

const revoked = Proxy.revocable({}, {});
revoked.revoke();

/** Those that have made trouble, or are made for it. */
export const ODD_VALUES: readonly (readonly [what: string, value: unknown])[] = [
  ["null", null],
  ["undefined", undefined],
  ["a number", 7],
  ["an empty string", ""],
  ["a symbol", Symbol("x")],
  ["a bigint", 1n],
  ["a function", refuse],
  ["an object without a prototype", Object.assign(Object.create(null) as object, { a: 1 })],
  ["an error with a number for its code", Object.assign(new Error("duplicate key"), { code: 11_000 })],
  ["a DOMException", new DOMException("stopped", "AbortError")],
  ["an error without a word", new Error()],
  ["an error named like what every object has", new Error("constructor")],
  [
    "an error whose message is none",
    Object.assign(new Error("x"), { message: Symbol("message"), code: {}, stack: "" }),
  ],
  ["an error of TLS whose reason is none", Object.assign(new Error("x"), { code: "ERR_SSL_X", reason: 5 })],
  [
    "an error whose getters throw",
    Object.defineProperties(Object.assign(new Error("x"), { stack: "" }), {
      code: { get: refuse },
      message: { get: refuse },
      name: { get: refuse },
    }),
  ],
  ["an object whose ways to print it throw", { toString: refuse, [Symbol.for("nodejs.util.inspect.custom")]: refuse }],
  ["a revoked proxy", revoked.proxy],
  ["a proxy that refuses everything", new Proxy({}, { get: refuse, getPrototypeOf: refuse, has: refuse })],
];

/** Those, and whatever else there is: also errors with any properties. In a box: fast-check looks at what it makes. */
export function thrownValues(): fc.Arbitrary<{ readonly value: unknown }> {
  const anything = fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true, withSparseArray: true });
  const errors = fc
    .record({ code: anything, message: anything, name: anything, reason: anything }, { requiredKeys: [] })
    .map((properties) => Object.assign(new Error(), properties));
  const odd = fc.nat(ODD_VALUES.length - 1);
  return fc.oneof(
    fc.oneof(anything, errors).map((value) => ({ value })),
    odd.map((index) => ({ value: ODD_VALUES[index]?.[1] })),
  );
}
