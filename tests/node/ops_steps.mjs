// Steps and selectors that the tests of the dashboard share.

import assert from "node:assert/strict";

import { input, until } from "./browser.mjs";

/** Markup that would run if the page inserted it as such. */
export const NASTY = "<img src=x onerror=window.ran=1>";

export const text = (page, selector) => page.locator(selector).innerText();

export async function submitToken({ page }, token = input.ops) {
  await page.locator("#token").fill(token);
  // By keyboard: the form has the focus at the start.
  await page.keyboard.press("Enter");
}

export async function signIn(view) {
  await submitToken(view);
  await view.page.locator("#dashboard").waitFor();
  await view.page.locator("#uploads button").first().waitFor();
}

/** Refreshes the page, as it would by itself in a few seconds. */
export const refresh = (page) => page.evaluate(() => [1, 2].forEach(() => document.getElementById("pause").click()));

export const files = (page) => page.locator("#uploads button").allInnerTexts();

export const openPanel = (page, id) => page.locator(`button[data-id=${id}]`).click();

/** Closes the panel and waits until the focus is back: it returns a moment later, and would take a key meant for another element. */
export async function closePanel(page, close = () => page.keyboard.press("Escape")) {
  await page.evaluate(() => {
    window.closed = new Promise((resolve) => document.getElementById("panel").addEventListener("close", () => resolve(), { once: true }));
  });
  await close();
  await page.evaluate(() => window.closed);
}

export const kinds = (page) => page.locator("#timeline .kind").allInnerTexts();
export const status = (page, wanted) => until(async () => (await page.locator("#facts .pill").getAttribute("data-status")) === wanted);

export async function act(page, name, button) {
  await page.locator("#actions").getByRole("button", { name, exact: true }).click();
  await page.locator("#ask[open]").waitFor();
  // The focus is on Cancel.
  assert.equal(await page.evaluate(() => document.activeElement.id), "ask-no");
  await page.locator(button).click();
  await page.locator("#ask[open]").waitFor({ state: "detached" });
}
