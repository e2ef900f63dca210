/** Makes the sound as it is needed: 44.1 kHz, 16-bit, stereo PCM, in frames of 20 ms. */

export const SAMPLE_RATE = 44_100;
export const FRAME_MS = 20;
export const FRAME_BYTES = (SAMPLE_RATE / 1000) * FRAME_MS * 4;

const VOLUME = 6000;
/** An A and the C sharp above it, which circle the listener once in a few seconds. */
const [LEFT_HZ, RIGHT_HZ, ROUND_HZ] = [440, 554.37, 0.3];

/** Makes the `index`th frame. */
export function frame(index: number): Buffer {
  const bytes = Buffer.alloc(FRAME_BYTES);
  const first = (index * FRAME_BYTES) / 4;
  for (let i = 0; i < FRAME_BYTES / 4; i++) {
    const turns = (first + i) / SAMPLE_RATE;
    const side = 0.5 + 0.5 * sine(ROUND_HZ * turns);
    bytes.writeInt16LE(Math.round(VOLUME * side * sine(LEFT_HZ * turns)), i * 4);
    bytes.writeInt16LE(Math.round(VOLUME * (1 - side) * sine(RIGHT_HZ * turns)), i * 4 + 2);
  }
  return bytes;
}

function sine(turns: number): number {
  return Math.sin(2 * Math.PI * (turns % 1));
}
