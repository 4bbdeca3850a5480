// The client and its player in a real browser: `CHROMIUM` names it, default /usr/bin/chromium.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { prompt, serveWith, skip } from "./server.mjs";

const chromium = process.env.CHROMIUM ?? "/usr/bin/chromium";
const folder = dirname(dirname(fileURLToPath(import.meta.url)));

function pages() {
  const { promptText, referenceAudio } = prompt();
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://page");
    if (pathname === "/reference.wav") return response.end(referenceAudio);
    if (pathname === "/reference.txt") return response.end(promptText);
    const file = pathname === "/" ? "test/page.html" : pathname.slice(1);
    const known = file === "test/page.html" || /^dist\/esm\/\w+\.js$/.test(file);
    if (!known) return response.writeHead(404).end();
    response.setHeader("content-type", file.endsWith(".js") ? "text/javascript" : "text/html");
    return response.end(readFileSync(join(folder, file)));
  });
  return new Promise((done) => server.listen(0, "127.0.0.1", () => done(server)));
}

test(
  "a page speaks",
  { skip: skip || (existsSync(chromium) ? false : `no browser at ${chromium}`), timeout: 120000 },
  async () => {
    const playwright = await import("playwright-core");
    const mynah = await serveWith({ MYNAH_API_KEYS: "a+key/of=1" });
    const site = await pages();
    const args = ["--no-sandbox", "--autoplay-policy=user-gesture-required"];
    const browser = await playwright.chromium.launch({ executablePath: chromium, args });
    try {
      while (!(await fetch(`${mynah.url}/readiness`)).ok) await new Promise((go) => setTimeout(go, 100));
      const page = await browser.newPage();
      page.on("console", (message) => console.log(`page: ${message.text()}`));
      page.on("pageerror", (error) => console.log(`page: ${error}`));
      const query = new URLSearchParams({ server: mynah.url, key: "a+key/of=1" });
      await page.goto(`http://127.0.0.1:${site.address().port}/?${query}`);
      await page.click("#speak");
      const handle = await page.waitForFunction(() => window.result, null, { timeout: 60000 });
      const result = await handle.jsonValue();
      assert.equal(result.error, undefined);
      assert.equal(result.played.length, 2);
      // What was made was played, at the pace of a clock.
      for (const { seconds, took } of result.played) {
        assert.ok(seconds > 0.5 && took > seconds - 0.2, JSON.stringify(result.played));
      }
      assert.deepEqual([result.events[0], result.events.at(-1)], ["audio_start", "done"]);
      assert.equal(result.refused, true);
      assert.ok(result.voices.includes("default"), String(result.voices));
      assert.equal(result.sampleRate, 16000);
      assert.ok(result.bytes > 3200, `${result.bytes} bytes`);
      assert.equal(result.stopped, "closed");
    } finally {
      await browser.close();
      site.close();
      await mynah.stop();
    }
  },
);
