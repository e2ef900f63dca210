/** Tables that are written into pages of docs/, between marks. */

export type Cells = readonly string[];

/** Numbers to the right; the widths are the formatter's business. */
export function table(header: Cells, rows: readonly Cells[]): string {
  const marks = header.map((_, i) => (i === 0 ? "---" : "--:"));
  return [header, marks, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** @throws where the page has no such marks */
export function replaced(path: string, page: string, name: string, command: string, text: string): string {
  const [begin, end] = [`<!-- ${name}: written by ${command} -->`, `<!-- end of ${name} -->`];
  const [before, rest] = page.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error(`Expected the marks of ${name} in ${path}`);
  return `${before}${begin}\n\n${text}\n\n${end}${after}`;
}
