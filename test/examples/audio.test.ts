/** The audio example: what listeners are sent, whatever holds the main thread up; and its page, in a browser. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { chromium, type Page } from "playwright-core";
import { frame, FRAME_BYTES } from "../../examples/audio/tone.js";
import { NO_NATIVE } from "../support/availability.js";
import { findProgram, needs, Program } from "../support/programs.js";

const SAFETY = { timeout: 120_000 };

async function port(t: TestContext, name: string, ...options: string[]): Promise<number> {
  const server = Program.example(t, `audio/${name}`, ["--port", "0", ...options]);
  const [, digits] = await server.sees(/(?:port |127\.0\.0\.1:)(\d+)/);
  return Number(digits);
}

/** So many bytes, from whoever sends first. */
function received(t: TestContext, from: number, bytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect(from, "127.0.0.1");
    t.after(() => socket.destroy());
    const parts: Buffer[] = [];
    let length = 0;
    socket.on("error", reject).on("data", (part: Buffer) => {
      parts.push(part);
      if ((length += part.length) < bytes) return;
      socket.destroy();
      resolve(Buffer.concat(parts).subarray(0, bytes));
    });
  });
}

/** The frame that begins with these bytes. */
function indexOf(bytes: Buffer): number {
  for (let index = 0; index < 10_000; index++) if (frame(index).equals(bytes)) return index;
  return -1;
}

describe("audio", SAFETY, () => {
  for (const on of ["worker", "main", "hand"]) {
    it(
      `comes frame by frame to each of several listeners: --on ${on}`,
      { skip: on === "worker" && NO_NATIVE },
      async (t) => {
        const from = await port(t, "server", "--on", on, "--block", "50");
        const frames = 20;
        const all = await Promise.all(Array.from({ length: 3 }, () => received(t, from, frames * FRAME_BYTES)));
        for (const bytes of all) {
          const first = indexOf(bytes.subarray(0, FRAME_BYTES));
          assert.ok(first >= 0, "it begins with a frame");
          for (let i = 0; i < frames; i++) {
            assert.ok(bytes.subarray(i * FRAME_BYTES, (i + 1) * FRAME_BYTES).equals(frame(first + i)), `frame ${i}`);
          }
        }
      },
    );
  }

  it("says which ways to serve there are", async (t) => {
    const server = Program.example(t, "audio/server", ["--on", "the moon"]);
    const { code, stderr } = await server.ended();
    assert.equal(code, 1);
    assert.match(stderr, /Expected --on worker, main or hand, got the moon/);
  });
});

describe("the player of the audio example, in Chromium", { ...SAFETY, ...needs("chromium", "chromium") }, () => {
  async function opened(t: TestContext): Promise<{ page: Page; problems: string[] }> {
    const from = await port(t, "player", "--block", "50");
    const browser = await chromium.launch({
      executablePath: findProgram("chromium") ?? "chromium",
      args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
    });
    t.after(() => browser.close());
    const page = await browser.newPage();
    const problems: string[] = [];
    page.on("pageerror", ({ message }) => problems.push(message));
    page.on("console", (said) => {
      if (said.type() === "error") problems.push(said.text());
    });
    await page.goto(`http://127.0.0.1:${from}/`);
    return { page, problems };
  }

  it(
    "hears the stream from the main loop, and from a run loop to which the connection moves",
    { skip: NO_NATIVE },
    async (t) => {
      const { page, problems } = await opened(t);
      for (const which of ["main", "worker"]) {
        await page.click(`#${which}`);
        await page
          .locator("#frames")
          .filter({ hasText: /^[3-9]\d$|^\d{3}/ })
          .waitFor();
        assert.ok(Number(await page.locator("body").getAttribute("data-peak")) > 0, "it is no silence");
        await page.click("#stop");
        assert.equal(await page.locator("#problem").textContent(), "");
      }
      assert.deepEqual(problems, []);
    },
  );

  it("finds nothing at other addresses", async (t) => {
    const { page } = await opened(t);
    const response = await page.goto(new URL("/elsewhere", page.url()).href);
    assert.equal(response?.status(), 404);
  });
});
