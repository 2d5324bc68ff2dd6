// What the tests of the pages share: Chromium, its complaints, and screenshots.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { chromium } from "playwright-core";

const [, , inputFile, pictures] = process.argv;

/** The test's input. */
export const input = JSON.parse(readFileSync(inputFile, "utf8"));
/** A file name that would run if a page inserted it as markup. */
export const NASTY = "<img src=x onerror=window.ran=1>.png";
/** The widths of a phone and a laptop, in both color schemes. */
export const LOOKS = [390, 1280].flatMap((width) => ["light", "dark"].map((colorScheme) => ({ width, colorScheme })));

/** The timeout of every step: a page without a response retries after 25 s. */
const TIMEOUT_SECS = 60;

/** The open pages: a test that fails prints their text. */
const views = new Set();

/** The text of a page when the test failed, the browser's complaints and its open requests. */
async function lastSeen({ page, complaints, waiting }) {
  const seen = await page.locator("body").innerText({ timeout: 2_000 }).catch((error) => `no text: ${error.message}`);
  return [`on ${page.url()}:`, seen, "complaints:", ...complaints, "open requests:", ...[...waiting].map((request) => request.url())].join("\n");
}

/** Runs a test in a browser and prints its result. */
export async function run(test) {
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--disable-dev-shm-usage"] });
  try {
    process.stdout.write(JSON.stringify((await test(browser)) ?? {}));
  } catch (error) {
    for (const view of views) console.error(await lastSeen(view));
    throw error;
  } finally {
    await browser.close();
  }
}

/** Opens a page and records the browser's complaints: errors, and what the content security policy blocked. */
export async function open(browser, address, { width = 1280, colorScheme = "light", clock = false } = {}) {
  const context = await browser.newContext({ viewport: { width, height: width < 500 ? 844 : 900 }, colorScheme });
  const page = await context.newPage();
  // Before the page loads, so that the test controls its timers.
  if (clock) await page.clock.install();
  const complaints = [];
  page.setDefaultTimeout(TIMEOUT_SECS * 1000);
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
  await page.exposeFunction("violated", (what) => complaints.push(`policy: ${what}`));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => window.violated(`${event.violatedDirective} ${event.blockedURI}`));
  });
  const strangers = [];
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (protocol.startsWith("http") && !input.origins.includes(origin)) strangers.push(request.url());
  });
  const waiting = new Set();
  page.on("request", (request) => waiting.add(request));
  for (const end of ["requestfinished", "requestfailed"]) page.on(end, (request) => waiting.delete(request));
  await page.goto(new URL(address, `${input.url}/`).href);
  await page.locator("body[data-ready]").waitFor();
  const close = () => {
    views.delete(view);
    return context.close();
  };
  const view = { page, complaints, strangers, waiting, close };
  views.add(view);
  return view;
}

/** The browser had no complaints but this number of expected 4xx responses, and no requests to other origins. */
export function calm({ complaints, strangers }, { refusals = 0 } = {}) {
  const expected = (text) => /^Failed to load resource: the server responded with a status of 4\d\d/.test(text);
  assert.deepEqual(complaints.filter((text) => !expected(text)), []);
  assert.equal(complaints.filter(expected).length, refusals);
  assert.deepEqual(strangers, []);
  complaints.length = 0;
}

/** The page's policy blocks an inline script and a picture of another site, and `complaints` shows it. */
export async function policyBlocks({ page, complaints }) {
  complaints.length = 0;
  await page.evaluate(() => {
    // Where the policy requires trusted types, the text itself is blocked.
    const script = document.createElement("script");
    try {
      script.textContent = "window.ran = 1";
    } catch {}
    document.head.append(script);
    document.body.append(Object.assign(new Image(), { src: "http://127.0.0.2:1/x.png" }));
  });
  await until(() => complaints.filter((text) => text.startsWith("policy: ")).length >= 2);
  const refused = complaints.filter((text) => text.startsWith("policy: ")).join("\n");
  assert.match(refused, /script-src|require-trusted-types-for/);
  assert.match(refused, /img-src/);
  assert.equal(await page.evaluate(() => window.ran), undefined);
}

/** Nothing is wider than the window, and no client input became markup. */
export async function fits({ page }) {
  const [wide, window_] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert.ok(wide <= window_, `${wide} pixels wide in a window of ${window_}`);
  assert.equal(await page.evaluate(() => window.ran), undefined);
  assert.equal(await page.locator("img[src='x']").count(), 0);
}

/** Saves a screenshot of the whole page. */
export async function picture({ page }, name, options = { fullPage: true }) {
  await page.evaluate(() => window.scrollTo(0, 0));
  await page.screenshot({ path: join(pictures, `${name}.png`), ...options });
}

/** Waits until a condition holds. */
export async function until(condition, seconds = TIMEOUT_SECS) {
  const end = Date.now() + seconds * 1000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, `timeout: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
