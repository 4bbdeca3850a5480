// Uses the demo page as a reader would, in headless Chromium.
//
//   node page.mjs URL CHROMIUM PICTURES RECORDING LOCKED_URL KEY
//
// RECORDING is a WAV file of speech; the page at LOCKED_URL is of a server that wants KEY. Exits with 1 and words where something is not as it should be.

import { chromium } from "playwright-core";
import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";

const [url, executablePath, pictures, recording, lockedUrl, key] = process.argv.slice(2);
/** Speaking, on a machine with much else to do. */
const LONG = 180_000;

await mkdir(pictures, { recursive: true });
const browser = await chromium.launch({
  executablePath,
  args: [
    "--no-sandbox",
    "--mute-audio",
    "--disable-background-networking",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--host-resolver-rules=MAP mynah.test 127.0.0.1",
  ],
});
const problems = [];

/** A fresh page of a given size, theme and language. Whatever goes wrong on it is noted. */
async function opened({ width = 1280, height = 950, colorScheme = "light", locale = "en-US", to = url, state = "ready", ...more } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, locale, permissions: ["microphone"], ...more });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on("pageerror", (error) => problems.push(`${error.stack}`));
  page.on("console", (message) => {
    // A server without the newer interfaces answers 404; the page falls back, the browser notes it.
    const absent = /404/.test(message.text()) && /v1\//.test(message.text() + message.location().url);
    const refused = state === "locked" && /401/.test(message.text());
    if (message.type() === "error" && !absent && !refused) problems.push(`${message.text()} ${message.location().url}`);
  });
  page.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol.startsWith("http") && origin !== new URL(to).origin) problems.push(`asks another site: ${request.url()}`);
  });
  page.on("dialog", (dialog) => dialog.accept());
  await page.goto(to);
  await page.waitForSelector(`#server[data-state=${state}]`, { timeout: LONG });
  return page;
}

/** The voices that a server lists. */
async function served(at, headers = {}) {
  const answer = await fetch(new URL("/v1/audio/voices", at), { headers });
  return (await answer.json()).voices;
}

const picture = (page, name, fullPage = false) => page.screenshot({ path: join(pictures, `${name}.png`), fullPage });
const number = (page, id, name) => page.$eval(`#${id}`, (element, name) => +element.dataset[name], name);
const isState = (page, ...states) =>
  page.waitForFunction((states) => states.includes(document.getElementById("status").dataset.state), states, { timeout: LONG, polling: 20 });

/** The utterance under way ends well: there is sound, and all of it is played. */
async function spoken(page) {
  await isState(page, "done", "error", "stopped");
  const status = page.locator("#status");
  assert.equal(await status.getAttribute("data-state"), "done", await status.innerText());
  const received = await number(page, "samples", "samples");
  assert.ok(received > 12_000, `only ${received} samples of speech`);
  assert.equal(await number(page, "played", "samples"), received, "all that came is played");
  assert.ok(await number(page, "first-packet", "ms") > 0, "no time of the first packet");
}

/** Notes where the tinted word is, each time it changes. */
const watchWords = (page) => page.evaluate(() => {
  window.words = [];
  new MutationObserver(() => {
    const word = document.querySelector("#mirror .word").textContent;
    if (word && word !== window.words.at(-1)) window.words.push(word);
  }).observe(document.getElementById("mirror"), { subtree: true, childList: true, characterData: true });
});

const pixels = (page, id) => page.$eval(`#${id}`, (canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let seen = 0;
  for (let i = 3; i < data.length; i += 4) if (data[i] > 40) seen += 1;
  return seen;
});

const steps = {
  async "speaks, shows the sound, follows the words"(page) {
    await picture(page, "idle");
    await page.fill("#text", "Good morning and welcome to the show. The price of gold has gone up again.");
    await watchWords(page);
    await page.press("#text", "Control+Enter");
    await isState(page, "playing", "error");
    await page.waitForFunction(() => +document.getElementById("played").dataset.samples > 20_000, null, { timeout: LONG });
    await picture(page, "playing");
    assert.ok(await pixels(page, "spectrogram") > 500, "the spectrogram is empty");
    assert.ok(await pixels(page, "wave") > 500, "the wave is empty");
    await spoken(page);
    await picture(page, "done");
    const words = await page.evaluate(() => window.words);
    assert.ok(words.length > 8, `the tint passed over ${words}`);
    assert.equal(words[0], "Good");
    assert.equal(await page.inputValue("#text"), "Good morning and welcome to the show. The price of gold has gone up again.");
  },

  async "saves what was heard as WAV"(page) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.click("#download")]);
    assert.match(download.suggestedFilename(), /^mynah-Good-morning.*\.wav$/);
    const bytes = await readFile(await download.path());
    assert.equal(bytes.toString("latin1", 0, 4), "RIFF");
    assert.equal(bytes.readUInt32LE(24), 24_000);
    assert.equal(bytes.length, 44 + 2 * await number(page, "samples", "samples"));
  },

  async "falls silent at once"(page) {
    await page.fill("#text", "There are many books on the top shelf, and nobody reads them.");
    await page.press("#text", "Control+Enter");
    await isState(page, "playing", "error");
    const took = await page.evaluate(() => {
      const start = performance.now();
      document.getElementById("text").dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
      return document.getElementById("status").dataset.state === "stopped" ? performance.now() - start : -1;
    });
    assert.ok(took >= 0 && took < 50, `stopping took ${took} ms`);
    const before = await number(page, "samples", "samples");
    await page.waitForTimeout(500);
    assert.equal(await number(page, "samples", "samples"), before, "nothing comes after Stop");
    assert.equal((await page.inputValue("#text")).length, 61);
  },

  async "speaks along while one types"(page) {
    await page.fill("#text", "");
    await page.check("#live");
    await page.click("#text");
    await page.keyboard.type("We had dinner with our fri", { delay: 20 });
    const sent = await page.$$eval("#mirror mark", (marks) => marks.map((mark) => mark.textContent).join(""));
    assert.equal(sent, "We had dinner with our ");
    await page.keyboard.type("ends.", { delay: 20 });
    await page.keyboard.press("Enter");
    await spoken(page);
    assert.equal(await page.inputValue("#text"), "", "the box takes the next sentence");
    await page.uncheck("#live");
  },

  async "types like a language model"(page) {
    await page.keyboard.press("Alt+Digit3");
    await page.fill("#text", "The cat is sleeping under the kitchen chair.");
    await page.selectOption("#answer", "");
    await page.fill("#rate", "15");
    await page.click("#simulate");
    await page.waitForTimeout(600);
    await picture(page, "model");
    await spoken(page);
    assert.equal(await page.inputValue("#text"), "The cat is sleeping under the kitchen chair.");
    assert.match(await page.innerText("#simulated"), /^(\d+) of \1 tokens/);
  },

  async "makes a voice from the microphone"(page) {
    await page.keyboard.press("Alt+Digit1");
    await page.click("#record");
    await page.waitForFunction(() => +document.getElementById("level").getAttribute("aria-valuenow") > 5);
    await page.waitForTimeout(2500);
    await picture(page, "recording");
    await page.click("#record");
    await page.waitForSelector("#trim:not([hidden])");
    const whole = +await page.getAttribute("#trim-to", "max");
    assert.ok(whole > 2, `${whole} s were recorded`);
    await page.fill("#trim-from", "0");
    await page.fill("#trim-to", "0.3");
    assert.ok(await page.isDisabled("#take-save"), "0.3 s is no voice");
    await picture(page, "too_short");
    await page.fill("#trim-to", "2");
    assert.ok(await page.isEnabled("#take-save"));
    await page.fill("#take-name", "beeps");
    await page.click("#take-save");
    assert.equal(await page.locator("#voice-list li").count() >= 1, true);
    assert.match(await page.innerText("#take-status"), /confirm/);
    await page.click("#take-discard");
  },

  async "speaks with a recording"(page) {
    await page.setInputFiles("#take-file", recording);
    await page.waitForSelector("#trim:not([hidden])");
    await page.fill("#take-text", "Learning at some schools is like drinking from a firehose.");
    await page.fill("#take-name", "firehose");
    await page.check("#take-consent");
    await picture(page, "voice", true);
    await page.click("#take-save");
    await page.waitForFunction(() => document.getElementById("voice").value === "server:firehose");
    await page.fill("#text", "Turn left at the next corner.");
    await page.click("#speak");
    await spoken(page);
  },

  async "keeps the voice on the server"(page) {
    const known = await served(url);
    assert.ok(known.includes("firehose"), `the server lists ${known}`);
    assert.match(await page.innerText("#where-kept"), /on the server/);
    // Another reader finds it, and it speaks.
    const other = await opened();
    await other.selectOption("#voice", "server:firehose");
    await other.fill("#text", "Turn right.");
    await other.click("#speak");
    await spoken(other);
    await other.context().close();
    // A second of that name is refused in words, and the recording is not lost.
    await page.setInputFiles("#take-file", recording);
    await page.waitForSelector("#trim:not([hidden])");
    await page.fill("#take-text", "Learning at some schools is like drinking from a firehose.");
    await page.fill("#take-name", "firehose");
    await page.check("#take-consent");
    await page.click("#take-save");
    await page.waitForFunction(() => /already/.test(document.getElementById("take-status").textContent));
    assert.ok(await page.isVisible("#trim") && await page.isEnabled("#take-save"));
    await page.click("#take-discard");
  },

  async "compares two voices"(page) {
    await page.keyboard.press("Alt+Digit2");
    await page.selectOption("#voice-b", { index: (await page.locator("#voice-b option").count()) - 1 });
    await page.click("#compare");
    await page.waitForSelector("#card-a[data-sounds=true]", { timeout: LONG });
    await page.waitForSelector("#card-b[data-sounds=true]", { timeout: LONG });
    await page.waitForSelector("#card-b[data-sounds=false]", { timeout: LONG });
    await page.click("#play-a");
    await page.waitForTimeout(200);
    await picture(page, "compare");
    await page.click("#switch");
    await page.waitForSelector("#card-b[data-sounds=true]");
    assert.equal(await page.getAttribute("#card-a", "data-sounds"), "false");
    await page.keyboard.press("Escape");
    assert.equal(await page.getAttribute("#card-b", "data-sounds"), "false");
  },

  async "forgets a voice"(page) {
    await page.keyboard.press("Alt+Digit1");
    const row = page.locator("#voice-list li", { hasText: "firehose" });
    await row.locator(".remove").click();
    await row.waitFor({ state: "detached" });
    const known = await served(url);
    assert.ok(known.includes("default") && !known.includes("firehose"), `the server still lists ${known}`);
    assert.equal(await page.inputValue("#voice"), "server:default");
    await page.keyboard.press("Alt+Digit4");
    await picture(page, "recent");
    await page.locator("#tab-recent").blur();
    await page.keyboard.press("?");
    await page.waitForSelector("#shortcuts[open]");
    await picture(page, "shortcuts");
    await page.keyboard.press("Escape");
  },
};

/** A server that wants a key: the page asks for it, and needs it for everything. */
async function locked() {
  const page = await opened({ to: lockedUrl, state: "locked" });
  assert.match(await page.innerText("#key-words"), /wants a key/);
  assert.equal(await page.innerText("#where-kept"), "", "nobody knows yet where voices are kept");
  await page.fill("#text", "Turn left.");
  await page.press("#text", "Control+Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "key", "Speak leads to the key");
  await picture(page, "locked", true);
  for (const [wrong, words] of [["another", /does not know/], ["my key, please", /no spaces/], ["密钥", /no spaces/]]) {
    await page.fill("#key", wrong);
    await page.press("#key", "Enter");
    await page.waitForFunction((words) => new RegExp(words).test(document.getElementById("key-words").textContent), words.source);
    assert.ok(await page.isVisible("#key"));
  }
  await page.fill("#key", ` ${key} `);
  await page.press("#key", "Enter");
  await page.waitForSelector("#server[data-state=ready]");
  assert.ok(await page.isHidden("#key-row"));
  await watchWords(page);
  await page.press("#text", "Control+Enter");
  await spoken(page);
  assert.ok((await page.evaluate(() => window.words)).length > 1, "the key opens the realtime door too");

  await page.setInputFiles("#take-file", recording);
  await page.waitForSelector("#trim:not([hidden])");
  await page.fill("#take-text", "Learning at some schools is like drinking from a firehose.");
  await page.fill("#take-name", "hydrant");
  await page.check("#take-consent");
  await page.click("#take-save");
  await page.waitForFunction(() => document.getElementById("voice").value === "server:hydrant");
  assert.ok((await served(lockedUrl, { Authorization: `Bearer ${key}` })).includes("hydrant"));

  await page.reload();
  await page.waitForSelector("#server[data-state=ready]");
  assert.ok(await page.isHidden("#key-row"), "the tab remembers the key");
  await page.waitForFunction(() => document.getElementById("voice").value === "server:hydrant");
  assert.ok(!page.url().includes("key"), "the key is in no address that is shown");
  assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes("key/of")), false, "only the tab");
  await page.context().close();
}

/** Texts, narrow windows, contrast: for one look of the page. */
async function looks(name, options) {
  const page = await opened(options);
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= options.width, `${name}: ${width} pixels wide in a window of ${options.width}`);
  await page.fill("#text", options.locale === "zh-CN" ? "今天天气很热，记得多喝水。" : "This is the best soup I have ever eaten.");
  await page.press("#text", "Control+Enter");
  await isState(page, "playing", "done", "error");
  await page.waitForTimeout(700);
  await picture(page, `${name}_playing`, true);
  await page.keyboard.press("Escape");
  for (const tab of ["compare", "model", "recent", "voices"]) {
    await page.click(`#tab-${tab}`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= options.width, `${name}, ${tab}: ${wide} pixels wide`);
    if (tab === "compare") await picture(page, `${name}_compare`, true);
  }
  const missing = await page.evaluate(async () => [...(await import("/demo/i18n.js")).missing]);
  assert.deepEqual(missing, [], `${name}: texts without a translation`);
  const unnamed = await page.evaluate(() => [...document.querySelectorAll("button, a[href], input, select, textarea")]
    .filter((e) => e.checkVisibility() && !e.labels?.length && !e.ariaLabel && !e.textContent.trim())
    .map((e) => e.outerHTML));
  assert.deepEqual(unnamed, [], `${name}: controls without a name`);
  const faint = await page.evaluate(contrast);
  assert.deepEqual(faint, [], `${name}: too little contrast`);
  await page.context().close();
}

/** Runs in the page: visible texts whose contrast with what is behind them is under 4.5. */
function contrast() {
  const parse = (color) => color.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length < 4 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() && !e.closest("#mirror, :disabled, [aria-disabled=true]") &&
    [...e.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
  return texts.map((e) => {
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), e.textContent.trim().slice(0, 40)];
  }).filter(([ratio]) => ratio < 4.5);
}

try {
  const page = await opened();
  for (const [name, step] of Object.entries(steps)) {
    const start = Date.now();
    try {
      await step(page);
    } catch (error) {
      await picture(page, "failure", true);
      throw new Error(`${name}: ${error.stack}; status: ${await page.innerText("#status")}; ${problems}`);
    }
    console.log(`${name}: ${Date.now() - start} ms`);
  }
  await page.context().close();

  await locked();

  await looks("locked_phone_zh", { width: 360, height: 740, locale: "zh-CN", to: lockedUrl, state: "locked" });
  await looks("desktop_dark", { width: 1280, height: 950, colorScheme: "dark" });
  await looks("desktop_zh", { width: 1280, height: 950, locale: "zh-CN" });
  await looks("phone_light", { width: 360, height: 740, isMobile: true, hasTouch: true });
  await looks("phone_dark_zh", { width: 360, height: 740, isMobile: true, hasTouch: true, colorScheme: "dark", locale: "zh-CN", reducedMotion: "reduce" });

  // Plain http from another machine: browsers offer neither worklets nor microphones there.
  const far = await opened({ to: url.replace("127.0.0.1", "mynah.test") });
  assert.equal(await far.evaluate(() => isSecureContext), false);
  assert.ok(await far.isDisabled("#record"));
  await far.fill("#text", "Turn left.");
  await far.press("#text", "Control+Enter");
  await spoken(far);
  assert.deepEqual(problems, []);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await browser.close();
}
