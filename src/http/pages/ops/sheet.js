// One upload: its facts, its timeline, and what an operator can do about it, each asked about first.

import { byId, bytes, el, onClick, say, span } from "../docs/dom.js";
import { api, notDone, now } from "./api.js";
import { released } from "./fresh.js";

const sheet = byId("sheet");
let current = null;
let endpoints = [];
let changed = () => {};
/** How often was read; only what was read last is shown. */
let reads = 0;

/** A question before anything is done; gives whether the answer is yes. Escape means no. */
export function ask(title, text, yes) {
  const dialog = byId("ask");
  byId("ask-title").textContent = title;
  byId("ask-text").textContent = text;
  byId("ask-yes").textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
byId("ask-yes").addEventListener("click", () => byId("ask").close("yes"));
byId("ask-no").addEventListener("click", () => byId("ask").close(""));

const when = (time) => new Date(time).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
/** How long ago something was, or how long it takes until then. */
function ago(time) {
  const seconds = (now() - Date.parse(time)) / 1000;
  return seconds < 0 ? `in ${span(-seconds)}` : `${span(seconds)} ago`;
}
const told = (time) => `${when(time)} (${ago(time)})`;

function facts(upload) {
  const known = [
    ["Status", el("span", { class: "pill", "data-status": upload.status }, upload.status)],
    ["Last problem", upload.last_problem ? el("span", { class: "problem-now" }, upload.last_problem) : null],
    ["Id", el("code", {}, upload.id)], ["Field", upload.field], ["Owner", upload.owner], ["Record", upload.object_id],
    ["Size and type", `${bytes(upload.size)}, ${upload.content_type}`],
    ["Asked for", told(upload.created_at)],
    ["Deadline", upload.status === "pending" ? told(upload.expires_at) : null],
    ["Confirmed", upload.confirmed_at ? `${told(upload.confirmed_at)}, by ${upload.confirmed_by}` : null],
    ["Attached", upload.attached_at ? told(upload.attached_at) : null],
    ["Detached", upload.detached_at ? told(upload.detached_at) : null],
    ["Key", upload.key ? el("code", {}, upload.key) : null],
  ];
  byId("facts").replaceChildren(...known.filter(([, value]) => value).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function timeline(entries) {
  byId("timeline").replaceChildren(...entries.map(({ at, last_at: lastAt, kind, detail, times }) => el("li", { "data-kind": kind },
    el("span", { class: "kind" }, kind), el("time", { datetime: at }, `${when(at)} · ${ago(at)}`), el("span", { class: "detail" }, detail),
    times > 1 ? el("span", { class: "note" }, `${times} times, last ${told(lastAt)}`) : null)));
}

/** What can be done: its title, the question, the word for yes, the request, and what to say of its answer. */
function possible(upload) {
  const settle = (title, question, verb, yes) => ({ title, question, yes, run: async () => {
    const { status } = await api("POST", `v1/uploads/${upload.id}/${verb}`);
    return status === upload.status ? `Still ${status}: the bucket has nothing for it yet.` : `It is ${status} now.`;
  } });
  const pending = upload.status !== "pending" ? [] : [
    settle("Re-check", "The broker looks into the bucket now: what is there and right is confirmed, what is wrong is rejected, and what is missing stays pending.", "recheck", "Look now"),
    settle("Expire", "What has arrived is confirmed or rejected first; if nothing has, the upload is given up before its deadline, and its client has to ask again.", "expire", "Give it up"),
  ];
  const replay = endpoints.map(({ endpoint }) => ({
    title: `Replay to ${endpoint}`, question: `Every event of this upload that ${endpoint} was told of is delivered again, under its old webhook-id.`, yes: "Deliver again",
    run: async () => {
      const { replayed } = await api("POST", "v1/ops/webhooks/replay", { endpoint, upload: upload.id });
      return `${replayed} ${replayed === 1 ? "delivery is" : "deliveries are"} due again.`;
    },
  }));
  return [...pending, ...replay];
}

function actions(upload) {
  byId("actions").replaceChildren(...possible(upload).map(({ title, question, yes, run }) => {
    const button = el("button", { type: "button" }, title);
    onClick(button, async () => {
      if (!(await ask(`${title}: ${upload.filename}`, question, yes))) return;
      say("sheet-failure");
      say("sheet-done");
      let failure = null;
      try {
        say("sheet-done", await run());
      } catch (error) {
        failure = notDone(error);
        say("sheet-failure", failure);
      }
      changed();
      await load(failure);
    });
    return button;
  }));
}

/** Reads the upload that is shown. What failed before is said still if this fails too. */
async function load(before) {
  const id = current;
  reads += 1;
  const mine = reads;
  try {
    const [upload, { data }] = await Promise.all([api("GET", `v1/uploads/${id}`), api("GET", `v1/uploads/${id}/timeline`)]);
    await released();
    if (mine !== reads) return;
    byId("sheet-title").textContent = upload.filename;
    facts(upload);
    timeline(data);
    const lost = byId("actions").contains(document.activeElement);
    actions(upload);
    if (lost) byId("sheet-title").focus();
  } catch (error) {
    if (mine !== reads) return;
    say("sheet-failure", before ? `${before}; how it is now can't be read: ${error.message}` : error.message);
  }
}

/** Opens the panel of this upload. `state` is the overview's webhooks; `onChange` is told when something was done. */
export async function show(id, state, onChange) {
  current = id;
  endpoints = state;
  changed = onChange;
  for (const place of ["facts", "timeline", "actions"]) byId(place).replaceChildren();
  for (const line of ["sheet-done", "sheet-failure"]) say(line);
  byId("sheet-title").textContent = "…";
  sheet.showModal();
  await load();
}

/** Closes whatever is open. */
export function close() {
  for (const dialog of [byId("ask"), sheet]) if (dialog.open) dialog.close("");
}

// The table may have been read anew meanwhile, and the button that opened the panel with it.
sheet.addEventListener("close", () => document.querySelector(`button[data-id="${current}"]`)?.focus());
byId("sheet-close").addEventListener("click", () => sheet.close());
// A click beside the panel closes it.
sheet.addEventListener("click", (event) => { if (event.target === sheet) sheet.close(); });
