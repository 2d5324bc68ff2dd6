// The dashboard: asks for a token, then for the overview every few seconds while somebody looks, and says when what is shown is old.

import { byId, onClick, say } from "../docs/dom.js";
import { api, notDone, setTime, setToken } from "./api.js";
import { funnel, tables, tiles } from "./board.js";
import { inOrder, released } from "./fresh.js";
import * as list from "./list.js";
import { plots } from "./plots.js";
import * as sheet from "./sheet.js";

const EVERY_MS = 10_000;
/** After so long without an answer, in milliseconds, what is shown is called old. */
const STALE_MS = 25_000;

let last = null;
let failed = null;
let seen = null;
let timer = null;
let paused = false;
/** Whose answers count: forgetting the token makes those under way worthless. */
let visit = 0;
const question = inOrder();

function asOf() {
  const old = last === null ? 0 : performance.now() - last;
  const stale = failed !== null || (old > STALE_MS && !paused);
  byId("board").dataset.stale = stale;
  const at = seen ? new Date(seen.at).toLocaleTimeString("en-GB") : "…";
  byId("asof").textContent = paused ? `as of ${at}, paused` : `as of ${at}, every ${EVERY_MS / 1000} s`;
  // No seconds that tick: it is an alert, and would be read aloud each time that it changes.
  say("stale", stale ? `Not up to date: this is as of ${at}.${failed ? ` ${failed}` : ""}` : null);
}

function paint(overview) {
  seen = overview;
  setTime(seen.at);
  last = performance.now();
  failed = null;
  tiles(seen);
  funnel(seen);
  tables(seen, replay);
  plots(seen);
}

/** Asks and paints; what fails is said, and what is shown stays. */
async function refresh() {
  const [mine, window] = [visit, byId("window").value];
  const isInOrder = question();
  const isLate = () => mine !== visit || window !== byId("window").value || !isInOrder();
  try {
    const overview = await api("GET", `v1/ops/overview?window=${window}`);
    await released();
    if (isLate()) return;
    paint(overview);
    await list.refresh();
  } catch (error) {
    if (isLate()) return;
    if (error.status === 401) return leave(`The token is not taken any more: ${error.message}`);
    failed = error.message;
  }
  asOf();
}

/** One round after the other, never two at once, and none while nobody looks. */
function schedule() {
  clearTimeout(timer);
  if (paused || document.hidden || byId("board").hidden) return;
  timer = setTimeout(async () => {
    await refresh();
    schedule();
  }, EVERY_MS);
}

async function now() {
  await refresh();
  schedule();
}

async function replay({ endpoint, dead, disabled }) {
  const text = disabled
    ? `${endpoint} answered 410 Gone and is not called any more. It is called again, and what was given up is delivered once more.`
    : `${dead} given up: they are delivered once more, under their old webhook-ids.`;
  if (!(await sheet.ask(`Replay to ${endpoint}`, text, "Deliver again"))) return;
  await told(async () => {
    const { replayed } = await api("POST", "v1/ops/webhooks/replay", { endpoint, dead: true, enable: disabled });
    return `${replayed} ${replayed === 1 ? "delivery" : "deliveries"} to ${endpoint} due again.`;
  });
}

async function sweep() {
  const text = "Up to ten batches of a hundred of each kind of the sweeper's work, and none that would begin after 20 seconds: uploads past their deadline are settled, and what is old enough is removed from the bucket.";
  if (!(await sheet.ask("Sweep now", text, "Sweep"))) return;
  await told(async () => {
    const { data } = await api("POST", "v1/ops/sweep");
    const words = data.map(({ kind, counts, more, error }) => {
      const done = Object.entries(counts).map(([name, count]) => `${count} ${name.replaceAll("_", " ")}`).join(", ");
      return error ? `${kind}: ${error}` : done && `${kind}: ${done}${more ? ", and there is more" : ""}`;
    }).filter(Boolean);
    return words.length > 0 ? `Swept. ${words.join("; ")}.` : "Swept. There was nothing to do.";
  });
}

/** Does it, says what came of it, and looks again. */
async function told(work) {
  const tell = (words, tone) => {
    byId("done").dataset.tone = tone;
    say("done", words);
  };
  tell("Under way …", "calm");
  try {
    tell(await work(), "good");
  } catch (error) {
    tell(notDone(error), "bad");
  }
  await now();
}

async function enter(token) {
  visit += 1;
  const mine = visit;
  setToken(token);
  say("refused");
  try {
    const overview = await api("GET", `v1/ops/overview?window=${byId("window").value}`);
    if (mine !== visit) return;
    byId("door").hidden = true;
    byId("token").value = "";
    byId("board").hidden = false;
    paint(overview);
    await list.start((id) => sheet.show(id, seen.webhooks, now));
    asOf();
    schedule();
  } catch (error) {
    if (mine === visit) leave(error.message);
  }
}

/** Back to the door, with the token and all that it brought forgotten. */
function leave(why) {
  visit += 1;
  setToken(null);
  clearTimeout(timer);
  sheet.close();
  list.clear();
  say("done");
  [seen, last, failed] = [null, null, null];
  byId("board").hidden = true;
  byId("door").hidden = false;
  say("refused", why);
  byId("token").focus();
}

byId("door").addEventListener("submit", (event) => {
  event.preventDefault();
  enter(byId("token").value.trim());
});
byId("window").addEventListener("change", now);
onClick(byId("sweep"), sweep);
byId("leave").addEventListener("click", () => leave(null));
byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", paused);
  byId("pause").textContent = paused ? "Go on" : "Pause";
  if (paused) {
    asOf();
    schedule();
  } else {
    now();
  }
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !paused && !byId("board").hidden) now();
  else schedule();
});
setInterval(() => { if (!byId("board").hidden) asOf(); }, 1000);
document.body.dataset.ready = "true";
byId("token").focus();
