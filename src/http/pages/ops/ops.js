// The dashboard: sign-in, the periodic refresh of the overview, and a notice when what is shown is out of date.

import { byId, onClick, say } from "../docs/dom.js";
import { actionFailed, api, setTime, setToken } from "./api.js";
import { charts } from "./charts.js";
import { funnel, tables, taskName, tiles } from "./overview.js";
import { inOrder, released } from "./updates.js";
import * as panel from "./upload_panel.js";
import * as table from "./uploads_table.js";

const REFRESH_MS = 10_000;
/** Without a response for this long, in milliseconds, the overview counts as out of date. */
const STALE_MS = 25_000;

let overview = null;
/** When it came, on this page's clock. */
let received = null;
let failure = null;
let timer = null;
let paused = false;
/** Counts sign-ins and sign-outs: a response from before one is dropped. */
let session = 0;
const request = inOrder();

function asOf() {
  const silence = received === null ? 0 : performance.now() - received;
  const stale = failure !== null || (silence > STALE_MS && !paused);
  byId("dashboard").dataset.stale = stale;
  const at = overview ? new Date(overview.at).toLocaleTimeString("en-GB") : "…";
  byId("asof").textContent = paused ? `as of ${at}, paused` : `as of ${at}, updates every ${REFRESH_MS / 1000} s`;
  // No counter of seconds: it is an alert, and a screen reader reads it aloud on every change.
  say("stale", stale ? `Out of date: as of ${at}.${failure ? ` ${failure}` : ""}` : null);
}

function paint(seen) {
  overview = seen;
  setTime(overview.at);
  received = performance.now();
  failure = null;
  tiles(overview);
  funnel(overview);
  tables(overview, replay);
  charts(overview);
}

/** Reads the overview and the table again. An error is shown, and the numbers stay. */
async function refresh() {
  const [started, window] = [session, byId("window").value];
  const isInOrder = request();
  const isLate = () => started !== session || window !== byId("window").value || !isInOrder();
  try {
    const seen = await api("GET", `v1/ops/overview?window=${window}`);
    await released();
    if (isLate()) return;
    paint(seen);
    await table.refresh();
  } catch (error) {
    if (isLate()) return;
    if (error.status === 401) return signOut(`Signed out: ${error.message}`);
    failure = error.message;
  }
  asOf();
}

/** Schedules the next refresh, one at a time, and none while the page is hidden or paused. */
function schedule() {
  clearTimeout(timer);
  if (paused || document.hidden || byId("dashboard").hidden) return;
  timer = setTimeout(refreshNow, REFRESH_MS);
}

async function refreshNow() {
  await refresh();
  schedule();
}

const deliveries = (count) => `${count} ${count === 1 ? "delivery" : "deliveries"}`;

async function replay({ endpoint, dead, disabled }) {
  const text = disabled
    ? `${endpoint} is disabled: it answered 410 Gone. It is enabled again, and its dead deliveries are sent again.`
    : `${dead} dead ${dead === 1 ? "delivery is" : "deliveries are"} sent again, with the same webhook-id.`;
  if (!(await panel.ask(`Replay to ${endpoint}`, text, "Replay"))) return;
  await act(async () => {
    const { replayed } = await api("POST", "v1/ops/webhooks/replay", { endpoint, dead: true, enable: disabled });
    return `${deliveries(replayed)} to ${endpoint} queued.`;
  });
}

async function sweep() {
  const text = "Runs up to ten batches of 100 of each sweeper task; no batch starts after 20 seconds. Overdue uploads are settled, and objects that are due are removed from the bucket.";
  if (!(await panel.ask("Sweep now", text, "Sweep"))) return;
  await act(async () => {
    const { data } = await api("POST", "v1/ops/sweep");
    const results = data.map(({ kind, counts, more, error }) => {
      const done = Object.entries(counts).map(([name, count]) => `${count} ${name.replaceAll("_", " ")}`).join(", ");
      return error ? `${taskName(kind)}: ${error}` : done && `${taskName(kind)}: ${done}${more ? ", more left" : ""}`;
    }).filter(Boolean);
    return results.length > 0 ? `Sweep finished. ${results.join("; ")}.` : "Sweep finished. There was nothing to do.";
  });
}

/** Runs an action, shows its result and refreshes. */
async function act(run) {
  const show = (text, tone) => {
    byId("done").dataset.tone = tone;
    say("done", text);
  };
  show("In progress …", "calm");
  try {
    show(await run(), "good");
  } catch (error) {
    show(actionFailed(error), "bad");
  }
  await refreshNow();
}

async function signIn(token) {
  session += 1;
  const started = session;
  setToken(token);
  say("refused");
  try {
    const seen = await api("GET", `v1/ops/overview?window=${byId("window").value}`);
    if (started !== session) return;
    byId("sign-in").hidden = true;
    byId("token").value = "";
    byId("dashboard").hidden = false;
    paint(seen);
    await table.start((id) => panel.show(id, overview.webhooks, refreshNow));
    asOf();
    schedule();
  } catch (error) {
    if (started === session) signOut(error.message);
  }
}

/** Back to the sign-in form; the token and everything read with it are dropped. */
function signOut(why) {
  session += 1;
  setToken(null);
  clearTimeout(timer);
  panel.close();
  table.clear();
  say("done");
  [overview, received, failure] = [null, null, null];
  byId("dashboard").hidden = true;
  byId("sign-in").hidden = false;
  say("refused", why);
  byId("token").focus();
}

byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(byId("token").value.trim());
});
byId("window").addEventListener("change", refreshNow);
onClick(byId("sweep"), sweep);
byId("sign-out").addEventListener("click", () => signOut(null));
byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", paused);
  byId("pause").textContent = paused ? "Resume" : "Pause";
  if (paused) {
    asOf();
    schedule();
  } else {
    refreshNow();
  }
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !paused && !byId("dashboard").hidden) refreshNow();
  else schedule();
});
setInterval(() => { if (!byId("dashboard").hidden) asOf(); }, 1000);
document.body.dataset.ready = "true";
byId("token").focus();
