// What the stories of the pages share: Chromium, what it complains of, and pictures of what it shows.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { chromium } from "playwright-core";

const [, , toldFile, pictures] = process.argv;

/** What the test says. */
export const told = JSON.parse(readFileSync(toldFile, "utf8"));
/** A file name that would run if anything took it for markup. */
export const NASTY = "<img src=x onerror=window.ran=1>.png";
/** How wide a phone and a laptop are, in both colours. */
export const LOOKS = [390, 1280].flatMap((width) => ["light", "dark"].map((colorScheme) => ({ width, colorScheme })));

/** How long anything may take here: a page that had no answer asks again after 25 s. */
const PATIENCE_SECS = 60;

/** The pages that are open: a story that fails says what was on them. */
const views = new Set();

/** What a person would have seen when the story failed, what the browser complained of, and what it was waiting for. */
async function lastSeen({ page, complaints, waiting }) {
  const seen = await page.locator("body").innerText({ timeout: 2_000 }).catch((error) => `nothing: ${error.message}`);
  return [`on ${page.url()}:`, seen, "complaints:", ...complaints, "not answered:", ...[...waiting].map((request) => request.url())].join("\n");
}

/** Plays a story in a browser and says what it gives. */
export async function play(story) {
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--disable-dev-shm-usage"] });
  try {
    process.stdout.write(JSON.stringify((await story(browser)) ?? {}));
  } catch (error) {
    for (const view of views) console.error(await lastSeen(view));
    throw error;
  } finally {
    await browser.close();
  }
}

/** A page that writes down whatever the browser complains of: errors, and what the content security policy refused. */
export async function open(browser, address, { width = 1280, colorScheme = "light", clock = false } = {}) {
  const context = await browser.newContext({ viewport: { width, height: width < 500 ? 844 : 900 }, colorScheme });
  const page = await context.newPage();
  // Before the page is there: its timers are then the story's.
  if (clock) await page.clock.install();
  const complaints = [];
  page.setDefaultTimeout(PATIENCE_SECS * 1000);
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
    if (protocol.startsWith("http") && !told.origins.includes(origin)) strangers.push(request.url());
  });
  const waiting = new Set();
  page.on("request", (request) => waiting.add(request));
  for (const end of ["requestfinished", "requestfailed"]) page.on(end, (request) => waiting.delete(request));
  await page.goto(new URL(address, `${told.url}/`).href);
  await page.locator("body[data-ready]").waitFor();
  const close = () => {
    views.delete(view);
    return context.close();
  };
  const view = { page, complaints, strangers, waiting, close };
  views.add(view);
  return view;
}

/** The browser had nothing to complain of but refusals that the page asked for. */
export function calm({ complaints, strangers }, { refusals = 0 } = {}) {
  const expected = (text) => /^Failed to load resource: the server responded with a status of 4\d\d/.test(text);
  assert.deepEqual(complaints.filter((text) => !expected(text)), []);
  assert.equal(complaints.filter(expected).length, refusals);
  assert.deepEqual(strangers, []);
  complaints.length = 0;
}

/** The page's policy bites, and the story would see it: an inline script and a picture of another site are refused. */
export async function policyBites({ page, complaints }) {
  complaints.length = 0;
  await page.evaluate(() => {
    // Where the policy demands trusted types, the text itself is refused.
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

/** Nothing is wider than the window, and nothing that a client wrote became markup. */
export async function fits({ page }) {
  const [wide, window_] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert.ok(wide <= window_, `${wide} pixels wide in a window of ${window_}`);
  assert.equal(await page.evaluate(() => window.ran), undefined);
  assert.equal(await page.locator("img[src='x']").count(), 0);
}

/** Keeps a picture of the whole page. */
export async function picture({ page }, name, options = { fullPage: true }) {
  await page.evaluate(() => window.scrollTo(0, 0));
  await page.screenshot({ path: join(pictures, `${name}.png`), ...options });
}

/** Waits until this is so. */
export async function until(condition, seconds = PATIENCE_SECS) {
  const end = Date.now() + seconds * 1000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, `it never came to be: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
