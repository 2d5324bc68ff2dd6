// The table of uploads: filtered, and read page by page with the API's cursor.

import { byId, bytes, el, onClick, span } from "../docs/dom.js";
import { api, now } from "./api.js";
import { inOrder, released } from "./fresh.js";

const PAGE = 25;

/** What is shown: the filters, and the cursors that led here, the first page's first; it has none. */
let place = { filters: [], cursors: [null] };
/** What was asked for last. It is asked again until it is shown, whatever is being typed meanwhile. */
let wanted = null;
let next = null;
let shown = 0;
const question = inOrder();
let open = () => {};

/** The first page of what the form says now. */
function filtered() {
  const filters = [...new FormData(byId("filters"))].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value !== "");
  return { filters, cursors: [null] };
}

function query({ filters, cursors }) {
  const cursor = cursors.at(-1);
  return new URLSearchParams([...filters, ["limit", PAGE], ...(cursor ? [["cursor", cursor]] : [])]);
}

/** How old an upload is, and whether it should have ended by now. */
function ageOf(upload) {
  const overdue = upload.status === "pending" && Date.parse(upload.expires_at) < now();
  return el("td", { class: "count", title: upload.created_at }, span(Math.max(0, (now() - Date.parse(upload.created_at)) / 1000)),
    overdue ? el("span", { class: "late", "data-bad": "true" }, "overdue") : null);
}

function row(upload) {
  const button = el("button", { type: "button", class: "link", "data-id": upload.id, onclick: () => open(upload.id) }, upload.filename);
  return el("tr", {},
    el("th", { scope: "row" }, button, el("code", { class: "id" }, upload.id)),
    el("td", {}, el("span", { class: "pill", "data-status": upload.status }, upload.status)),
    ageOf(upload),
    el("td", {}, upload.field), el("td", {}, upload.owner), el("td", { class: "count" }, bytes(upload.size)),
    el("td", { class: "why" }, upload.last_problem ?? ""));
}

/** Goes to a place of the table. An answer that fails leaves what is shown. */
async function show(where) {
  wanted = where;
  const isInOrder = question();
  const isLate = () => where !== wanted || !isInOrder();
  const failure = byId("list-failure");
  try {
    const page = await api("GET", `v1/uploads?${query(where)}`);
    await released();
    if (isLate()) return;
    place = where;
    next = page.next_cursor;
    shown = page.data.length;
    const focused = document.activeElement?.dataset?.id;
    const none = el("tr", {}, el("td", { colspan: 7, class: "note" }, "No upload is like that."));
    byId("uploads").replaceChildren(...(shown > 0 ? page.data.map(row) : [none]));
    if (focused) document.querySelector(`button[data-id="${focused}"]`)?.focus({ preventScroll: true });
    failure.hidden = true;
  } catch (error) {
    if (isLate()) return;
    if (error.status === 401) throw error;
    failure.textContent = error.message;
    failure.hidden = false;
  }
  const from = (place.cursors.length - 1) * PAGE;
  const numbers = shown === 0 ? "" : `${from + 1} to ${from + shown}`;
  // It is read aloud when it changes, and only then.
  if (byId("place").textContent !== numbers) byId("place").textContent = numbers;
  byId("newer").disabled = place.cursors.length === 1;
  byId("older").disabled = next === null;
}

/** What was asked for last, as it is now. */
export const refresh = () => show(wanted);

/** From the first page on. `onOpen` is told the id of an upload that a person wants to look at. */
export function start(onOpen) {
  open = onOpen;
  place = filtered();
  return show(place);
}

/** Nothing, as before a token was given; what is still asked comes too late. */
export function clear() {
  wanted = null;
  byId("uploads").replaceChildren();
}

const goTo = (where) => show(where).catch(() => {});
const filter = () => goTo(filtered());
byId("filters").addEventListener("submit", (event) => {
  event.preventDefault();
  filter();
});
for (const select of byId("filters").querySelectorAll("select")) select.addEventListener("change", filter);
onClick(byId("older"), () => goTo({ ...place, cursors: [...place.cursors, next] }));
onClick(byId("newer"), () => goTo({ ...place, cursors: place.cursors.slice(0, -1) }));
