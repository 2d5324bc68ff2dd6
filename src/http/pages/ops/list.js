// The table of uploads: filtered, and read page by page with the API's cursor.

import { byId, bytes, el, onClick, span } from "../docs/dom.js";
import { api, now } from "./api.js";

const PAGE = 25;

/** The cursors that led here, the first page's first; it has none. */
let cursors = [null];
let next = null;
let shown = 0;
/** Which question is the latest: an answer to an earlier one comes too late. */
let asked = 0;
let open = () => {};

function query(cursor) {
  const filters = new FormData(byId("filters"));
  const given = [...filters].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value !== "");
  return new URLSearchParams([...given, ["limit", PAGE], ...(cursor ? [["cursor", cursor]] : [])]);
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

/** Shows the page that these cursors lead to. An answer that fails leaves what is shown. */
async function show(wanted) {
  asked += 1;
  const mine = asked;
  const failure = byId("list-failure");
  try {
    const page = await api("GET", `v1/uploads?${query(wanted.at(-1))}`);
    if (mine !== asked) return;
    cursors = wanted;
    next = page.next_cursor;
    shown = page.data.length;
    const focused = document.activeElement?.dataset?.id;
    const none = el("tr", {}, el("td", { colspan: 7, class: "note" }, "No upload is like that."));
    byId("uploads").replaceChildren(...(shown > 0 ? page.data.map(row) : [none]));
    if (focused) document.querySelector(`button[data-id="${focused}"]`)?.focus({ preventScroll: true });
    failure.hidden = true;
  } catch (error) {
    if (mine !== asked) return;
    if (error.status === 401) throw error;
    failure.textContent = error.message;
    failure.hidden = false;
  }
  const from = (cursors.length - 1) * PAGE;
  const place = shown === 0 ? "" : `${from + 1} to ${from + shown}`;
  // It is read aloud when it changes, and only then.
  if (byId("place").textContent !== place) byId("place").textContent = place;
  byId("newer").disabled = cursors.length === 1;
  byId("older").disabled = next === null;
}

/** The page that is shown, as it is now. */
export const refresh = () => show(cursors);

/** From the first page on. `onOpen` is told the id of an upload that a person wants to look at. */
export function start(onOpen) {
  open = onOpen;
  cursors = [null];
  return refresh();
}

/** Nothing, as before a token was given. */
export function clear() {
  asked += 1;
  byId("uploads").replaceChildren();
}

const filter = () => show([null]).catch(() => {});
byId("filters").addEventListener("submit", (event) => {
  event.preventDefault();
  filter();
});
for (const select of byId("filters").querySelectorAll("select")) select.addEventListener("change", filter);
onClick(byId("older"), () => show([...cursors, next]).catch(() => {}));
onClick(byId("newer"), () => show(cursors.slice(0, -1)).catch(() => {}));
