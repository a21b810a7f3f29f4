// What several views are made of.

import { h, s } from "./dom.js";
import { NONE, compact, date, number, span, usd, when } from "./format.js";
import { path } from "./net.js";

const TONES = {
  published: "good", complete: "good", healthy: "good", delivered: "good", on_track: "good", approved: "good",
  failed: "bad", critical: "bad", failing: "bad", unusable: "bad", rejected: "soft", cancelled: "soft",
  quarantined: "bad", disconnected: "bad", slowed: "warn",
  held: "warn", degraded: "warn", behind: "warn", paused: "warn",
  superseded: "soft", queued: "soft", packaged: "soft", own: "soft", changed: "warn",
};
const SAID = { on_track: "on track", own: "own rules", packaged: "packaged rules", unusable: "unusable rules" };

export const chip = (state) => h("span", { class: `chip ${TONES[state] || (state.endsWith("to look at") ? "warn" : "live")}` }, SAID[state] || state);

export const title = (text, ...beside) => h("div", { class: "title" }, h("h1", { tabindex: "-1" }, text), ...beside);

export const tile = (name, value, note) =>
  h("li", null, h("span", null, name), h("b", null, value), note ? h("small", null, note) : null);

export const tiles = (...children) => h("ul", { class: "tiles" }, ...children);

export const section = (name, ...children) => h("section", { "data-key": name }, h("h2", null, name), ...children);

export const button = (text, act, values = {}, kind = "") =>
  h("button", { type: "button", class: kind, "data-do": act, ...Object.fromEntries(Object.entries(values).map(([k, v]) => [`data-${k}`, v])) }, text);

export const empty = (text) => h("p", { class: "empty" }, text);

export const alarm = (text) => h("p", { class: "alarm" }, text);

// columns: [heading, cell of a row, class]
export function table(caption, columns, rows, keyOf) {
  const head = columns.map(([name, , kind]) => h("th", { scope: "col", class: kind }, name || h("span", { class: "unseen" }, "Orders")));
  const body = rows.map((row) =>
    h("tr", { "data-key": keyOf(row) }, columns.map(([, cell, kind], place) =>
      place === 0 ? h("th", { scope: "row", class: kind }, cell(row)) : h("td", { class: kind }, cell(row)))));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", null, h("caption", { class: "unseen" }, caption), h("thead", null, h("tr", null, head)), h("tbody", null, body)));
}

export function bar(share, mark, name) {
  const width = Math.max(0, Math.min(1, share || 0));
  const at = mark === null || mark === undefined ? null : Math.max(0, Math.min(1, mark));
  const box = { class: "bar", viewBox: "0 0 1000 10", preserveAspectRatio: "none", role: "img", "aria-label": name };
  return barSvg(box, width, at);
}

const barSvg = (box, width, at) =>
  s("svg", box,
    s("rect", { class: "back", width: 1000, height: 10 }),
    s("rect", { class: "fore", width: 1000 * width, height: 10 }),
    at === null ? null : s("rect", { class: "due", x: Math.min(996, 1000 * at), width: 4, height: 10 }));

export const orgLink = (org) => h("a", { href: `#/orgs/${path(org)}` }, org);

export const runLink = (run, text) => h("a", { href: `#/runs/${path(run.org, run.run)}`, class: text ? null : "code" }, text || run.run.slice(0, 8));

export function runTable(caption, runs, withOrg) {
  const columns = [
    [withOrg ? "Organisation" : "Run", (run) => [
      withOrg ? runLink(run, run.org) : runLink(run, date(run.as_of)),
      run.reason ? h("span", { class: "reason" }, run.reason) : null,
    ], "name"],
    ["State", (run) => [chip(run.state), run.verdict ? [" ", chip(run.verdict)] : null]],
    ...(withOrg ? [["As of", (run) => date(run.as_of), "wide"]] : [["Id", (run) => h("span", { class: "code" }, run.run.slice(0, 8)), "wide"]]),
    ["Finished", (run) => when(run.finished_at)],
    ["Took", (run) => took(run), "wide number"],
    ["Contacts", (run) => compact(run.contacts), "wide number"],
    ["Cost", (run) => usd(run.usd), "wide number"],
  ];
  return table(caption, columns, runs, (run) => `${run.org}/${run.run}`);
}

export function took(run) {
  if (!run.opened_at) return NONE;
  const end = run.finished_at ? new Date(run.finished_at) : new Date();
  return span(Math.max(0, (end - new Date(run.opened_at)) / 1000));
}

export const STATES = { planning: 0, launching: 1, working: 2, finishing: 3 };
const STEPS = ["Planning", "Launching", "Working", "Finishing"];
const SENTENCES = [
  "The database is being looked at, and a machine chosen.",
  "A machine is being created.",
  "The machine is at work.",
  "The outcome is being checked and published.",
];

export function progress(run) {
  const place = STATES[run.state];
  const said = run.verdict === "cancelled"
    ? `${run.reason} It ends without being published.`
    : `${SENTENCES[place]}${run.reason ? ` The last try failed: ${run.reason}` : ""}`;
  return h("div", { class: "progress" },
    h("ol", { "aria-label": "Steps" }, STEPS.map((name, number) =>
      h("li", { class: number < place ? "past" : number === place ? "now" : "", "aria-current": number === place ? "step" : null }, name))),
    h("p", null, said));
}

export const counted = (count, one, many) => `${number(count)} ${count === 1 ? one : many || `${one}s`}`;
