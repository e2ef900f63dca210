import { inspect, types } from "node:util";

const LENGTH = 100;
/** More properties than a text of that length can show. */
const KEYS = 40;

/** The first properties of an object that has many. All would be formatted, only to be cut off again. */
function fewOf(tag: unknown): unknown {
  if (typeof tag !== "object" || tag === null) return tag;
  // Of elements, few are formatted anyway; and to ask a proxy would run code of its owner.
  if (types.isProxy(tag) || Array.isArray(tag) || ArrayBuffer.isView(tag)) return tag;
  const keys = Object.keys(tag);
  if (keys.length <= KEYS) return tag;
  const few = Object.create(Object.getPrototypeOf(tag) as object | null) as object;
  for (const key of keys.slice(0, KEYS)) {
    Object.defineProperty(few, key, Object.getOwnPropertyDescriptor(tag, key) ?? {});
  }
  return few;
}

/** A tag in a few characters on one line. A tag may be anything, and need not let itself be printed. */
export function tagText(tag: unknown): string {
  let text: string;
  try {
    const options = {
      depth: 0,
      breakLength: Infinity,
      maxStringLength: LENGTH,
      maxArrayLength: 3,
      customInspect: false,
    };
    text = inspect(fewOf(tag), options);
  } catch {
    text = typeof tag;
  }
  const line = text.replace(/\s+/g, " ");
  return line.length > LENGTH ? `${line.slice(0, LENGTH)}…` : line;
}
