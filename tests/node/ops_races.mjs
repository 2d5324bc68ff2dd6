// Responses out of order, and responses at a bad moment.

import assert from "node:assert/strict";

import { input, until } from "./browser.mjs";
import { NASTY, closePanel, files, refresh, text } from "./ops_steps.mjs";

/** The response to the later request stays, in whatever order they come. */
export async function responsesOutOfOrder({ page }) {
  const held = [];
  await page.route("**/v1/ops/overview?window=24h", (route) => held.push(route));
  await refresh(page);
  await until(() => held.length >= 1);
  const answered = page.waitForResponse("**/v1/ops/overview?window=1h");
  await page.locator("#window").selectOption("1h");
  await answered;
  for (const route of held) {
    const response = await route.fetch();
    const seen = await response.json();
    seen.pending.count = 777;
    await route.fulfill({ response, json: seen });
  }
  await page.waitForTimeout(500);
  assert.equal(await text(page, "#tile-pending .value"), String(input.pending));
  await page.unroute("**/v1/ops/overview?window=24h");
  const read = page.waitForResponse("**/v1/uploads?*");
  await page.locator("#window").selectOption("24h");
  await read;
}

/** A row is not replaced while it is pressed: its click would be lost. */
export async function refreshDuringPress({ page }) {
  const button = page.locator("#uploads button").first();
  await button.hover();
  await page.mouse.down();
  const answered = page.waitForResponse("**/v1/ops/overview*");
  await refresh(page);
  await answered;
  await page.waitForTimeout(500);
  const read = page.waitForResponse("**/v1/uploads?*");
  await page.mouse.up();
  await page.locator("#panel[open]").waitFor();
  await read;
  await closePanel(page);
}

/** The table shows the page that was requested last, although it is refreshed meanwhile; typed filters count when they are submitted. */
export async function refreshDuringFilter({ page }) {
  await page.locator("[name=field]").fill("");
  await page.keyboard.press("Enter");
  await until(async () => (await text(page, "#place")) === "1 to 25");
  await page.locator("#older").click();
  await until(async () => (await text(page, "#place")).startsWith("26 to "));
  const held = [];
  await page.route("**/v1/uploads?*status=confirmed*", (route) => held.push(route));
  await page.locator("[name=status]").selectOption("confirmed");
  await until(() => held.length === 1);
  await page.locator("[name=owner]").fill("user:nob");
  await refresh(page);
  await until(() => held.length >= 2);
  assert.ok((await text(page, "#place")).startsWith("26 to "));
  const asked = held.map((route) => Object.fromEntries(new URL(route.request().url()).searchParams));
  assert.deepEqual(asked, asked.map(() => ({ status: "confirmed", limit: "25" })));
  // The first is answered and the later ones aren't: it is the same request.
  await held[0].continue();
  await until(async () => (await files(page)).join() === `${NASTY}.jpg`);
  assert.equal(await text(page, "#place"), "1 to 1");
  for (const route of held.slice(1)) await route.continue();
  await page.unroute("**/v1/uploads?*status=confirmed*");
  await page.locator("[name=owner]").fill("");
  await page.locator("[name=field]").fill("Product.image");
  await page.locator("[name=status]").selectOption("");
  await until(async () => (await files(page)).length === 4);
}
