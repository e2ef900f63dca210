import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, it } from "node:test";

describe("the watchdog of a simulation", () => {
  it("tells the seed of a run that never ends, and ends itself", async () => {
    const program = `
      const { Watchdog } = await import(${JSON.stringify(new URL("./watchdog.js", import.meta.url).href)});
      new Watchdog(200).note(4711);
      await new Promise((resolve) => setTimeout(resolve, 100));
      for (;;);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
    const [, signal] = (await once(child, "close")) as [number | null, string | null];
    assert.match(said, /seed 4711 never ends/);
    assert.equal(signal, "SIGKILL");
  });
});
