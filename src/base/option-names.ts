import { show } from "./checks.js";

/**
 * The names of one kind of options. The type is made from the options' keys, so the compiler reports a missing name.
 */
export type OptionNames<T extends object> = Readonly<Record<keyof Required<T>, true>>;

/**
 * Refuses unknown names: such an option is misspelt or meant for another call, and would silently have no effect.
 * @param where - what the options belong to, for the message: "options of connect"
 * @throws TypeError that lists the known names, the most similar first
 */
export function checkNames(where: string, given: object, ...known: readonly Readonly<Record<string, true>>[]): void {
  for (const name of Object.keys(given)) {
    if (!known.some((names) => Object.hasOwn(names, name))) throw unknownName(where, name, known.flatMap(Object.keys));
  }
}

/** Picks the options with these names out of an object that holds options of two kinds. */
export function named<T extends object>(given: object, names: OptionNames<T>): T {
  return Object.fromEntries(Object.entries(given).filter(([name]) => Object.hasOwn(names, name))) as T;
}

export function unknownName(where: string, name: string, known: readonly string[]): TypeError {
  const nearest = [...new Set(known)].sort((a, b) => distance(a, name) - distance(b, name));
  return new TypeError(`Expected ${where} to have no names but ${nearest.join(", ")}, got ${show(name)}`);
}

/** The Levenshtein distance of two words: how many letters must be added, removed or changed. Case does not matter. */
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
