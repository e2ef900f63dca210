/** What a peer has sent, made harmless: a terminal obeys control characters, and formatting ones reorder what is shown. */

/** Control and formatting characters, separators of lines and paragraphs, and halves of surrogate pairs. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
/** The same, without what a conversation is made of: newline and tab. */
const UNSAFE_IN_TEXT = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
/** What `JSON.stringify` leaves as it is. */
const UNSAFE_IN_JSON = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu;

const NAMED: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0" };

/** A text on one line, in which every unsafe character is shown as an escape such as `\x1b`. */
export function printable(text: string): string {
  return text.replace(UNSAFE, escaped);
}

/** A value as JSON on one line, which is safe on a terminal as well. */
export function jsonLine(value: unknown): string {
  const inUnits = (character: string): string =>
    Array.from({ length: character.length }, (_, i) => `\\u${hex(character.charCodeAt(i), 4)}`).join("");
  return `${JSON.stringify(value).replace(UNSAFE_IN_JSON, inUnits)}\n`;
}

/** Bytes that come in pieces, as text for a terminal. CRLF is shown as the newline that it means. */
export class SafeText {
  readonly #decoder = new TextDecoder();
  /** Whether the last piece has ended with a CR, which is held back until it is known what follows it. */
  #holdsCR = false;

  show(bytes: Uint8Array): string {
    return this.#escape(this.#decoder.decode(bytes, { stream: true }));
  }

  /** What was held back, when nothing more comes. */
  end(): string {
    const rest = this.#escape(this.#decoder.decode());
    return this.#holdsCR ? `${rest}\\r` : rest;
  }

  #escape(decoded: string): string {
    const text = this.#holdsCR ? `\r${decoded}` : decoded;
    this.#holdsCR = text.endsWith("\r");
    const whole = this.#holdsCR ? text.slice(0, -1) : text;
    return whole.replaceAll("\r\n", "\n").replace(UNSAFE_IN_TEXT, escaped);
  }
}

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return NAMED[character] ?? (code < 256 ? `\\x${hex(code, 2)}` : `\\u{${code.toString(16)}}`);
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, "0");
}
