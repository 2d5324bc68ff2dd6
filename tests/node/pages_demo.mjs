// The demo as a person meets it: a picture comes in, five attempts fail, and nothing of it is taken for markup.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";

import { LOOKS, NASTY, calm, fits, open, picture, play, policyBites, told } from "./browser.mjs";

const SIZE = 183_442;
const text = (page, selector) => page.locator(selector).innerText();

/** A picture of so many bytes, in its type and name; the rest is noise. */
const file = (name, mimeType = "image/png") => ({ name, mimeType, buffer: Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), randomBytes(SIZE - 8)]) });

async function bringsIn(view) {
  const { page } = view;
  await page.locator("#file").setInputFiles(file(NASTY));
  await page.locator("#status[data-status=confirmed]").waitFor();
  await page.locator("#picture:not([hidden])").waitFor({ state: "attached" });
  assert.equal(await text(page, "#filename"), NASTY);
  assert.equal(await text(page, "#saw"), "The broker saw 0 of 183,442 bytes.");
  const [, words] = /All it read for this upload are (\d+) bytes/.exec(await text(page, "#json"));
  assert.ok(words > 100 && words < 200, `${words} bytes of JSON`);
  assert.match(await text(page, "#key"), /^media\/products\/[^/]+\.png$/);
  for (const name of ["create", "put", "confirm"]) {
    const step = `[data-step=${name}]`;
    assert.equal(await page.locator(step).getAttribute("data-state"), "done");
    assert.match(await text(page, `${step} .took`), /^[\d.]+ ms$/);
    await page.locator(`${step} summary`).click();
  }
  assert.equal(await page.locator("progress").evaluate((bar) => bar.value / bar.max), 1);
  // The picture's bytes are noise, so it is shown as broken; the sample is a real one.
  calm(view);
  return Object.fromEntries(await Promise.all(["create", "put", "confirm"].map(async (name) => [name, await text(page, `[data-step=${name}] .curl`)])));
}

async function refuses(view) {
  const { page } = view;
  // Each attempt: what it is answered, in order, by whom and with what.
  const expected = {
    type: ["broker: 422 media-type-not-allowed", "bucket: 403 SignatureDoesNotMatch"],
    size: ["broker: 422 size-not-allowed", "bucket: 403 SignatureDoesNotMatch"],
    bytes: ["bucket: 400 BadDigest", "broker: 409 object-missing"],
    overwrite: ["bucket: 200", "broker: 200", "bucket: 200", "bucket: 403 AccessDenied"],
    abandon: ["bucket: 200", "broker: 409 wrong-status", "bucket: 403 AccessDenied"],
  };
  for (const [name, answers] of Object.entries(expected)) {
    const article = page.locator(`[data-attempt=${name}]`);
    await article.getByRole("button").click();
    await page.locator(`[data-attempt=${name}][data-verdict]`).waitFor();
    const said = await article.locator(".said").evaluateAll((all) => all.map((one) => `${one.querySelector(".by").textContent}: ${one.querySelector("code").textContent}`));
    assert.deepEqual(said, answers, name);
    assert.equal(await article.getAttribute("data-verdict"), "held", name);
    assert.equal(await article.locator(".verdict").innerText(), "It held.");
  }
  assert.match(await text(page, "[data-attempt=type] .answers"), /it takes image\/jpeg/);
  calm(view, { refusals: Object.values(expected).flat().filter((answer) => / 4\d\d /.test(answer)).length });
}

await play(async (browser) => {
  const view = await open(browser, "demo");
  const commands = await bringsIn(view);
  await refuses(view);
  await fits(view);
  await policyBites(view);
  await view.close();

  for (const look of LOOKS) {
    const view = await open(browser, "demo", look);
    // By keyboard alone.
    await view.page.locator("#sample").focus();
    await view.page.keyboard.press("Enter");
    await view.page.locator("#picture:not([hidden])").waitFor();
    await view.page.locator("#picture").evaluate((image) => image.decode());
    for (const name of ["type", "overwrite"]) await view.page.locator(`[data-try=${name}]`).click();
    await view.page.locator("[data-attempt=type][data-verdict=held]").waitFor();
    await view.page.locator("[data-attempt=overwrite][data-verdict=held]").waitFor();
    await fits(view);
    await picture(view, `demo-${look.width}-${look.colorScheme}`);
    calm(view, { refusals: 3 });
    await view.close();
  }
  const refused = await open(browser, "demo");
  await refused.page.locator("#file").setInputFiles(file("notes.txt", "text/plain"));
  await refused.page.locator("[data-step=create][data-state=refused]").waitFor();
  assert.match(await text(refused.page, "[data-step=create] .answer"), /^422 media-type-not-allowed: /);
  assert.ok(told.url.startsWith("http://127.0.0.1:"));
  return { commands };
});
