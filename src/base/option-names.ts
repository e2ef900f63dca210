import { show } from "./checks.js";

/** The names of one kind of options. Made of the type's own keys, so that the compiler tells of one that is left out. */
export type OptionNames<T extends object> = Readonly<Record<keyof Required<T>, true>>;

/**
 * A name that is not known is a typing error, or was meant for something else: either way it would have no effect.
 * @param where - for people: "options of connect"
 * @throws TypeError that lists the names that are known, the nearest first
 */
export function checkNames(where: string, given: object, ...known: readonly Readonly<Record<string, true>>[]): void {
  for (const name of Object.keys(given)) {
    if (!known.some((names) => Object.hasOwn(names, name))) throw unknownName(where, name, known.flatMap(Object.keys));
  }
}

/** Those of the options that have these names: where one object holds options of two kinds. */
export function named<T extends object>(given: object, names: OptionNames<T>): T {
  return Object.fromEntries(Object.entries(given).filter(([name]) => Object.hasOwn(names, name))) as T;
}

export function unknownName(where: string, name: string, known: readonly string[]): TypeError {
  const nearest = [...new Set(known)].sort((a, b) => distance(a, name) - distance(b, name));
  return new TypeError(`Expected ${where} to have no names but ${nearest.join(", ")}, got ${show(name)}`);
}

/** How many letters have to be put in, left out or changed to make one word of the other (Levenshtein), whatever their case. */
function distance(one: string, other: string): number {
  const [a, b] = [one.toLowerCase(), other.toLowerCase()];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const change = (row[j] ?? 0) + (a[i] === b[j] ? 0 : 1);
      next.push(Math.min(change, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
