import fc from "fast-check";

/** Any but lone surrogates. Fast-check's own units of that kind begin by a table of all of them, which takes a second. */
export const anyCharacter = fc
  .integer({ min: 0, max: 0x10_f7ff })
  .map((number) => String.fromCodePoint(number < 0xd800 ? number : number + 0x800));
