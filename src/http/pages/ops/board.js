// The overview as tiles, a funnel and tables.

import { byId, bytes, el, number, say, span } from "../docs/dom.js";

/** How old something is at the overview's own time, in seconds: the reader's clock may be wrong. */
export const age = (now, then) => Math.max(0, (Date.parse(now) - Date.parse(then)) / 1000);

const percent = (part, whole) => (whole === 0 ? "–" : `${((part / whole) * 100).toFixed(part === 0 || part === whole ? 0 : 1)}%`);
const seconds = (value) => (value === null ? "–" : value < 10 ? `${number(Math.round(value * 1000))} ms` : span(value));
const sum = (list, name) => list.reduce((total, one) => total + one[name], 0);

/** One number with what it means; `tone` is said in words too, so that nobody has to tell colours apart. */
function tile(id, title, value, detail, tone = "calm") {
  return el("div", { class: "tile", id: `tile-${id}`, "data-tone": tone },
    el("h2", {}, title), el("p", { class: "value" }, value), el("p", { class: "note" }, detail));
}

/** What is to be said of uploads past their deadline. */
function lateness({ pending, sweeper_lag_secs: lag }) {
  if (pending.overdue === 0) return ["nothing is overdue"];
  return [
    pending.overdue_more && "at least",
    lag > 0 && `waiting ${span(lag)} for the sweeper`,
    pending.postponed > 0 && `${number(pending.postponed)} tried in vain, and tried again later`,
  ].filter(Boolean);
}

export function tiles(seen) {
  const { pending, fields, broker, webhooks } = seen;
  const [created, confirmed, expired, rejected] = ["created", "confirmed", "expired", "rejected"].map((name) => sum(fields, name));
  const [dead, waiting] = [sum(webhooks, "dead"), sum(webhooks, "pending")];
  const off = webhooks.filter((one) => one.disabled).map((one) => one.endpoint);
  const oldest = pending.oldest_created_at ? `oldest ${span(age(seen.at, pending.oldest_created_at))}` : "nothing is waiting";
  const swept = seen.sweeper.map((one) => one.last_ended_at).filter(Boolean).sort().at(-1);
  const sweeper = swept ? `swept ${span(age(seen.at, swept))} ago` : "this broker has not swept yet";
  const backlog = webhooks.map((one) => one.oldest_pending_at).filter(Boolean).sort()[0];
  const queue = waiting === 0 ? "none waiting" : `${number(waiting)} waiting, the oldest ${backlog ? `for ${span(age(seen.at, backlog))}` : "just now"}`;
  byId("tiles").replaceChildren(
    tile("pending", "Pending", number(pending.count), `${bytes(pending.bytes)}, ${oldest}`),
    tile("overdue", "Past their deadline", number(pending.overdue) + (pending.overdue_more ? "+" : ""), [...lateness(seen), sweeper].join("; "),
      pending.overdue === 0 ? "calm" : seen.sweeper_lag_secs > 300 ? "bad" : "watch"),
    tile("confirmed", "Confirmed", percent(confirmed, created), `${number(confirmed)} of ${cut(seen) ? "the latest " : ""}${number(created)} asked for`),
    tile("expired", "Expired", percent(expired, created), `${number(expired)} never arrived; ${number(rejected)} rejected`,
      created >= 20 && expired / created > 0.2 ? "watch" : "calm"),
    tile("confirm", "Create to confirm, p99", seconds(broker.confirm.p99_secs),
      broker.confirm.count === 0 ? "nothing confirmed in this time" : `median ${seconds(broker.confirm.p50_secs)}, ${number(broker.confirm.count)} confirmed`),
    tile("webhooks", dead > 0 ? "Webhooks given up" : "Webhooks waiting", webhooks.length === 0 ? "–" : number(dead > 0 ? dead : waiting),
      webhooks.length === 0 ? "no endpoint is configured" : `${off.length > 0 ? `${off.join(", ")} answered 410 and is off; ` : dead > 0 ? "" : "none given up; "}${queue}`,
      dead > 0 || off.length > 0 ? "bad" : "calm"),
  );
}

const STAGES = [["created", "Asked for"], ["confirmed", "Confirmed"], ["attached", "Attached"]];
const LEFT = ["pending", "rejected", "expired", "canceled"];

/** Where the window holds more uploads than are looked at: since when; else `null`. */
const cut = (seen) => (seen.series.created[0] === null ? new Date(seen.since).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" }) : null);

export function funnel(seen) {
  byId("cohort").textContent = cut(seen)
    ? `Of the latest 50,000 that were asked for, since ${cut(seen)}: how far they have come by now.`
    : "Of those that were asked for in this time: how far they have come by now.";
  const rows = seen.fields.map((one) => el("div", { class: "fates" },
    el("h3", {}, one.field),
    ...STAGES.map(([name, title]) => {
      const bar = el("span", { class: "bar", "data-stage": name });
      bar.style.width = `${one.created === 0 ? 0 : (one[name] / one.created) * 100}%`;
      return el("div", { class: "stage" }, el("span", { class: "name" }, title), el("span", { class: "rail", "aria-hidden": "true" }, bar),
        el("span", { class: "figure" }, `${number(one[name])} `, el("span", { class: "note" }, name === "created" ? "" : percent(one[name], one.created))));
    }),
    el("p", { class: "note" }, LEFT.map((name) => `${number(one[name])} ${name}`).join(" · "))));
  byId("funnel").replaceChildren(...(rows.length > 0 ? rows : [el("p", { class: "note" }, "Nothing was asked for in this time.")]));
  byId("fields").replaceChildren(...seen.fields.map((one) => el("option", { value: one.field })));
}

function rows(id, list, cells, nothing) {
  const width = byId(id).closest("table").querySelectorAll("thead th, thead td").length;
  const none = el("tr", {}, el("td", { colspan: width, class: "note" }, nothing));
  byId(id).replaceChildren(...(list.length > 0 ? list.map((one) => el("tr", {}, ...cells(one))) : [none]));
}

const text = (value) => el("td", {}, value);
const count = (value, isBad = false) => el("td", { class: "count", "data-bad": isBad && value > 0 ? "true" : null }, number(value));

/** Answers that mean no trouble: done, and nothing there yet. */
const EXPECTED = ["ok", "NoSuchKey"];

/** The tables of counts; `replay` is what the button of an endpoint with dead deliveries does. */
export function tables(seen, replay) {
  const { rejected, looked_at: looked, reasons } = seen.rejections;
  const partial = [cut(seen) && `Of uploads asked for since ${cut(seen)}.`, looked < rejected && `The reasons of the latest ${number(looked)} of ${number(rejected)}.`];
  say("rejections-note", partial.filter(Boolean).join(" "));
  rows("rejections", reasons, (one) => [text(one.reason), count(one.count)], "Nothing was rejected.");
  const calls = [...seen.broker.store].sort((a, b) => EXPECTED.includes(a.code) - EXPECTED.includes(b.code) || b.count - a.count);
  rows("store", calls, (one) => [text(one.operation), el("td", { "data-bad": EXPECTED.includes(one.code) ? null : "true" }, one.code), count(one.count)], "No call by this broker yet.");
  rows("sweeper", seen.sweeper, (one) => [
    text(one.kind), count(one.done), count(one.postponed, true), count(one.failed, true),
    el("td", { class: "count", title: one.last_ended_at }, one.last_ended_at ? `${span(age(seen.at, one.last_ended_at))} ago` : "never"),
  ], "It has not run in this broker.");
  // A button that has the focus must not be replaced under the reader's hands.
  if (byId("webhooks").contains(document.activeElement)) return;
  rows("webhooks", seen.webhooks, (one) => {
    const again = one.dead > 0 || one.disabled;
    const button = el("button", { type: "button", class: "small", onclick: () => replay(one), "aria-label": `Replay what ${one.endpoint} did not take` }, "Replay");
    const waits = one.oldest_pending_at ? el("span", { class: "note" }, `oldest ${span(age(seen.at, one.oldest_pending_at))}`) : null;
    const name = el("td", {}, one.endpoint, one.disabled ? el("span", { class: "late", "data-bad": "true" }, "off: it answered 410") : null);
    return [name, el("td", { class: "count" }, number(one.pending), " ", waits), count(one.dead, true), el("td", {}, again ? button : null)];
  }, "No endpoint is configured.");
}
