// The plots: what happened over time, and how old the pending ones are. Each says the same in a table.

import { byId, el, number, say, span } from "../docs/dom.js";

/* global uPlot */

const LINES = [["created", "Asked for", "--get"], ["confirmed", "Confirmed", "--ok"], ["rejected", "Rejected", "--bad"], ["expired", "Expired", "--worst"]];
const HEIGHT = 240;
const WHOLE = [1, 2, 5].flatMap((digit) => [0, 1, 2, 3, 4, 5, 6].map((zeros) => digit * 10 ** zeros)).sort((a, b) => a - b);

const drawn = new Map();
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const font = "12px system-ui, sans-serif";

/** Axis lines and words in the page's colours. */
const axis = (more) => ({ stroke: color("--soft"), font, grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, ...more });
/** As wide as its longest number. */
const room = (_, values) => Math.max(46, 14 + 8 * Math.max(...(values ?? [""]).map((text) => (text ?? "").length)));
const upwards = () => axis({ incrs: WHOLE, size: room, values: (_, marks) => marks.map(number) });
/** From nothing to a bit more than the most, so that an empty plot has a scale too. */
const fromZero = { range: (_, __, most) => [0, Math.max(4, most * 1.1)] };

function time(windowSecs) {
  const options = windowSecs <= 2 * 86_400 ? { hour: "2-digit", minute: "2-digit" } : { day: "numeric", month: "short" };
  const format = new Intl.DateTimeFormat("en-GB", options);
  return (seconds) => format.format(new Date(seconds * 1000));
}

/** Draws, or redraws where only the data are new. */
function draw(id, key, options, data) {
  const place = byId(id);
  const before = drawn.get(id);
  if (before?.key === key) return before.plot.setData(data);
  before?.plot.destroy();
  const width = place.clientWidth;
  drawn.set(id, { key, plot: new uPlot({ width, height: HEIGHT, ...options }, data, place) });
}

function table(id, headings, rows) {
  const title = byId(id).closest("section").querySelector("h2").textContent;
  byId(`${id}-table`).replaceChildren(el("table", {}, el("caption", { class: "unseen" }, title),
    el("thead", {}, el("tr", {}, ...headings.map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, ...rows.map((cells) => el("tr", {}, ...cells.map((text, index) => el("td", { class: index > 0 ? "count" : null }, text)))))));
}

const exact = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const NONE = "no data";
/** The latest overview. */
let last = null;

/** A number that was counted up to a limit. */
const atLeast = ({ count, more }) => number(count) + (more ? "+" : "");

/** All that a line has data of. */
const sum = (line) => line.reduce((total, count) => total + (count ?? 0), 0);

/** When each step of a series begins, in seconds. */
const begins = ({ start, step_secs: step, created }) => created.map((_, index) => Date.parse(start) / 1000 + index * step);

/** From when on a line has data, in seconds, and `null` where that is from the beginning. */
function known(it, name) {
  const first = it[name].findIndex((value) => value !== null);
  return first === 0 ? null : begins(it)[first] ?? Infinity;
}

/** What to say of the steps without data, so that nobody takes them for zeros. */
function gaps(created, outcomes) {
  const since = (at, what) => (at === null ? null : at === Infinity ? `The latest 50,000 ${what} are younger than a whole step: choose a shorter time.` : `No data on ${what} before ${exact.format(new Date(at * 1000))}: only the latest 50,000 are looked at.`);
  const said = created === outcomes ? [since(created, "uploads and outcomes")] : [since(created, "uploads"), since(outcomes, "outcomes")];
  return said.filter(Boolean).join(" ");
}

function series({ series: it, window_secs: windowSecs }) {
  const times = begins(it);
  const said = time(windowSecs);
  // A line along zero would only hide another; and a step needs an end to have a width.
  const line = (name) => {
    const values = [...it[name], it[name].at(-1)];
    const quiet = (index) => (values[index] ?? 0) === 0;
    return name === "created" ? values : values.map((value, index) => (quiet(index - 1) && quiet(index) && quiet(index + 1) ? null : value));
  };
  const steps = uPlot.paths.stepped({ align: 1 });
  const value = (name) => (_, __, ___, index) => {
    // What is drawn hides zeros; and the plot outlives the answer that it was made for.
    const line = last.series[name];
    const count = line[Math.min(index, line.length - 1)];
    return index === null ? number(sum(line)) : count === null ? NONE : number(count);
  };
  const lines = LINES.map(([name, label, variable]) => ({
    label, stroke: color(variable), width: 2, paths: steps, points: { show: false }, value: value(name),
    ...(name === "created" ? { fill: `${color(variable)}1f` } : {}),
  }));
  const options = {
    series: [{ label: "From", value: (_, at) => (at === null ? "all of it" : exact.format(new Date(at * 1000))) }, ...lines],
    scales: { x: { time: true }, y: fromZero },
    axes: [axis({ values: (_, marks) => marks.map(said), space: 70, size: 30 }), upwards()],
    cursor: { y: false, drag: { x: false, y: false } },
    legend: { live: true },
    hooks: { draw: [gap] },
  };
  draw("series", `${windowSecs} ${color("--text")}`, options, [[...times, times.at(-1) + it.step_secs], ...LINES.map(([name]) => line(name))]);
  const missing = gaps(known(it, "created"), known(it, "confirmed"));
  say("series-gap", missing);
  byId("series").setAttribute("aria-label", `What happened: ${LINES.map(([name, label]) => `${label} ${number(sum(it[name]))}`).join(", ")}. ${missing}`.trim());
  const eventful = times.map((_, index) => index).filter((index) => LINES.some(([name]) => it[name][index] !== 0));
  table("series", ["From", ...LINES.map(([, label]) => label)], eventful.map((index) => [exact.format(new Date(times[index] * 1000)), ...LINES.map(([name]) => (it[name][index] === null ? NONE : number(it[name][index])))]));
}

/** Hatches the time of which nothing is known, and says so in it where there is room. */
function gap({ ctx, bbox, valToPos }) {
  const from = Math.min(...LINES.map(([name]) => known(last.series, name) ?? -Infinity));
  if (from === -Infinity) return;
  const width = Math.min(bbox.width, Math.max(0, valToPos(from, "x", true) - bbox.left));
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, width, bbox.height);
  ctx.clip();
  ctx.strokeStyle = color("--line");
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  for (let x = bbox.left - bbox.height; x < bbox.left + width; x += 9 * devicePixelRatio) {
    ctx.moveTo(x, bbox.top + bbox.height);
    ctx.lineTo(x + bbox.height, bbox.top);
  }
  ctx.stroke();
  ctx.font = `600 ${12 * devicePixelRatio}px system-ui, sans-serif`;
  ctx.textAlign = "center";
  const [x, y, room] = [bbox.left + width / 2, bbox.top + bbox.height / 2, ctx.measureText(NONE).width + 12 * devicePixelRatio];
  if (room < width) {
    ctx.fillStyle = color("--back");
    ctx.fillRect(x - room / 2, y - 13 * devicePixelRatio, room, 19 * devicePixelRatio);
    ctx.fillStyle = color("--soft");
    ctx.fillText(NONE, x, y);
  }
  ctx.restore();
}

function ages({ pending }) {
  const labels = pending.ages.map(({ up_to_secs: upTo }, index) => (upTo === null ? `over ${span(pending.ages[index - 1].up_to_secs)}` : `under ${span(upTo)}`));
  const counts = pending.ages.map((one) => one.count);
  const said = (index) => atLeast(pending.ages[index]);
  const options = {
    series: [{}, { stroke: color("--link"), fill: `${color("--link")}66`, width: 1, paths: uPlot.paths.bars({ size: [0.66, 90] }), points: { show: false } }],
    scales: { x: { time: false, range: () => [-0.6, counts.length - 0.4] }, y: fromZero },
    axes: [axis({ size: 30, splits: () => counts.map((_, index) => index), values: () => (byId("ages").clientWidth < 480 ? labels.map((text) => text.replace("under ", "<").replace("over ", ">").replace(/ (.).*/, "$1")) : labels), grid: { show: false } }), upwards()],
    cursor: { show: false },
    legend: { show: false },
    hooks: { draw: [figures] },
  };
  draw("ages", `${labels} ${color("--text")}`, options, [counts.map((_, index) => index), counts]);
  byId("ages").setAttribute("aria-label", `Pending by age: ${labels.map((label, index) => `${label} ${said(index)}`).join(", ")}.`);
  say("ages-gap", pending.ages.some((one) => one.more) ? `Of each age the first ${number(Math.max(...counts))} are counted: where it says "+" there are more.` : null);
  table("ages", ["Age", "Uploads"], labels.map((label, index) => [label, said(index)]));
}

/** The count above each bar. */
function figures(plot) {
  const { ctx } = plot;
  ctx.save();
  ctx.fillStyle = color("--text");
  ctx.font = `600 ${12 * devicePixelRatio}px system-ui, sans-serif`;
  ctx.textAlign = "center";
  plot.data[1].forEach((count, index) => {
    if (count > 0) ctx.fillText(atLeast(last.pending.ages[index]), plot.valToPos(index, "x", true), plot.valToPos(count, "y", true) - 6 * devicePixelRatio);
  });
  ctx.restore();
}

/** Both plots of an overview. */
export function plots(seen) {
  last = seen;
  series(seen);
  ages(seen);
}

new ResizeObserver((entries) => {
  for (const { target } of entries) drawn.get(target.id)?.plot.setSize({ width: target.clientWidth, height: HEIGHT });
}).observe(byId("ages"));
new ResizeObserver(() => drawn.get("series")?.plot.setSize({ width: byId("series").clientWidth, height: HEIGHT })).observe(byId("series"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => last && plots(last));
