// The charts: uploads over time, and pending uploads by age. A table below each holds the same numbers.

import { byId, el, number, say, span } from "../docs/dom.js";

/* global uPlot */

const LINES = [["created", "Created", "--get"], ["confirmed", "Confirmed", "--ok"], ["rejected", "Rejected", "--bad"], ["expired", "Expired", "--worst"]];
const HEIGHT = 240;
/** Axis steps: counts are whole. */
const STEPS = [1, 2, 5].flatMap((digit) => [0, 1, 2, 3, 4, 5, 6].map((zeros) => digit * 10 ** zeros)).sort((a, b) => a - b);

const drawn = new Map();
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const font = "12px system-ui, sans-serif";

const axis = (more) => ({ stroke: color("--soft"), font, grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, ...more });
/** The width of the y axis: it fits its longest number. */
const axisWidth = (_, values) => Math.max(46, 14 + 8 * Math.max(...(values ?? [""]).map((text) => (text ?? "").length)));
const yAxis = () => axis({ incrs: STEPS, size: axisWidth, values: (_, marks) => marks.map(number) });
/** From zero to a bit above the maximum; an empty chart has a scale too. */
const fromZero = { range: (_, __, max) => [0, Math.max(4, max * 1.1)] };

function timeFormat(windowSecs) {
  const options = windowSecs <= 2 * 86_400 ? { hour: "2-digit", minute: "2-digit" } : { day: "numeric", month: "short" };
  const format = new Intl.DateTimeFormat("en-GB", options);
  return (seconds) => format.format(new Date(seconds * 1000));
}

/** Draws a chart, or gives new data to one whose `key` is the same. */
function draw(id, key, options, data) {
  const place = byId(id);
  const former = drawn.get(id);
  if (former?.key === key) return former.plot.setData(data);
  former?.plot.destroy();
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
const NO_DATA = "no data";
/** The latest overview. */
let last = null;

/** A number that was counted up to a limit. */
const atLeast = ({ count, more }) => number(count) + (more ? "+" : "");

/** The sum of a line, without its gaps. */
const sum = (line) => line.reduce((total, count) => total + (count ?? 0), 0);

/** When each step of a series starts, in seconds. */
const starts = ({ start, step_secs: step, created }) => created.map((_, index) => Date.parse(start) / 1000 + index * step);

/** Since when a line has data, in seconds; `null` if since the start of the series. */
function knownSince(it, name) {
  const first = it[name].findIndex((value) => value !== null);
  return first === 0 ? null : starts(it)[first] ?? Infinity;
}

/** The note about steps without data: they are not zeros. */
function gaps(created, outcomes) {
  const since = (at, what) => (at === null ? null : at === Infinity ? `The latest 50,000 ${what} are all in the current step: choose a shorter time range.` : `No data on ${what} before ${exact.format(new Date(at * 1000))}: only the latest 50,000 are read.`);
  const notes = created === outcomes ? [since(created, "uploads and outcomes")] : [since(created, "uploads"), since(outcomes, "outcomes")];
  return notes.filter(Boolean).join(" ");
}

function series({ series: it, window_secs: windowSecs }) {
  const times = starts(it);
  const format = timeFormat(windowSecs);
  // A line along zero would hide another. The last step needs an end to have a width.
  const line = (name) => {
    const values = [...it[name], it[name].at(-1)];
    const isZero = (index) => (values[index] ?? 0) === 0;
    return name === "created" ? values : values.map((value, index) => (isZero(index - 1) && isZero(index) && isZero(index + 1) ? null : value));
  };
  const steps = uPlot.paths.stepped({ align: 1 });
  const value = (name) => (_, __, ___, index) => {
    // Not from the drawn line, which hides zeros; and the chart is kept when `last` changes.
    const line = last.series[name];
    const count = line[Math.min(index, line.length - 1)];
    return index === null ? number(sum(line)) : count === null ? NO_DATA : number(count);
  };
  const lines = LINES.map(([name, label, variable]) => ({
    label, stroke: color(variable), width: 2, paths: steps, points: { show: false }, value: value(name),
    ...(name === "created" ? { fill: `${color(variable)}1f` } : {}),
  }));
  const options = {
    series: [{ label: "Time", value: (_, at) => (at === null ? "total" : exact.format(new Date(at * 1000))) }, ...lines],
    scales: { x: { time: true }, y: fromZero },
    axes: [axis({ values: (_, marks) => marks.map(format), space: 70, size: 30 }), yAxis()],
    cursor: { y: false, drag: { x: false, y: false } },
    legend: { live: true },
    hooks: { draw: [gap] },
  };
  draw("series", `${windowSecs} ${color("--text")}`, options, [[...times, times.at(-1) + it.step_secs], ...LINES.map(([name]) => line(name))]);
  const missing = gaps(knownSince(it, "created"), knownSince(it, "confirmed"));
  say("series-gap", missing);
  byId("series").setAttribute("aria-label", `Uploads over time: ${LINES.map(([name, label]) => `${label} ${number(sum(it[name]))}`).join(", ")}. ${missing}`.trim());
  const eventful = times.map((_, index) => index).filter((index) => LINES.some(([name]) => it[name][index] !== 0));
  table("series", ["Time", ...LINES.map(([, label]) => label)], eventful.map((index) => [exact.format(new Date(times[index] * 1000)), ...LINES.map(([name]) => (it[name][index] === null ? NO_DATA : number(it[name][index])))]));
}

/** Hatches the time without data, and labels it where the label fits. */
function gap({ ctx, bbox, valToPos }) {
  const from = Math.min(...LINES.map(([name]) => knownSince(last.series, name) ?? -Infinity));
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
  const [x, y, labelWidth] = [bbox.left + width / 2, bbox.top + bbox.height / 2, ctx.measureText(NO_DATA).width + 12 * devicePixelRatio];
  if (labelWidth < width) {
    ctx.fillStyle = color("--back");
    ctx.fillRect(x - labelWidth / 2, y - 13 * devicePixelRatio, labelWidth, 19 * devicePixelRatio);
    ctx.fillStyle = color("--soft");
    ctx.fillText(NO_DATA, x, y);
  }
  ctx.restore();
}

function ages({ pending }) {
  const labels = pending.ages.map(({ up_to_secs: upTo }, index) => (upTo === null ? `over ${span(pending.ages[index - 1].up_to_secs)}` : `under ${span(upTo)}`));
  const counts = pending.ages.map((one) => one.count);
  const shown = (index) => atLeast(pending.ages[index]);
  const options = {
    series: [{}, { stroke: color("--link"), fill: `${color("--link")}66`, width: 1, paths: uPlot.paths.bars({ size: [0.66, 90] }), points: { show: false } }],
    scales: { x: { time: false, range: () => [-0.6, counts.length - 0.4] }, y: fromZero },
    axes: [axis({ size: 30, splits: () => counts.map((_, index) => index), values: () => (byId("ages").clientWidth < 480 ? labels.map((text) => text.replace("under ", "<").replace("over ", ">").replace(/ (.).*/, "$1")) : labels), grid: { show: false } }), yAxis()],
    cursor: { show: false },
    legend: { show: false },
    hooks: { draw: [figures] },
  };
  draw("ages", `${labels} ${color("--text")}`, options, [counts.map((_, index) => index), counts]);
  byId("ages").setAttribute("aria-label", `Pending by age: ${labels.map((label, index) => `${label} ${shown(index)}`).join(", ")}.`);
  say("ages-gap", pending.ages.some((one) => one.more) ? `Each age is counted up to ${number(Math.max(...counts))}: "+" means that there are more.` : null);
  table("ages", ["Age", "Uploads"], labels.map((label, index) => [label, shown(index)]));
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

/** Draws both charts. */
export function charts(overview) {
  last = overview;
  series(overview);
  ages(overview);
}

new ResizeObserver((entries) => {
  for (const { target } of entries) drawn.get(target.id)?.plot.setSize({ width: target.clientWidth, height: HEIGHT });
}).observe(byId("ages"));
new ResizeObserver(() => drawn.get("series")?.plot.setSize({ width: byId("series").clientWidth, height: HEIGHT })).observe(byId("series"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => last && charts(last));
