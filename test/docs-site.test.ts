// The site that `npm run docs` makes: every link leads somewhere, and a browser shows it without an error.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join, posix } from "node:path";
import { after, before, describe, it } from "node:test";
import { chromium } from "playwright-core";
import { findProgram, needs } from "./support/programs.js";

const TYPES: Record<string, string> = { ".html": "text/html", ".css": "text/css", ".svg": "image/svg+xml" };
const SHOWN = [
  "index.html",
  "modules/asyncsocket.html",
  "classes/asyncsocket.AsyncSocket.html",
  "documents/Cookbook.html",
];

describe("the site of the documentation", () => {
  const folder = mkdtempSync(join(tmpdir(), "asyncsocket-site-"));
  const pages = new Map<string, string>();

  before(() => {
    execFileSync("npx", ["typedoc", "--out", folder, "--logLevel", "Warn"], { encoding: "utf8" });
    for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
      if (name.endsWith(".html")) pages.set(name, readFileSync(join(folder, name), "utf8"));
    }
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  it("has no broken link", () => {
    const files = new Set(readdirSync(folder, { recursive: true, encoding: "utf8" }));
    const broken: string[] = [];
    for (const [page, html] of pages) {
      for (const [, href = ""] of html.matchAll(/(?:href|src)="([^"]+)"/g)) {
        if (href === "#" || /^(?:[a-z]+:|\/\/)/.test(href)) continue;
        const [path = "", id] = href.split("#");
        const target = path === "" ? page : posix.join(posix.dirname(page), decodeURI(path));
        const known = pages.get(target);
        const isThere = known === undefined ? files.has(target) : id === undefined || known.includes(`id="${id}"`);
        if (!isThere) broken.push(`${page}: ${href}`);
      }
    }
    assert.deepEqual(broken, []);
  });

  it("groups what is public by what one does with it, without internals", () => {
    const index = pages.get("modules/asyncsocket.html") ?? "";
    for (const one of ["The socket", "Listening", "Framings", "Threads", "TLS"]) assert.ok(index.includes(one), one);
    for (const [page, html] of pages) assert.doesNotMatch(html, /id="_\w+"/, page);
  });

  it(
    "is shown by a browser without an error, and its search finds",
    { ...needs("chromium", "chromium") },
    async (t) => {
      const server = createServer((request, response) => {
        const path = new URL(request.url ?? "/", "http://localhost").pathname;
        response.setHeader("Content-Type", TYPES[extname(path)] ?? "text/javascript");
        response.end(readFileSync(join(folder, path)));
      });
      await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
      t.after(() => server.close());
      const executablePath = findProgram("chromium") ?? "chromium";
      const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
      t.after(() => browser.close());
      const page = await browser.newPage();
      const problems: string[] = [];
      page.on("pageerror", ({ message }) => problems.push(message));
      page.on("console", (said) => {
        if (said.type() === "error") problems.push(said.text());
      });
      const root = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      for (const name of SHOWN) {
        await page.goto(`${root}/${name}`);
        await page.waitForSelector("#tsd-nav-container a");
      }
      await page.click("#tsd-search-trigger");
      await page.fill("#tsd-search-input", "readUntil");
      await page.waitForSelector("#tsd-search-results a[href$='AsyncSocket.html#readuntil']", { state: "attached" });
      assert.deepEqual(problems, []);
    },
  );
});
