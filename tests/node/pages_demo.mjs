// The demo: a picture is uploaded, five attacks fail, and no client input becomes markup.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";

import { LOOKS, NASTY, calm, fits, input, open, picture, policyBlocks, run } from "./browser.mjs";

const SIZE = 183_442;
const text = (page, selector) => page.locator(selector).innerText();

/** A file of `SIZE` bytes with the start of a PNG; the rest is random. */
const file = (name, mimeType = "image/png") => ({ name, mimeType, buffer: Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), randomBytes(SIZE - 8)]) });

async function uploads(view) {
  const { page } = view;
  await page.locator("#file").setInputFiles(file(NASTY));
  await page.locator("#status[data-status=confirmed]").waitFor();
  await page.locator("#picture:not([hidden])").waitFor({ state: "attached" });
  assert.equal(await text(page, "#filename"), NASTY);
  assert.equal(await text(page, "#saw"), "The broker saw 0 of 183,442 bytes.");
  const [, json] = /It read (\d+) bytes of JSON for this upload/.exec(await text(page, "#json"));
  assert.ok(json > 100 && json < 200, `${json} bytes of JSON`);
  assert.match(await text(page, "#key"), /^media\/products\/[^/]+\.png$/);
  for (const name of ["create", "put", "confirm"]) {
    const step = `[data-step=${name}]`;
    assert.equal(await page.locator(step).getAttribute("data-state"), "done");
    assert.match(await text(page, `${step} .took`), /^[\d.]+ ms$/);
    await page.locator(`${step} summary`).click();
  }
  assert.equal(await page.locator("progress").evaluate((bar) => bar.value / bar.max), 1);
  // Random bytes are shown as a broken picture; the sample is a real one.
  calm(view);
  return Object.fromEntries(await Promise.all(["create", "put", "confirm"].map(async (name) => [name, await text(page, `[data-step=${name}] .curl`)])));
}

async function blocks(view) {
  const { page } = view;
  // The responses of each attack, in order.
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
    assert.equal(await article.getAttribute("data-verdict"), "blocked", name);
    assert.equal(await article.locator(".verdict").innerText(), "Blocked.");
  }
  assert.match(await text(page, "[data-attempt=type] .answers"), /allowed are image\/jpeg/);
  calm(view, { refusals: Object.values(expected).flat().filter((answer) => / 4\d\d /.test(answer)).length });
}

await run(async (browser) => {
  const view = await open(browser, "demo");
  const commands = await uploads(view);
  await blocks(view);
  await fits(view);
  await policyBlocks(view);
  await view.close();

  for (const look of LOOKS) {
    const view = await open(browser, "demo", look);
    // By keyboard.
    await view.page.locator("#sample").focus();
    await view.page.keyboard.press("Enter");
    await view.page.locator("#picture:not([hidden])").waitFor();
    await view.page.locator("#picture").evaluate((image) => image.decode());
    for (const name of ["type", "overwrite"]) await view.page.locator(`[data-try=${name}]`).click();
    await view.page.locator("[data-attempt=type][data-verdict=blocked]").waitFor();
    await view.page.locator("[data-attempt=overwrite][data-verdict=blocked]").waitFor();
    await fits(view);
    await picture(view, `demo-${look.width}-${look.colorScheme}`);
    calm(view, { refusals: 3 });
    await view.close();
  }
  const refused = await open(browser, "demo");
  await refused.page.locator("#file").setInputFiles(file("notes.txt", "text/plain"));
  await refused.page.locator("[data-step=create][data-state=refused]").waitFor();
  assert.match(await text(refused.page, "[data-step=create] .answer"), /^422 media-type-not-allowed: /);
  assert.ok(input.url.startsWith("http://127.0.0.1:"));
  return { commands };
});
