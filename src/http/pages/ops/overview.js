// The overview as tiles, a funnel and tables.

import { byId, bytes, el, number, say, span } from "../docs/dom.js";

/** An age in seconds at the overview's own time: the reader's clock may be wrong. */
const age = (now, then) => Math.max(0, (Date.parse(now) - Date.parse(then)) / 1000);

const percent = (part, whole) => (whole === 0 ? "–" : `${((part / whole) * 100).toFixed(part === 0 || part === whole ? 0 : 1)}%`);
const seconds = (value) => (value === null ? "–" : value >= 1 && value < 10 ? `${value.toFixed(1)} s` : span(value));
const sum = (list, name) => list.reduce((total, one) => total + one[name], 0);

/** The sweeper's tasks in words; the API's `kind` is the key. */
const TASKS = {
  pending: "overdue uploads",
  attempts: "abandoned copies",
  unattached: "unclaimed uploads",
  owed: "objects to delete",
  staging: "stale staging objects",
  multipart: "stale multipart uploads",
};

/** A sweeper task in words. */
export const taskName = (kind) => TASKS[kind] ?? kind;

/** One number with its meaning. The note says what `tone` shows as a colour. */
function tile(id, title, value, note, tone = "calm") {
  return el("div", { class: "tile", id: `tile-${id}`, "data-tone": tone },
    el("h2", {}, title), el("p", { class: "value" }, value), el("p", { class: "note" }, note));
}

function overdueNotes({ pending, sweeper_lag_secs: lag }) {
  if (pending.overdue === 0) return ["no overdue uploads"];
  return [
    pending.overdue_more && "at least",
    lag > 0 && `waiting ${span(lag)} for the sweeper`,
    pending.postponed > 0 && `${number(pending.postponed)} failing, will retry`,
  ].filter(Boolean);
}

function webhooksTile(overview) {
  const { webhooks, at } = overview;
  const [dead, pending] = [sum(webhooks, "dead"), sum(webhooks, "pending")];
  const title = dead > 0 ? "Dead deliveries" : "Pending deliveries";
  if (webhooks.length === 0) return tile("webhooks", title, "–", "no endpoint configured");
  const disabled = webhooks.filter((one) => one.disabled).map((one) => one.endpoint);
  const oldest = webhooks.map((one) => one.oldest_pending_at).filter(Boolean).sort()[0];
  const notes = [
    disabled.length > 0 && `${disabled.join(", ")} disabled: 410 Gone`,
    dead === 0 && "no dead deliveries",
    pending === 0 ? "none pending" : `${number(pending)} pending${oldest ? `, oldest ${span(age(at, oldest))}` : ""}`,
  ].filter(Boolean);
  return tile("webhooks", title, number(dead > 0 ? dead : pending), notes.join("; "), dead > 0 || disabled.length > 0 ? "bad" : "calm");
}

/** Shows the tiles. */
export function tiles(overview) {
  const { pending, fields, broker } = overview;
  const [created, confirmed, expired, rejected] = ["created", "confirmed", "expired", "rejected"].map((name) => sum(fields, name));
  const oldest = pending.oldest_created_at ? `oldest ${span(age(overview.at, pending.oldest_created_at))}` : "none waiting";
  const swept = overview.sweeper.map((one) => one.last_ended_at).filter(Boolean).sort().at(-1);
  const sweeper = swept ? `last sweep ${span(age(overview.at, swept))} ago` : "no sweep by this broker yet";
  const { count, p50_secs: p50, p99_secs: p99 } = broker.confirm;
  byId("tiles").replaceChildren(
    tile("pending", "Pending", number(pending.count), `${bytes(pending.bytes)}, ${oldest}`),
    tile("overdue", "Overdue", number(pending.overdue) + (pending.overdue_more ? "+" : ""), [...overdueNotes(overview), sweeper].join("; "),
      pending.overdue === 0 ? "calm" : overview.sweeper_lag_secs > 300 ? "bad" : "watch"),
    tile("confirmed", "Confirmed", percent(confirmed, created), `${number(confirmed)} of ${cutAt(overview) ? "the latest " : ""}${number(created)} created`),
    tile("expired", "Expired", percent(expired, created), `${number(expired)} expired; ${number(rejected)} rejected`,
      created >= 20 && expired / created > 0.2 ? "watch" : "calm"),
    tile("confirm", "Confirm time, p99", seconds(p99), count === 0 ? "no confirms" : `from create to confirm; median ${seconds(p50)}, ${number(count)} confirms`),
    webhooksTile(overview),
  );
}

const STAGES = [["created", "Created"], ["confirmed", "Confirmed"], ["attached", "Attached"]];
const OTHER_STATUSES = ["pending", "rejected", "expired", "canceled"];

/** Since when uploads were read, where the time range holds more than the overview reads; else `null`. */
const cutAt = (overview) => (overview.series.created[0] === null ? new Date(overview.since).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" }) : null);

/** Shows how many uploads of each field reached which status. */
export function funnel(overview) {
  byId("cohort").textContent = cutAt(overview)
    ? `The latest 50,000 uploads, created since ${cutAt(overview)}, and the status they reached.`
    : "Uploads created in this time range, and the status they reached.";
  const rows = overview.fields.map((one) => el("div", { class: "fates" },
    el("h3", {}, one.field),
    ...STAGES.map(([name, title]) => {
      const bar = el("span", { class: "bar", "data-stage": name });
      bar.style.width = `${one.created === 0 ? 0 : (one[name] / one.created) * 100}%`;
      return el("div", { class: "stage" }, el("span", { class: "name" }, title), el("span", { class: "rail", "aria-hidden": "true" }, bar),
        el("span", { class: "figure" }, `${number(one[name])} `, el("span", { class: "note" }, name === "created" ? "" : percent(one[name], one.created))));
    }),
    el("p", { class: "note" }, OTHER_STATUSES.map((name) => `${number(one[name])} ${name}`).join(" · "))));
  byId("funnel").replaceChildren(...(rows.length > 0 ? rows : [el("p", { class: "note" }, "No uploads were created in this time range.")]));
  byId("fields").replaceChildren(...overview.fields.map((one) => el("option", { value: one.field })));
}

function rows(id, list, cells, empty) {
  const width = byId(id).closest("table").querySelectorAll("thead th, thead td").length;
  const none = el("tr", {}, el("td", { colspan: width, class: "note" }, empty));
  byId(id).replaceChildren(...(list.length > 0 ? list.map((one) => el("tr", {}, ...cells(one))) : [none]));
}

const text = (value) => el("td", {}, value);
const count = (value, isBad = false) => el("td", { class: "count", "data-bad": isBad && value > 0 ? "true" : null }, number(value));

/** S3 codes that are no errors: done, and not uploaded yet. */
const EXPECTED_CODES = ["ok", "NoSuchKey"];

/** Shows the tables of counts; `replay` is called with an endpoint whose button is pressed. */
export function tables(overview, replay) {
  const { rejected, looked_at: read, reasons } = overview.rejections;
  const partial = [cutAt(overview) && `Uploads created since ${cutAt(overview)}.`, read < rejected && `Reasons of the latest ${number(read)} of ${number(rejected)}.`];
  say("rejections-note", partial.filter(Boolean).join(" "));
  rows("rejections", reasons, (one) => [text(one.reason), count(one.count)], "No rejections.");
  const calls = [...overview.broker.store].sort((a, b) => EXPECTED_CODES.includes(a.code) - EXPECTED_CODES.includes(b.code) || b.count - a.count);
  rows("store", calls, (one) => [text(one.operation), el("td", { "data-bad": EXPECTED_CODES.includes(one.code) ? null : "true" }, one.code), count(one.count)], "No S3 calls by this broker yet.");
  rows("sweeper", overview.sweeper, (one) => [
    text(taskName(one.kind)), count(one.done), count(one.postponed, true), count(one.failed, true),
    el("td", { class: "count", title: one.last_ended_at }, one.last_ended_at ? `${span(age(overview.at, one.last_ended_at))} ago` : "never"),
  ], "No sweep by this broker yet.");
  // A button that has the focus must not be replaced.
  if (byId("webhooks").contains(document.activeElement)) return;
  rows("webhooks", overview.webhooks, (one) => {
    const button = el("button", { type: "button", class: "small", onclick: () => replay(one), "aria-label": `Replay dead deliveries to ${one.endpoint}` }, "Replay");
    const oldest = one.oldest_pending_at ? el("span", { class: "note" }, `oldest ${span(age(overview.at, one.oldest_pending_at))}`) : null;
    const name = el("td", {}, one.endpoint, one.disabled ? el("span", { class: "late", "data-bad": "true" }, "disabled: 410 Gone") : null);
    return [name, el("td", { class: "count" }, number(one.pending), " ", oldest), count(one.dead, true), el("td", {}, one.dead > 0 || one.disabled ? button : null)];
  }, "No endpoint is configured.");
}
