import { inspect } from "node:util";

const LENGTH = 100;

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
    text = inspect(tag, options);
  } catch {
    text = typeof tag;
  }
  const line = text.replace(/\s+/g, " ");
  return line.length > LENGTH ? `${line.slice(0, LENGTH)}…` : line;
}
