// The table of uploads: filtered, and paged with the API's cursors.

import { byId, bytes, el, onClick, span } from "../docs/dom.js";
import { api, now } from "./api.js";
import { inOrder, released } from "./updates.js";

const PAGE_SIZE = 25;

/** The page that is shown: its filters, and the cursors of all pages up to it. The first page has none. */
let place = { filters: [], cursors: [null] };
/** The page that was requested last. It is requested again until it is shown, whatever is typed meanwhile. */
let wanted = null;
let nextCursor = null;
let shown = 0;
const request = inOrder();
let open = () => {};

/** The first page for the form's filters. */
function filtered() {
  const filters = [...new FormData(byId("filters"))].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value !== "");
  return { filters, cursors: [null] };
}

function query({ filters, cursors }) {
  const cursor = cursors.at(-1);
  return new URLSearchParams([...filters, ["limit", PAGE_SIZE], ...(cursor ? [["cursor", cursor]] : [])]);
}

function ageCell(upload) {
  const overdue = upload.status === "pending" && Date.parse(upload.expires_at) < now();
  return el("td", { class: "count", title: upload.created_at }, span(Math.max(0, (now() - Date.parse(upload.created_at)) / 1000)),
    overdue ? el("span", { class: "late", "data-bad": "true" }, "overdue") : null);
}

function row(upload) {
  const button = el("button", { type: "button", class: "link", "data-id": upload.id, onclick: () => open(upload.id) }, upload.filename);
  return el("tr", {},
    el("th", { scope: "row" }, button, el("code", { class: "id" }, upload.id)),
    el("td", {}, el("span", { class: "pill", "data-status": upload.status }, upload.status)),
    ageCell(upload),
    el("td", {}, upload.field), el("td", {}, upload.owner), el("td", { class: "count" }, bytes(upload.size)),
    el("td", { class: "why" }, upload.last_problem ?? ""));
}

/** Reads a page and shows it. An error leaves the rows as they are. */
async function show(page) {
  wanted = page;
  const isInOrder = request();
  const isLate = () => page !== wanted || !isInOrder();
  const failure = byId("list-failure");
  try {
    const found = await api("GET", `v1/uploads?${query(page)}`);
    await released();
    if (isLate()) return;
    place = page;
    nextCursor = found.next_cursor;
    shown = found.data.length;
    const focused = document.activeElement?.dataset?.id;
    const none = el("tr", {}, el("td", { colspan: 7, class: "note" }, "No uploads match these filters."));
    byId("uploads").replaceChildren(...(shown > 0 ? found.data.map(row) : [none]));
    if (focused) document.querySelector(`button[data-id="${focused}"]`)?.focus({ preventScroll: true });
    failure.hidden = true;
  } catch (error) {
    if (isLate()) return;
    if (error.status === 401) throw error;
    failure.textContent = error.message;
    failure.hidden = false;
  }
  const from = (place.cursors.length - 1) * PAGE_SIZE;
  const numbers = shown === 0 ? "" : `${from + 1} to ${from + shown}`;
  // A screen reader reads it aloud on every write.
  if (byId("place").textContent !== numbers) byId("place").textContent = numbers;
  byId("newer").disabled = place.cursors.length === 1;
  byId("older").disabled = nextCursor === null;
}

/** Reads the page that was requested last again. */
export const refresh = () => show(wanted);

/** Shows the first page. `onOpen` is called with the id of an upload that is clicked. */
export function start(onOpen) {
  open = onOpen;
  place = filtered();
  return show(place);
}

/** Empties the table, for sign-out; responses that are still to come are dropped. */
export function clear() {
  wanted = null;
  byId("uploads").replaceChildren();
}

const goTo = (page) => show(page).catch(() => {});
const filter = () => goTo(filtered());
byId("filters").addEventListener("submit", (event) => {
  event.preventDefault();
  filter();
});
for (const select of byId("filters").querySelectorAll("select")) select.addEventListener("change", filter);
onClick(byId("older"), () => goTo({ ...place, cursors: [...place.cursors, nextCursor] }));
onClick(byId("newer"), () => goTo({ ...place, cursors: place.cursors.slice(0, -1) }));
