// The plots: what happened over time, and how old the pending ones are. Each says the same in a table.

import { byId, el, number, span } from "../docs/dom.js";

/* global uPlot */

const LINES = [["created", "Asked for", "--get"], ["confirmed", "Confirmed", "--ok"], ["rejected", "Rejected", "--bad"], ["expired", "Expired", "--worst"]];
const HEIGHT = 240;
const WHOLE = [1, 2, 5].flatMap((digit) => [0, 1, 2, 3, 4, 5, 6].map((zeros) => digit * 10 ** zeros)).sort((a, b) => a - b);

const drawn = new Map();
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const font = "12px system-ui, sans-serif";

/** Axis lines and words in the page's colours. */
const axis = (more) => ({ stroke: color("--soft"), font, grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, ...more });
const upwards = () => axis({ incrs: WHOLE, size: 46, values: (_, marks) => marks.map(number) });
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
  byId(`${id}-table`).replaceChildren(el("table", {},
    el("thead", {}, el("tr", {}, ...headings.map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, ...rows.map((cells) => el("tr", {}, ...cells.map((text, index) => el("td", { class: index > 0 ? "count" : null }, text)))))));
}

function series({ series: it, window_secs: windowSecs }) {
  const start = Date.parse(it.start) / 1000;
  const times = it.created.map((_, index) => start + index * it.step_secs);
  const total = (name) => it[name].reduce((sum, value) => sum + value, 0);
  const said = time(windowSecs);
  // A line along zero would only hide another; and a step needs an end to have a width.
  const line = (name) => {
    const values = [...it[name], it[name].at(-1)];
    const quiet = (index) => (values[index] ?? 0) === 0;
    return name === "created" ? values : values.map((value, index) => (quiet(index - 1) && quiet(index) && quiet(index + 1) ? null : value));
  };
  const steps = uPlot.paths.stepped({ align: 1 });
  const lines = LINES.map(([name, label, variable]) => ({
    label, stroke: color(variable), width: 2, paths: steps, points: { show: false }, value: (_, value, __, index) => (index === null ? "–" : number(value ?? 0)),
    ...(name === "created" ? { fill: `${color(variable)}1f` } : {}),
  }));
  const exact = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  const options = {
    series: [{ label: "From", value: (_, at) => (at === null ? "–" : exact.format(new Date(at * 1000))) }, ...lines],
    scales: { x: { time: true }, y: fromZero },
    axes: [axis({ values: (_, marks) => marks.map(said), space: 70, size: 30 }), upwards()],
    cursor: { y: false, drag: { x: false, y: false } },
    legend: { live: true },
  };
  draw("series", `${windowSecs} ${color("--text")}`, options, [[...times, start + times.length * it.step_secs], ...LINES.map(([name]) => line(name))]);
  byId("series").setAttribute("aria-label", `What happened: ${LINES.map(([name, label]) => `${label} ${number(total(name))}`).join(", ")}.`);
  const eventful = times.map((_, index) => index).filter((index) => LINES.some(([name]) => it[name][index] > 0));
  table("series", ["From", ...LINES.map(([, label]) => label)], eventful.map((index) => [exact.format(new Date(times[index] * 1000)), ...LINES.map(([name]) => number(it[name][index]))]));
}

function ages({ pending }) {
  const labels = pending.ages.map(({ up_to_secs: upTo }, index) => (upTo === null ? `over ${span(pending.ages[index - 1].up_to_secs)}` : `under ${span(upTo)}`));
  const counts = pending.ages.map((one) => one.count);
  const options = {
    series: [{}, { stroke: color("--link"), fill: `${color("--link")}66`, width: 1, paths: uPlot.paths.bars({ size: [0.66, 90] }), points: { show: false } }],
    scales: { x: { time: false, range: () => [-0.6, counts.length - 0.4] }, y: fromZero },
    axes: [axis({ size: 30, splits: () => counts.map((_, index) => index), values: () => (byId("ages").clientWidth < 480 ? labels.map((text) => text.replace("under ", "<").replace("over ", ">").replace(/ (.).*/, "$1")) : labels), grid: { show: false } }), upwards()],
    cursor: { show: false },
    legend: { show: false },
    hooks: { draw: [figures] },
  };
  draw("ages", `${labels} ${color("--text")}`, options, [counts.map((_, index) => index), counts]);
  byId("ages").setAttribute("aria-label", `Pending by age: ${labels.map((label, index) => `${label} ${number(counts[index])}`).join(", ")}.`);
  table("ages", ["Age", "Uploads"], labels.map((label, index) => [label, number(counts[index])]));
}

/** The count above each bar. */
function figures(plot) {
  const { ctx } = plot;
  ctx.save();
  ctx.fillStyle = color("--text");
  ctx.font = `600 ${12 * devicePixelRatio}px system-ui, sans-serif`;
  ctx.textAlign = "center";
  plot.data[1].forEach((count, index) => {
    if (count > 0) ctx.fillText(number(count), plot.valToPos(index, "x", true), plot.valToPos(count, "y", true) - 6 * devicePixelRatio);
  });
  ctx.restore();
}

let last = null;

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
