/** The inspector's page, in a browser, while sockets are stalled, flooded, refused and lied to. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { chromium, type Page } from "playwright-core";
import { AsyncSocket } from "asyncsocket";
import { inspect } from "asyncsocket/inspector";
import { Authority } from "../support/certificates.js";
import { Belongings } from "../support/lifecycle-helpers.js";
import { findProgram, needs } from "../support/programs.js";
import { portOf, SAFETY } from "../support/transports.js";

const HOSTILE = "<b>hostile</b>";

async function opened(t: TestContext): Promise<{ page: Page; problems: string[]; url: string }> {
  const inspector = await inspect({ intervalMs: 100 });
  const browser = await chromium.launch({
    executablePath: findProgram("chromium") ?? "chromium",
    args: ["--no-sandbox"],
  });
  t.after(async () => {
    await browser.close();
    await inspector.close();
  });
  const page = await browser.newPage();
  const problems: string[] = [];
  page.on("pageerror", ({ message }) => problems.push(message));
  page.on("dialog", (dialog) => problems.push(`a dialog: ${dialog.message()}`));
  page.on("console", (said) => problems.push(said.text()));
  await page.goto(inspector.url);
  return { page, problems, url: inspector.url };
}

async function pair(t: TestContext, listener: AsyncSocket): Promise<[client: AsyncSocket, server: AsyncSocket]> {
  const belongings = Belongings.of(t);
  const client = belongings.add(new AsyncSocket());
  await client.connect({ host: "127.0.0.1", port: portOf(listener) });
  const { value } = await listener.connections().next();
  return [client, belongings.add(value as AsyncSocket)];
}

async function listening(t: TestContext, tls?: { key: string; cert: string }): Promise<AsyncSocket> {
  const listener = Belongings.of(t).add(new AsyncSocket({ limits: { writeQueue: 40 * 1024 * 1024 } }));
  await listener.listen({ port: 0, host: "127.0.0.1", ...(tls === undefined ? {} : { tls }) });
  return listener;
}

/** Chooses the socket by the keyboard alone. */
async function choose(page: Page, { id }: AsyncSocket): Promise<void> {
  const button = page.locator("#sockets tbody button", { hasText: new RegExp(`^${id}$`) });
  await button.focus();
  await page.keyboard.press("Enter");
  await page.locator("#detail-title", { hasText: `#${id},` }).waitFor();
}

describe("the inspector's page", { ...SAFETY, ...needs("chromium", "chromium") }, () => {
  it("shows a read that waits for ever, a peer that does not read, and limits that fill; nothing of a peer is markup", async (t) => {
    const { page, problems } = await opened(t);
    const listener = await listening(t);
    const [client, server] = await pair(t, listener);
    const [, flooded] = await pair(t, listener);
    void server.readUntil("\r\n", { timeout: 60_000, tag: "<img src=x onerror=alert(1)>" }).catch(() => undefined);
    for (let i = 0; i < 60; i++) void server.readExactly(4, { tag: i }).catch(() => undefined);
    client.write("never a line");
    for (let i = 0; i < 30; i++) void flooded.write(Buffer.alloc(1_000_000), { tag: "flood" }).catch(() => undefined);

    await choose(page, server);
    const reads = page.locator("#reads li");
    await reads.first().filter({ hasText: "readUntil — current" }).filter({ hasText: "12 of" }).waitFor();
    await reads.first().filter({ hasText: "<img src=x onerror=alert(1)>" }).waitFor();
    await reads
      .first()
      .filter({ hasText: /times out in 5\d\.\d s/ })
      .waitFor();
    await reads.last().filter({ hasText: "11 more" }).waitFor();

    await choose(page, flooded);
    await page.locator("#writes li").first().filter({ hasText: "'flood'" }).filter({ hasText: "no timeout" }).waitFor();
    const queue = page.locator("#limits label", { hasText: "write queue" });
    const [used, limit] = [await queue.locator("meter").getAttribute("value"), 40 * 1024 * 1024];
    assert.ok(Number(used) > 0.1 * limit, `${used} of ${limit}`);
    assert.equal(await page.locator("img").count(), 0);
    assert.deepEqual(problems, []);
  });

  it("shows the entries that are served, throughput, closes by reason, and a certificate's name as text", async (t) => {
    const { page, problems } = await opened(t);
    const authority = await Authority.create();
    const listener = await listening(t, await authority.issue([HOSTILE]));
    const client = Belongings.of(t).add(new AsyncSocket());
    await client.connect({
      host: "127.0.0.1",
      port: portOf(listener),
      tls: { ca: authority.cert, checkServerIdentity: () => undefined },
    });
    const { value: server } = await listener.connections().next();
    server?.readLine({ repeat: true });
    const chatter = setInterval(() => void client.write("a line\n"), 10);
    t.after(() => clearInterval(chatter));

    await choose(page, client);
    await page.locator("#facts", { hasText: HOSTILE }).waitFor();
    await page.locator("#facts", { hasText: /TLSv1\.3/ }).waitFor();
    await page.locator("#writes-served", { hasText: /last: write, 7 bytes/ }).waitFor();
    await page.locator("#out-rate", { hasText: /[1-9]/ }).waitFor();
    assert.equal(await page.locator("b").count(), 0);

    clearInterval(chatter);
    const refused = await AsyncSocket.connect({ host: "127.0.0.1", port: 1 }).catch((error: unknown) => error);
    assert.ok(refused instanceof Error);
    await client.disconnect();
    await page.locator("#counts", { hasText: "ERR_ASYNCSOCKET_CONNECT" }).waitFor();
    await page.locator("#counts", { hasText: "local" }).waitFor();
    await page.locator("#closes", { hasText: "Cannot connect to 127.0.0.1 port 1" }).waitFor();
    assert.equal(await page.locator("#detail").isVisible(), false, "the chosen socket is gone");
    assert.deepEqual(problems, []);
  });

  it("sorts, filters and pauses, by keyboard as well, and finds nothing without the token", async (t) => {
    const { page, problems, url } = await opened(t);
    const listener = await listening(t);
    const pairs = [await pair(t, listener), await pair(t, listener)] as const;
    void pairs[1][1].readLine({ tag: "needle" }).catch(() => undefined);
    const rows = page.locator("#sockets tbody tr");
    await rows.nth(4).waitFor();
    assert.equal(await rows.count(), 5, "a listener and four sockets");

    await page.getByRole("button", { name: "id" }).focus();
    await page.keyboard.press("Enter");
    await page.locator("#sockets th[aria-sort=descending]", { hasText: "id" }).waitFor();
    const ids = (await rows.locator("td:first-child").allTextContents()).map(Number);
    assert.deepEqual(
      ids,
      [...ids].sort((a, b) => b - a),
    );

    await page.getByLabel("Filter").fill("needle");
    await rows.nth(1).waitFor({ state: "detached" });
    assert.match((await rows.first().textContent()) ?? "", /readLine 'needle'/);
    await page.getByLabel("Filter").fill("");

    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("status").filter({ hasText: "paused" }).waitFor();
    await Promise.all(pairs.flat().map((socket) => socket.disconnect()));
    assert.ok((await rows.count()) >= 5);
    await page.getByRole("button", { name: "Go on" }).click();
    await rows.nth(1).waitFor({ state: "detached" });
    assert.deepEqual(problems, []);
    const response = await page.goto(new URL("/", url).href);
    assert.equal(response?.status(), 403);
  });
});
