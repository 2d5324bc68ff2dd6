// The panel of one upload: its facts, its timeline and its manual actions, and the dialog that confirms every action.

import { byId, bytes, el, onClick, say, span } from "../docs/dom.js";
import { actionFailed, api, now } from "./api.js";
import { released } from "./updates.js";

const panel = byId("panel");
let current = null;
let endpoints = [];
let changed = () => {};
/** Counts reads; only the latest one is shown. */
let reads = 0;

/** Opens the dialog; returns whether it was confirmed. Escape cancels. */
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

const date = (time) => new Date(time).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
/** `5 min ago`, or `in 5 min`. */
function relative(time) {
  const seconds = (now() - Date.parse(time)) / 1000;
  return seconds < 0 ? `in ${span(-seconds)}` : `${span(seconds)} ago`;
}
const both = (time) => `${date(time)} (${relative(time)})`;

function facts(upload) {
  const known = [
    ["Status", el("span", { class: "pill", "data-status": upload.status }, upload.status)],
    ["Last problem", upload.last_problem ? el("span", { class: "problem-now" }, upload.last_problem) : null],
    ["Id", el("code", {}, upload.id)], ["Field", upload.field], ["Owner", upload.owner], ["Record", upload.object_id],
    ["Size and type", `${bytes(upload.size)}, ${upload.content_type}`],
    ["Created", both(upload.created_at)],
    ["Deadline", upload.status === "pending" ? both(upload.expires_at) : null],
    ["Confirmed", upload.confirmed_at ? `${both(upload.confirmed_at)}, by ${upload.confirmed_by}` : null],
    ["Attached", upload.attached_at ? both(upload.attached_at) : null],
    ["Detached", upload.detached_at ? both(upload.detached_at) : null],
    ["Key", upload.key ? el("code", {}, upload.key) : null],
  ];
  byId("facts").replaceChildren(...known.filter(([, value]) => value).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function timeline(entries) {
  byId("timeline").replaceChildren(...entries.map(({ at, last_at: lastAt, kind, detail, times }) => el("li", { "data-kind": kind },
    el("span", { class: "kind" }, kind), el("time", { datetime: at }, `${date(at)} · ${relative(at)}`), el("span", { class: "detail" }, detail),
    times > 1 ? el("span", { class: "note" }, `${times} times, last ${both(lastAt)}`) : null)));
}

/** The upload's manual actions: title, question, label of the button that confirms, request and message. */
function manualActions(upload) {
  const settle = (title, question, verb) => ({ title, question, yes: title, run: async () => {
    const { status } = await api("POST", `v1/uploads/${upload.id}/${verb}`);
    return status === upload.status ? `Still ${status}: no object found in the bucket.` : `Status: ${status}.`;
  } });
  const pending = upload.status !== "pending" ? [] : [
    settle("Re-check", "The broker checks the bucket now. An object as declared is confirmed, any other is rejected; without an object, the upload stays pending.", "recheck"),
    settle("Expire", "The broker checks the bucket first: an object is confirmed or rejected. Without one the upload expires before its deadline, and its client has to create another.", "expire"),
  ];
  const replay = endpoints.map(({ endpoint }) => ({
    title: `Replay to ${endpoint}`, question: `Every event of this upload that was sent to ${endpoint} is delivered again, with the same webhook-id.`, yes: "Replay",
    run: async () => {
      const { replayed } = await api("POST", "v1/ops/webhooks/replay", { endpoint, upload: upload.id });
      return `${replayed} ${replayed === 1 ? "delivery" : "deliveries"} queued.`;
    },
  }));
  return [...pending, ...replay];
}

function actions(upload) {
  byId("actions").replaceChildren(...manualActions(upload).map(({ title, question, yes, run }) => {
    const button = el("button", { type: "button" }, title);
    onClick(button, async () => {
      if (!(await ask(`${title}: ${upload.filename}`, question, yes))) return;
      say("panel-failure");
      say("panel-done");
      let failure = null;
      try {
        say("panel-done", await run());
      } catch (error) {
        failure = actionFailed(error);
        say("panel-failure", failure);
      }
      changed();
      await load(failure);
    });
    return button;
  }));
}

/** Reads the upload again. If that fails too, the `failure` of an action before stays in the message. */
async function load(failure) {
  const id = current;
  reads += 1;
  const read = reads;
  try {
    const [upload, { data }] = await Promise.all([api("GET", `v1/uploads/${id}`), api("GET", `v1/uploads/${id}/timeline`)]);
    await released();
    if (read !== reads) return;
    byId("panel-title").textContent = upload.filename;
    facts(upload);
    timeline(data);
    const losesFocus = byId("actions").contains(document.activeElement);
    actions(upload);
    if (losesFocus) byId("panel-title").focus();
  } catch (error) {
    if (read !== reads) return;
    say("panel-failure", failure ? `${failure}; the upload can't be read: ${error.message}` : error.message);
  }
}

/** Opens the panel of this upload. `webhooks` is the overview's; `onChange` is called after every action. */
export async function show(id, webhooks, onChange) {
  current = id;
  endpoints = webhooks;
  changed = onChange;
  for (const place of ["facts", "timeline", "actions"]) byId(place).replaceChildren();
  for (const line of ["panel-done", "panel-failure"]) say(line);
  byId("panel-title").textContent = "…";
  panel.showModal();
  await load();
}

/** Closes the panel and the dialog. */
export function close() {
  for (const dialog of [byId("ask"), panel]) if (dialog.open) dialog.close("");
}

// The table may have been replaced meanwhile, and the button that opened the panel with it.
panel.addEventListener("close", () => document.querySelector(`button[data-id="${current}"]`)?.focus());
byId("panel-close").addEventListener("click", () => panel.close());
// A click beside the panel closes it.
panel.addEventListener("click", (event) => { if (event.target === panel) panel.close(); });
