// The dashboard: sign-in, the numbers, the table, one upload, the manual actions, and failing requests.

import assert from "node:assert/strict";

import { LOOKS, calm, fits, input, open, picture, policyBlocks, run, until } from "./browser.mjs";
import { refreshDuringFilter, refreshDuringPress, responsesOutOfOrder } from "./ops_races.mjs";
import { NASTY, act, closePanel, files, kinds, openPanel, signIn, status, submitToken, text } from "./ops_steps.mjs";

async function signsIn(view) {
  const { page } = view;
  assert.equal(await page.evaluate(() => document.activeElement.id), "token");
  await submitToken(view, "no token");
  await page.locator("#refused:not([hidden])").waitFor();
  await submitToken(view, input.user);
  await until(async () => (await text(page, "#refused")).includes("ops"));
  assert.equal(await page.locator("#dashboard").isVisible(), false);
  calm(view, { refusals: 2 });
  await signIn(view);
  const kept = await page.evaluate(() => [location.href, JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage }), document.cookie, document.documentElement.outerHTML].join());
  assert.ok(!kept.includes(input.ops.slice(-20)), "the token is stored");
  assert.equal(await page.locator("#token").inputValue(), "");
}

async function numbers({ page }) {
  assert.equal(await text(page, "#tile-pending .value"), String(input.pending));
  assert.equal(await text(page, "#tile-confirmed .note"), `1 of ${input.pending + 2} created`);
  assert.match(await text(page, "#tile-webhooks"), /^Dead deliveries\s+2\s+none pending$/);
  assert.match(await text(page, "#tile-overdue .note"), /^no overdue uploads; (last sweep \d+ m?s ago|no sweep by this broker yet)$/);
  assert.match(await page.locator("#ages").getAttribute("aria-label"), new RegExp(`under 5 min ${input.pending}`));
  assert.match(await page.locator("#series").getAttribute("aria-label"), new RegExp(`Created ${input.pending + 2}, Confirmed 1, Rejected 1, Expired 0`));
  for (const id of ["ages", "series"]) assert.ok(await painted(page, `#${id} canvas`), id);
  assert.deepEqual(await page.locator("#rejections td").allInnerTexts(), ["size", "1"]);
  const funnel = await page.locator(".fates", { has: page.getByRole("heading", { name: "Product.image", exact: true }) }).locator(".figure").allInnerTexts();
  assert.deepEqual(funnel.map((one) => Number.parseInt(one, 10)), [4, 1, 0]);
}

/** Whether something was drawn: a canvas of one colour is an empty one. */
const painted = (page, selector) => page.locator(selector).evaluate((canvas) => {
  const pixels = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  return new Set(pixels).size > 4;
});

/** Missing data is named, and no number replaces it. */
async function gaps({ page }) {
  assert.equal(await page.locator("#series-gap").isVisible(), false);
  assert.equal(await page.locator("#rejections-note").isVisible(), false);
  await page.route("**/v1/ops/overview*", async (route) => {
    const response = await route.fetch();
    const seen = await response.json();
    const half = Math.floor(seen.series.created.length / 2);
    seen.series.created.fill(null, 0, half);
    for (const name of ["confirmed", "rejected", "expired"]) seen.series[name].fill(null, 0, half + 5);
    seen.since = new Date(Date.parse(seen.series.start) + (half * seen.series.step_secs - 1) * 1000).toISOString();
    Object.assign(seen.pending.ages[0], { count: 500_000, more: true });
    Object.assign(seen.pending, { overdue: 500_000, overdue_more: true, postponed: 1_200 });
    Object.assign(seen, { sweeper_lag_secs: 240, sweeper: [{ kind: "pending", done: 0, postponed: 1_200, failed: 0, last_ended_at: seen.at }] });
    seen.rejections = { rejected: 7_000, looked_at: 5_000, reasons: [{ reason: "size", count: 5_000 }] };
    await route.fulfill({ response, json: seen });
  });
  await page.locator("#window").selectOption("7d");
  await page.locator("#series-gap:not([hidden])").waitFor();
  const said = await text(page, "#series-gap");
  assert.match(said, /^No data on uploads before .+: only the latest 50,000 are read\. No data on outcomes before .+\.$/);
  assert.ok((await page.locator("#series").getAttribute("aria-label")).endsWith(said));
  assert.match(await text(page, "#rejections-note"), /^Uploads created since .+\. Reasons of the latest 5,000 of 7,000\.$/);
  assert.match(await text(page, "#ages-gap"), /^Each age is counted up to 500,000/);
  assert.match(await page.locator("#ages").getAttribute("aria-label"), /under 5 min 500,000\+, /);
  // The axis fits its longest number.
  await until(async () => (await page.locator("#ages .u-over").evaluate((it) => it.offsetLeft)) >= 60);
  assert.match(await text(page, "#tile-overdue"), /500,000\+\s+at least; waiting 4 min for the sweeper; 1,200 failing, will retry; last sweep 0 s ago$/);
  assert.deepEqual(await page.locator("#sweeper td").allInnerTexts(), ["overdue uploads", "0", "1,200", "0", "0 s ago"]);
  assert.equal(await page.locator("#sweeper [data-bad]").innerText(), "1,200");
  assert.match(await text(page, "#cohort"), /^The latest 50,000 uploads, created since /);
  await page.locator("section", { has: page.locator("#series") }).locator("summary").click();
  const cells = await page.locator("#series-table tbody tr").first().locator("td").allInnerTexts();
  assert.deepEqual(cells.slice(1), ["no data", "no data", "no data", "no data"]);
  await picture({ page }, "ops-gaps");
  await page.unroute("**/v1/ops/overview*");
  await page.locator("#window").selectOption("24h");
  await page.locator("#series-gap").waitFor({ state: "hidden" });
  assert.equal(await page.locator("#ages-gap").isVisible(), false);
}

/** Every table has a caption, and every column a heading. */
async function named({ page }) {
  const tables = await page.locator("#dashboard table:not(.u-legend)").evaluateAll((all) => all.map((it) => [it.caption?.textContent ?? "", ...[...it.tHead.rows[0].cells].map((cell) => (cell.scope === "col" ? cell.textContent : ""))]));
  assert.ok(tables.length >= 7, `${tables.length} tables`);
  assert.deepEqual(tables.filter((words) => words.some((word) => word === "")), []);
}

async function table({ page }) {
  assert.equal((await files(page)).length, 25);
  assert.deepEqual((await files(page)).slice(0, 2), ["absent.jpg", "staged.jpg"]);
  await page.locator("#older").click();
  await until(async () => (await text(page, "#place")) === `26 to ${input.pending}`);
  assert.equal((await files(page)).length, input.pending - 25);
  assert.equal(await page.locator("#older").isDisabled(), true);
  await page.locator("#newer").click();
  await until(async () => (await text(page, "#place")) === "1 to 25");
  await page.locator("[name=status]").selectOption("confirmed");
  await until(async () => (await files(page)).length === 1);
  // Client input is shown as text: the name, the owner, the record.
  assert.deepEqual(await files(page), [`${NASTY}.jpg`]);
  assert.match(await text(page, "#uploads tr"), new RegExp(`user:${NASTY}`));
  await page.locator("[name=owner]").fill("user:nobody");
  await page.keyboard.press("Enter");
  await until(async () => (await text(page, "#uploads")) === "No uploads match these filters.");
  await page.locator("[name=owner]").fill("");
  await page.locator("[name=field]").fill("no field");
  await page.keyboard.press("Enter");
  await page.locator("#list-failure:not([hidden])").waitFor();
  assert.match(await text(page, "#list-failure"), /field/);
  await page.locator("[name=field]").fill("Product.image");
  await page.locator("[name=status]").selectOption("");
  await until(async () => (await files(page)).length === 4);
}

async function actions({ page }) {
  await openPanel(page, input.staged);
  await status(page, "pending");
  assert.deepEqual(await kinds(page), ["created", "presigned"]);
  assert.match(await text(page, "#facts"), new RegExp(`user:${NASTY}`));
  assert.match(await text(page, "#facts"), /Created\s+.+ \(\d+ m?s ago\)\s+Deadline\s+.+ \(in \d+ (h|min)\)/);
  assert.match(await text(page, "#timeline li:first-child time"), / · \d+ m?s ago$/);
  // The keyboard can't reach what is behind the panel.
  for (let press = 0; press < 8; press += 1) {
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement === document.body || document.activeElement.closest("dialog")?.id === "panel"), true);
  }
  await act(page, "Re-check", "#ask-no");
  await status(page, "pending");
  await page.locator("#actions").getByRole("button", { name: "Re-check" }).click();
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#panel").evaluate((it) => it.open), true);
  await act(page, "Re-check", "#ask-yes");
  await status(page, "confirmed");
  assert.equal(await text(page, "#panel-done"), "Status: confirmed.");
  await until(async () => (await kinds(page)).includes("confirmed"));
  await closePanel(page);
  assert.equal(await page.locator("#panel").evaluate((it) => it.open), false);
  // The focus is back where it was, although the table was refreshed.
  await until(async () => (await page.evaluate(() => document.activeElement.dataset.id)) === input.staged);

  await openPanel(page, input.absent);
  await act(page, "Re-check", "#ask-yes");
  await until(async () => (await text(page, "#panel-done")) === "Still pending: no object found in the bucket.");
  await act(page, "Expire", "#ask-yes");
  await status(page, "expired");
  assert.deepEqual(await page.locator("#actions button").allInnerTexts(), ["Replay to shop"]);
  await closePanel(page, () => page.getByRole("button", { name: "Close" }).click());

  await openPanel(page, input.nasty);
  await status(page, "confirmed");
  assert.equal(await text(page, "#panel-title"), `${NASTY}.jpg`);
  assert.match(await text(page, "#timeline"), /now dead/);
  await act(page, "Replay to shop", "#ask-yes");
  await until(async () => (await text(page, "#panel-done")) === "1 delivery queued.");
  await closePanel(page);
}

async function systemActions({ page }) {
  await page.getByRole("button", { name: "Replay dead deliveries to shop" }).click();
  await page.locator("#ask-yes").click();
  await until(async () => /to shop queued\.$/.test(await text(page, "#done")));
  await page.locator("#sweep").click();
  await page.locator("#ask-yes").click();
  await until(async () => (await text(page, "#done")).startsWith("Sweep finished."));
}

/** An action without a response may have been done: the page says so, and refreshes. */
async function lostResponses(view) {
  const { page, complaints } = view;
  await page.evaluate(() => {
    const { timeout } = AbortSignal;
    window.timeouts = [];
    AbortSignal.timeout = (ms) => {
      window.timeouts.push(ms);
      return timeout.call(AbortSignal, ms);
    };
  });
  await page.route("**/v1/ops/sweep", async (route) => {
    await route.fetch();
    await route.abort();
  });
  await page.route(`**/v1/uploads/${input.waiting}/recheck`, (route) => route.abort());
  await page.locator("#sweep").click();
  assert.match(await text(page, "#ask-text"), /^Runs up to ten batches /);
  await picture(view, "ops-sweep-ask", {});
  await page.locator("#ask-yes").click();
  await until(async () => (await text(page, "#done")) === "Outcome unknown: the broker can't be reached");
  await until(() => page.evaluate(() => window.timeouts.includes(15_000)));
  assert.equal(await page.locator("#done").getAttribute("data-tone"), "bad");
  await picture(view, "ops-sweep-lost", {});
  // A sweep starts its last batch after up to 20 s.
  assert.ok((await page.evaluate(() => Math.max(...window.timeouts))) >= 40_000);
  await openPanel(page, input.waiting);
  await act(page, "Re-check", "#ask-yes");
  await until(async () => (await text(page, "#panel-failure")) === "Outcome unknown: the broker can't be reached");
  await page.unroute(`**/v1/uploads/${input.waiting}/recheck`);
  await page.route(`**/v1/uploads/${input.waiting}/recheck`, (route) => route.fulfill({ status: 503, contentType: "application/problem+json", body: '{"code":"store-unavailable","detail":"the bucket gave no clear answer"}' }));
  await act(page, "Re-check", "#ask-yes");
  await until(async () => (await text(page, "#panel-failure")) === "Not done: the bucket gave no clear answer");
  await closePanel(page);
  await page.unroute(`**/v1/uploads/${input.waiting}/recheck`);
  await page.unroute("**/v1/ops/sweep");
  assert.deepEqual(complaints.splice(0).filter((one) => !/ERR_FAILED|status of 503/.test(one)), []);
}

/** Ages are by the broker's clock, not the reader's. */
async function wrongClock(browser) {
  const view = await open(browser, "ops");
  const { page } = view;
  await page.evaluate(() => {
    const { now } = Date;
    Date.now = () => now() + 3 * 86_400_000;
  });
  await signIn(view);
  const rows = await text(page, "#uploads");
  assert.ok(!/overdue|\d d\b/.test(rows), rows);
  await openPanel(page, input.waiting);
  await until(async () => /Created\s+.+ \(\d+ (m?s|min) ago\)\s+Deadline\s+.+ \(in \d+ (h|min)\)/.test(await text(page, "#facts")));
  calm(view);
  await view.close();
}

/** The table and the panel show what is overdue and the last problem. */
async function problems(view) {
  const { page } = view;
  const changed = (upload) => ({ ...upload, last_problem: "the bucket does not answer", expires_at: "2026-01-01T00:00:00.000Z" });
  await page.route("**/v1/uploads?*", async (route) => {
    const response = await route.fetch();
    const found = await response.json();
    await route.fulfill({ response, json: { ...found, data: found.data.map(changed) } });
  });
  await page.route(`**/v1/uploads/${input.waiting}`, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: changed(await response.json()) });
  });
  await page.locator("[name=field]").fill("");
  await page.locator("[name=status]").selectOption("pending");
  const row = page.locator("#uploads tr", { has: page.locator(`[data-id=${input.waiting}]`) });
  await until(async () => (await row.count()) === 1 && /overdue[\s\S]*the bucket does not answer$/.test(await row.innerText()));
  await openPanel(page, input.waiting);
  await until(async () => /Last problem\s+the bucket does not answer[\s\S]*Deadline\s+.+ ago\)/.test(await text(page, "#facts")));
  await closePanel(page);
  await page.unroute("**/v1/uploads?*");
  await page.unroute(`**/v1/uploads/${input.waiting}`);
}

/** After a failed refresh the numbers stay, marked as out of date; an expired token leads back to the sign-in form. */
async function failures(view) {
  const { page, complaints } = view;
  await page.route("**/v1/ops/overview*", (route) => route.fulfill({ status: 503, contentType: "application/problem+json", body: '{"code":"database-unavailable","detail":"the database doesn\'t answer"}' }));
  await page.locator("#window").selectOption("1h");
  await page.locator("#stale:not([hidden])").waitFor();
  assert.match(await text(page, "#stale"), /^Out of date: .* the database doesn't answer$/);
  assert.equal(await page.locator("#tiles").isVisible(), true);
  // It is an alert: a screen reader would read every change aloud.
  const alert = await text(page, "#stale");
  await page.waitForTimeout(1_500);
  assert.equal(await text(page, "#stale"), alert);
  await page.unroute("**/v1/ops/overview*");
  await page.locator("#window").selectOption("6h");
  await page.locator("#stale").waitFor({ state: "hidden" });
  await page.route("**/v1/ops/overview*", (route) => route.fulfill({ status: 401, contentType: "application/problem+json", body: '{"code":"token-invalid","detail":"the token has expired"}' }));
  await page.locator("#window").selectOption("24h");
  await page.locator("#sign-in").waitFor();
  assert.match(await text(page, "#refused"), /the token has expired/);
  assert.equal((await page.locator("#uploads button").count()), 0);
  await page.unroute("**/v1/ops/overview*");
  assert.deepEqual(complaints.splice(0).filter((one) => !/status of (503|401)/.test(one)), []);
  await signIn(view);
  await page.reload();
  await page.locator("#sign-in").waitFor();
  assert.equal(await page.locator("#dashboard").isVisible(), false);
}

/** The page refreshes every ten seconds while it is visible, and not while it is hidden or paused. */
async function refreshes(browser) {
  const view = await open(browser, "ops", { clock: true });
  const { page } = view;
  // From here on the page's time passes only by `tick`.
  await page.clock.pauseAt(Date.now() + 60_000);
  await signIn(view);
  let requests = 0;
  page.on("request", (request) => { requests += request.url().includes("/v1/ops/overview") ? 1 : 0; });
  const tick = async (seconds) => page.clock.runFor(seconds * 1000);
  await tick(9);
  assert.equal(requests, 0);
  await tick(2);
  await until(() => requests === 1);
  const setHidden = (hidden) => page.evaluate((value) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => value });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  await setHidden(true);
  await tick(60);
  assert.equal(requests, 1);
  await setHidden(false);
  await until(() => requests === 2);
  await page.locator("#pause").click();
  await tick(60);
  assert.equal(requests, 2);
  assert.match(await text(page, "#asof"), /paused$/);
  calm(view);
  await view.close();
}

await run(async (browser) => {
  const view = await open(browser, "ops");
  await signsIn(view);
  await numbers(view);
  await gaps(view);
  await named(view);
  await responsesOutOfOrder(view);
  await refreshDuringPress(view);
  await table(view);
  await refreshDuringFilter(view);
  calm(view, { refusals: 1 });
  await actions(view);
  await problems(view);
  await systemActions(view);
  calm(view);
  await lostResponses(view);
  await fits(view);
  await failures(view);
  calm(view);
  await policyBlocks(view);
  await view.close();
  await refreshes(browser);
  await wrongClock(browser);

  for (const look of LOOKS) {
    const seen = await open(browser, "ops", look);
    await picture(seen, `ops-sign-in-${look.width}-${look.colorScheme}`);
    await signIn(seen);
    await fits(seen);
    await picture(seen, `ops-${look.width}-${look.colorScheme}`);
    await openPanel(seen.page, (await seen.page.locator("#uploads button").first().getAttribute("data-id")));
    await status(seen.page, "pending");
    await fits(seen);
    await picture(seen, `ops-panel-${look.width}-${look.colorScheme}`, {});
    await seen.page.locator("#actions button").first().click();
    await picture(seen, `ops-ask-${look.width}-${look.colorScheme}`, {});
    calm(seen);
    await seen.close();
  }
});
