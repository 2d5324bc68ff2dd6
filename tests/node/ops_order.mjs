// Answers out of order, and answers at a bad moment: what the dashboard shows of them.

import assert from "node:assert/strict";

import { told, until } from "./browser.mjs";
import { NASTY, again, files, shut, text } from "./ops_hands.mjs";

/** Of two answers the one to the later question stays, in whatever order they come. */
export async function late({ page }) {
  const held = [];
  await page.route("**/v1/ops/overview?window=24h", (route) => held.push(route));
  await again(page);
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
  assert.equal(await text(page, "#tile-pending .value"), String(told.pending));
  await page.unroute("**/v1/ops/overview?window=24h");
  const read = page.waitForResponse("**/v1/uploads?*");
  await page.locator("#window").selectOption("24h");
  await read;
}

/** A row is not replaced under a finger: its click would be lost. */
export async function pressed({ page }) {
  const button = page.locator("#uploads button").first();
  await button.hover();
  await page.mouse.down();
  const answered = page.waitForResponse("**/v1/ops/overview*");
  await again(page);
  await answered;
  await page.waitForTimeout(500);
  const read = page.waitForResponse("**/v1/uploads?*");
  await page.mouse.up();
  await page.locator("#sheet[open]").waitFor();
  await read;
  await shut(page);
}

/** What was asked for last is what is shown, though the table is read again meanwhile; and what is being typed counts when it is sent. */
export async function unhurried({ page }) {
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
  await again(page);
  await until(() => held.length >= 2);
  assert.ok((await text(page, "#place")).startsWith("26 to "));
  const asked = held.map((route) => Object.fromEntries(new URL(route.request().url()).searchParams));
  assert.deepEqual(asked, asked.map(() => ({ status: "confirmed", limit: "25" })));
  // The first is answered and the later ones aren't: it is the same question.
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
