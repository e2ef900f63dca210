/** The library as a CommonJS bundle has it, where nothing knows the place of its own file. */

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { child } from "../support/lifecycle-helpers.js";
import { SAFETY } from "../support/transports.js";

/** What esbuild makes of `import.meta` in CommonJS: an object with nothing in it. */
function copyWithoutPlace(folder: string): void {
  cpSync(new URL(".", import.meta.resolve("asyncsocket")), folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".js")) continue;
    const path = join(folder, name);
    writeFileSync(path, readFileSync(path, "utf8").replaceAll("import.meta", "({})"));
  }
}

describe("in a CommonJS bundle", SAFETY, () => {
  it("sockets work on the node transport, and what is not there says why", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "asyncsocket-"));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    copyWithoutPlace(folder);
    const program = child(
      t,
      `import { AsyncSocket, RunLoop } from ${JSON.stringify(pathToFileURL(join(folder, "index.js")).href)};
       const listener = await AsyncSocket.listen({ port: 0, host: "127.0.0.1" });
       const client = await AsyncSocket.connect({ host: "127.0.0.1", port: listener.local.port });
       const { value } = await listener.connections().next();
       client.write("hello\\n");
       console.log(await value.readLine());
       const errors = [
         await RunLoop.spawn(${JSON.stringify(fileURLToPath(import.meta.url))}).catch((error) => error),
         await new Promise((done) => { try { new AsyncSocket({ transport: "native" }); } catch (error) { done(error); } }),
       ];
       for (const { code, message } of errors) console.log(code + " " + message);
       client.disconnect(); value.disconnect(); listener.disconnect();`,
    );
    assert.equal(await program.line(), "hello");
    assert.match(
      await program.line(),
      /^ERR_ASYNCSOCKET_TRANSFER A run loop cannot be started: .* bundle .*asyncsocket\/run-loop-thread/,
    );
    assert.match(await program.line(), /^ERR_ASYNCSOCKET_BAD_STATE .*(CommonJS bundle|loads no addons|turns it off)/);
    assert.equal((await program.ended).code, 0);
  });
});
