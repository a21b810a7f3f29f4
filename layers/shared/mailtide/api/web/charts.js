// The charts, as SVG. Colours are classes of the style sheet, so that they follow light and dark.

import { h, s } from "./dom.js";
import { NONE, compact, number, shortDay, span, timeOfDay, words } from "./format.js";

const DAY_MS = 86400000;
const SHAPES = [["wide", 720, 240, 12], ["narrow", 350, 230, 11]];

// A round number at or above `value`.
function ceiling(value) {
  if (value <= 4) return 4;
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10].map((step) => step * unit).find((step) => step >= value);
}

function frame(width, height, size, top, label) {
  const box = { left: size * 3.6, right: width - 4, top: 8, bottom: height - 2 * size };
  const y = (value) => box.bottom - ((box.bottom - box.top) * value) / top;
  const lines = [0, 0.25, 0.5, 0.75, 1].map((share) => [
    s("line", { class: "grid", x1: box.left, x2: box.right, y1: y(top * share), y2: y(top * share) }),
    s("text", { class: "tick", x: box.left - 6, y: y(top * share) + size / 3, "text-anchor": "end", "font-size": size }, label(top * share)),
  ]);
  return { box, y, lines };
}

const drawing = (kind, width, height, name, ...inside) =>
  s("svg", { class: `chart ${kind}`, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": name }, ...inside);

function stack(series, length) {
  const floor = new Array(length).fill(0);
  return series.map(({ name, counts }) => {
    const from = [...floor];
    for (let place = 0; place < length; place += 1) floor[place] += counts[place] || 0;
    return { name, from, to: [...floor] };
  });
}

// Planned mails by day, stacked by type. daily: as in a run's report.
export function volumeChart(daily) {
  const series = Object.entries(daily.counts)
    .map(([name, counts]) => ({ name, counts, sum: counts.reduce((a, b) => a + b, 0) }))
    .filter((one) => one.sum > 0)
    .sort((one, other) => other.sum - one.sum);
  const length = Math.max(0, ...series.map((one) => one.counts.length));
  if (!length) return h("p", { class: "empty" }, "No mail is planned.");
  const shown = merged(series, 7);
  const layers = stack(shown, length);
  const totals = layers.at(-1).to;
  const most = Math.max(...totals);
  const first = Date.parse(`${daily.first_day}T00:00:00Z`);
  const sum = series.reduce((all, one) => all + one.sum, 0);
  const name = `Planned mails by day: ${number(sum)} in all, at most ${number(most)} on a day.`;
  return h("figure", null,
    SHAPES.map(([kind, ...shape]) => volumeDrawing(kind, shape, layers, ceiling(most), first, length, name)),
    h("ul", { class: "legend" }, shown.map((one, slot) =>
      h("li", null, s("svg", { class: "swatch", viewBox: "0 0 10 10", "aria-hidden": "true" }, s("rect", { class: `s${slot}`, width: 10, height: 10, rx: 2 })),
        `${words(one.name)} ${number(one.sum)}`))),
    monthTable(shown, first, length),
    daily.later ? h("p", { class: "soft" }, `${number(daily.later)} mails are planned for later days.`) : null);
}

function merged(series, most) {
  if (series.length <= most + 1) return series;
  const rest = series.slice(most);
  const length = Math.max(...rest.map((one) => one.counts.length));
  const counts = Array.from({ length }, (_, place) => rest.reduce((all, one) => all + (one.counts[place] || 0), 0));
  return [...series.slice(0, most), { name: `${rest.length} other types`, counts, sum: rest.reduce((all, one) => all + one.sum, 0) }];
}

function volumeDrawing(kind, [width, height, size], layers, top, first, length, name) {
  const { box, y, lines } = frame(width, height, size, top, compact);
  const step = (box.right - box.left) / length;
  const x = (place) => (box.left + step * place).toFixed(1);
  const months = [];
  for (let place = 0; place < length; place += 1) {
    const at = new Date(first + place * DAY_MS);
    const wanted = kind === "wide" || at.getUTCMonth() % 3 === 0;
    if (at.getUTCDate() === 1 && wanted && box.left + step * place < box.right - 2 * size) {
      months.push(s("text", { class: "tick", x: x(place), y: height - size / 2, "font-size": size }, at.toLocaleString("en", { month: "short", timeZone: "UTC" })));
    }
  }
  const areas = layers.map((layer, slot) => s("path", { class: `s${slot}`, d: area(layer, x, y, length) }));
  return drawing(kind, width, height, name, lines, areas, months);
}

function area(layer, x, y, length) {
  const upper = [];
  const lower = [];
  for (let place = 0; place < length; place += 1) {
    upper.push(`${x(place)} ${y(layer.to[place]).toFixed(1)}L${x(place + 1)} ${y(layer.to[place]).toFixed(1)}`);
    lower.push(`${x(place + 1)} ${y(layer.from[place]).toFixed(1)}L${x(place)} ${y(layer.from[place]).toFixed(1)}`);
  }
  return `M${upper.join("L")}L${lower.reverse().join("L")}Z`;
}

function monthTable(series, first, length) {
  const months = new Map();
  for (let place = 0; place < length; place += 1) {
    const month = new Date(first + place * DAY_MS).toISOString().slice(0, 7);
    const row = months.get(month) || series.map(() => 0);
    series.forEach((one, slot) => { row[slot] += one.counts[place] || 0; });
    months.set(month, row);
  }
  const head = ["Month", ...series.map((one) => words(one.name)), "All"];
  return h("details", null, h("summary", null, "The same by month, as a table"),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Planned mails by month" }, h("table", null,
      h("thead", null, h("tr", null, head.map((text, place) => h("th", { scope: "col", class: place ? "number" : null }, text)))),
      h("tbody", null, [...months].map(([month, row]) => h("tr", { "data-key": month }, h("th", { scope: "row" }, month),
        [...row, row.reduce((a, b) => a + b, 0)].map((count) => h("td", { class: "number" }, number(count)))))))));
}

// Mails of each hour as bars, with the limit as a line where it is near enough to be seen.
export function hoursChart(hours, limit) {
  const most = Math.max(0, ...hours.map((hour) => hour.begun));
  const near = limit <= most * 4;
  const top = ceiling(near ? Math.max(most, limit) : most);
  const sum = hours.reduce((all, hour) => all + hour.begun, 0);
  const name = `Mails by hour over 24 hours: ${number(sum)} in all, at most ${number(most)} an hour; the limit is ${number(limit)}.`;
  return h("figure", null,
    SHAPES.map(([kind, ...shape]) => hoursDrawing(kind, shape, hours, limit, top, near, name)),
    h("ul", { class: "legend" },
      h("li", null, s("svg", { class: "swatch", viewBox: "0 0 10 10", "aria-hidden": "true" }, s("rect", { class: "s0", width: 10, height: 10, rx: 2 })), "mails begun in the hour"),
      h("li", null, s("svg", { class: "swatch", viewBox: "0 0 10 10", "aria-hidden": "true" }, s("line", { class: "limit", x1: 0, x2: 10, y1: 5, y2: 5 })),
        `limit ${number(limit)} an hour${near ? "" : ", far above this chart"}`)));
}

function hoursDrawing(kind, [width, height, size], hours, limit, top, near, name) {
  const { box, y, lines } = frame(width, height, size, top, compact);
  const step = (box.right - box.left) / Math.max(1, hours.length);
  const every = kind === "wide" ? 3 : 6;
  const bars = hours.map((hour, place) => {
    const at = new Date(hour.start_ms);
    const x = box.left + step * place;
    // Half of "00:00" beside the middle of the bar, or it would be cut off at the edge.
    const middle = Math.min(x + step / 2, width - size * 1.6);
    const label = at.getHours() % every === 0 ? s("text", { class: "tick", x: middle, y: height - size / 2, "text-anchor": "middle", "font-size": size }, timeOfDay(at).slice(0, 5)) : null;
    const last = place === hours.length - 1;
    return [
      s("rect", { class: last ? "s0 partial" : "s0", x: x + step * 0.12, width: step * 0.76, y: y(hour.begun), height: Math.max(0, box.bottom - y(hour.begun)), rx: 1.5 },
        s("title", null, `${shortDay(at)}, ${timeOfDay(at).slice(0, 5)}: ${number(hour.begun)} mails${last ? " so far" : ""}`)),
      label,
    ];
  });
  const line = near ? s("line", { class: "limit", x1: box.left, x2: box.right, y1: y(limit), y2: y(limit) }) : null;
  return drawing(kind, width, height, name, lines, bars, line);
}

const PHASES = { opened: "wait", planned: "plan", launched: "wait", "machine started": "boot", "machine finished": "work", decided: "check", finished: "publish" };

// The steps of a run: a bar in proportion, and a list with the moments.
export function timeline(steps, running) {
  const begun = steps.filter((step) => step.name !== "uploaded");
  if (!begun.length) return h("p", { class: "empty" }, "Nothing has happened yet.");
  const at = begun.map((step) => Date.parse(step.at));
  const whole = Math.max(1, at.at(-1) - at[0]);
  const parts = begun.slice(1).map((step, place) => {
    const x = (1000 * (at[place] - at[0])) / whole;
    const width = Math.max(2, (1000 * (at[place + 1] - at[place])) / whole - 1.5);
    return s("rect", { class: PHASES[step.name] || "check", x, width, height: 16, rx: 2 }, s("title", null, `${step.name}: ${span((at[place + 1] - at[place]) / 1000)}`));
  });
  const list = steps.map((step) => {
    const place = begun.indexOf(step);
    const since = place > 0 ? `+ ${span(Math.max(0, (at[place] - at[place - 1]) / 1000))}` : NONE;
    const moment = new Date(step.at);
    return h("li", { "data-key": step.name }, h("i", { class: `dot ${PHASES[step.name] || ""}` }), h("span", null, step.name),
      h("time", { datetime: moment.toISOString(), title: moment.toISOString() }, `${shortDay(moment)}, ${timeOfDay(moment)}`), h("span", { class: "number" }, since));
  });
  const name = `From ${begun[0].name} to ${begun.at(-1).name}: ${span(whole / 1000)}${running ? " so far" : ""}.`;
  return h("div", { class: "timeline" },
    s("svg", { viewBox: "0 0 1000 16", preserveAspectRatio: "none", role: "img", "aria-label": name }, parts), h("ol", null, list));
}
