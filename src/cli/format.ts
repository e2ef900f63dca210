/** How a conversation is shown: as it is, safe for a terminal, by line or frame, in hexadecimal numbers, or as JSON. */

import { isUtf8 } from "node:buffer";
import { asUsage, UsageError } from "./exit-code.js";
import { hexDump } from "./hex-dump.js";
import { delimited, lengthPrefixed, type MessageFraming } from "../index.js";
import { type OptionTable, type Values, wholeNumber } from "./options.js";
import { jsonLine, SafeText } from "./printable.js";

export const FORMAT = {
  lines: { type: "boolean", about: "sends and shows whole lines" },
  frames: { type: "string", value: "BYTES", about: "sends and shows frames: a length of so many bytes, and a body" },
  crlf: { type: "boolean", about: "ends the lines that are sent with CRLF instead of LF" },
  hex: { type: "boolean", about: "shows both directions as hexadecimal numbers" },
  json: { type: "boolean", about: "shows everything as JSON, one object for each line" },
  raw: { type: "boolean", about: "escapes no control characters, on a terminal either" },
} as const satisfies OptionTable;

/** Everything that the options say about what is sent and shown. */
export interface Format {
  /** Where the messages to be shown end; null shows what comes as it comes. */
  readonly framing: MessageFraming<Buffer, Buffer> | null;
  /** Whether a message is ended by a delimiter, which is shown with it. */
  readonly isLines: boolean;
  readonly lineEnding: string;
  /** What both directions are shown as. */
  readonly style: "text" | "safe" | "hex" | "json";
}

/** @throws UsageError */
export function formatOf(values: Values<typeof FORMAT>, isTerminal: boolean): Format {
  const isLines = values.lines === true;
  const lengthBytes = wholeNumber("frames", values.frames);
  if (isLines && lengthBytes !== undefined) throw new UsageError("Expected either --lines or --frames, got both");
  if (values.hex === true && values.json === true) throw new UsageError("Expected either --hex or --json, got both");
  const plain = isTerminal && values.raw !== true ? "safe" : "text";
  return {
    framing: isLines ? delimited("\n") : lengthBytes === undefined ? null : framesOf(lengthBytes),
    isLines,
    lineEnding: values.crlf === true ? "\r\n" : "\n",
    style: values.hex === true ? "hex" : values.json === true ? "json" : plain,
  };
}

function framesOf(lengthBytes: number): MessageFraming<Buffer, Buffer> {
  return asUsage(() => lengthPrefixed({ lengthBytes: lengthBytes }));
}

export type Direction = "received" | "sent";

/** Turns what is received, and for some styles what is sent, into what is printed. */
export class Shown {
  readonly #format: Format;
  readonly #safe = new SafeText();
  readonly #offsets: Record<Direction, number> = { received: 0, sent: 0 };

  /** The number of a client among several; undefined where there is one peer. */
  readonly #client: number | undefined;

  constructor(format: Format, client?: number) {
    this.#format = format;
    this.#client = client;
  }

  /** Empty if it is not to be shown. */
  show(direction: Direction, bytes: Uint8Array): string | Uint8Array {
    const { style, framing, isLines } = this.#format;
    const offset = this.#offsets[direction];
    this.#offsets[direction] += bytes.length;
    if (style === "hex") return hexDump(bytes, offset, `${this.#client ?? ""}${direction === "received" ? "<" : ">"}`);
    if (style === "json") {
      return jsonLine({ event: direction, client: this.#client, bytes: bytes.length, ...content(bytes) });
    }
    if (direction === "sent") return "";
    if (style === "safe") {
      const text = this.#safe.show(bytes);
      return framing === null || isLines ? text : `${text}${this.#safe.end()}\n`;
    }
    return framing === null || isLines ? bytes : Buffer.concat([bytes, Buffer.from("\n")]);
  }

  /** What is left to print when nothing more comes. */
  end(): string {
    return this.#format.style === "safe" ? this.#safe.end() : "";
  }
}

/** Text where the bytes are text, else base64: so JSON loses nothing. */
function content(bytes: Uint8Array): { text: string } | { base64: string } {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return isUtf8(buffer) ? { text: buffer.toString("utf8") } : { base64: buffer.toString("base64") };
}
