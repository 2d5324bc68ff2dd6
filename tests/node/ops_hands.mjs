// An operator's hands: what the stories of the dashboard do with it, and where they look.

import assert from "node:assert/strict";

import { told, until } from "./browser.mjs";

/** Markup that would run if the page took it for such: the test's own. */
export const NASTY = "<img src=x onerror=window.ran=1>";

export const text = (page, selector) => page.locator(selector).innerText();

export async function enter({ page }, token = told.ops) {
  await page.locator("#token").fill(token);
  // By keyboard: the form has the focus from the start.
  await page.keyboard.press("Enter");
}

export async function inside(view) {
  await enter(view);
  await view.page.locator("#board").waitFor();
  await view.page.locator("#uploads button").first().waitFor();
}

/** The page asks anew, as it would in a few seconds. */
export const again = (page) => page.evaluate(() => [1, 2].forEach(() => document.getElementById("pause").click()));

export const files = (page) => page.locator("#uploads button").allInnerTexts();

export const openSheet = (page, id) => page.locator(`button[data-id=${id}]`).click();

/** Closes the panel and waits for the focus, which goes back a moment later and would take a key that was meant for another place. */
export async function shut(page, close = () => page.keyboard.press("Escape")) {
  await page.evaluate(() => {
    window.shut = new Promise((resolve) => document.getElementById("sheet").addEventListener("close", () => resolve(), { once: true }));
  });
  await close();
  await page.evaluate(() => window.shut);
}

export const kinds = (page) => page.locator("#timeline .kind").allInnerTexts();
export const status = (page, wanted) => until(async () => (await page.locator("#facts .pill").getAttribute("data-status")) === wanted);

export async function act(page, name, answer) {
  await page.locator("#actions").getByRole("button", { name, exact: true }).click();
  await page.locator("#ask[open]").waitFor();
  // What is dangerous is not where the focus is.
  assert.equal(await page.evaluate(() => document.activeElement.id), "ask-no");
  await page.locator(answer).click();
  await page.locator("#ask[open]").waitFor({ state: "detached" });
}
