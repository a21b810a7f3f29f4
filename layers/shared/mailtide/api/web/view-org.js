// One organisation: its runs, its rules, and what is wrong with its data.

import { h } from "./dom.js";
import { bytes, number, percent, when, words } from "./format.js";
import { get, path, query } from "./net.js";
import { alarm, bar, button, chip, empty, progress, runLink, runTable, section, STATES, table, tile, tiles, title } from "./parts.js";
import { cadence, due } from "./view-orgs.js";

export const name = ([org]) => org;

export async function load([org], signal) {
  const [view, list] = await Promise.all([get(`v1/orgs/${path(org)}`, signal), get(`v1/runs${query({ org })}`, signal)]);
  return { view, list };
}

export const everyMs = ({ list }) => (list.runs.some((run) => run.state in STATES) ? 3000 : 15000);

export function render({ view, list }) {
  const open = list.runs.filter((run) => run.state in STATES);
  const ended = list.runs.filter((run) => !(run.state in STATES));
  return [
    h("p", { class: "trail" }, h("a", { href: "#/orgs" }, "Organisations"), " / ", view.org),
    title(view.org, view.last_run ? chip(view.last_run.state) : null),
    view.rules_problem ? alarm(`Its rules cannot be used: ${view.rules_problem}`) : null,
    h("p", { class: "buttons" },
      view.has_database ? button("Run now", "run-now", { org: view.org }, "primary") : null,
      view.has_database ? h("a", { class: "button", href: `v1/orgs/${path(view.org)}/database`, download: true }, "Download the database") : null),
    tiles(
      tile("Next run", view.has_database ? due(view) : "waits for a database", cadence(view)),
      tile("Last run", view.last_run ? when(view.last_run.finished_at) : "none yet", view.last_run ? view.last_run.state : null),
      tile("Database", bytes(view.size_bytes), view.uploaded_at ? ["put there ", when(view.uploaded_at)] : null),
      view.quality ? tile("Contacts", number(view.quality.contacts), `${percent(share(view.quality.eligible, view.quality.contacts))} get mails`) : null),
    open.length ? section("Under way", h("ul", { class: "cards" }, open.map((run) => h("li", { class: "card", "data-key": run.run }, h("div", { class: "head" }, h("h3", null, runLink(run, `Run ${run.run.slice(0, 8)}`)), chip(run.state)), progress(run))))) : null,
    section("Data quality", quality(view.quality)),
    section("Runs", ended.length ? runTable(`Runs of ${view.org}`, ended, false) : empty("None has ended yet."), list.more ? empty("Older ones are not listed.") : null),
    section("Rules", rules(view)),
  ];
}

const share = (part, whole) => (whole ? part / whole : 0);

function quality(found) {
  if (!found) return empty("The last run has read nothing; there is nothing to say of the data.");
  if (!found.findings.length && !found.warnings.length && !found.notes.length) return empty("Nothing is wrong with it.");
  const columns = [
    ["Finding", (one) => [one.meaning, bar(share(one.count, found.contacts), null, `${percent(share(one.count, found.contacts), 1)} of the contacts`)], "name"],
    ["Count", (one) => number(one.count), "number"],
    ["Of contacts", (one) => percent(share(one.count, found.contacts), 1), "wide number"],
  ];
  return [
    found.warnings.map((text) => alarm(text)),
    found.findings.length ? table("What is wrong with the data", columns, found.findings, (one) => one.name) : empty("Nothing is wrong with it."),
    found.notes.length
      ? h("details", null, h("summary", null, "What else the last run noted"), table("What else the last run noted", [["Note", (one) => one.meaning, "name"], ["Count", (one) => number(one.count), "number"]], found.notes, (one) => one.name))
      : null,
  ];
}

function rules(view) {
  const rows = flat(view.effective_rules);
  return [
    h("p", null, { own: "It has rules of its own.", packaged: "The packaged rules hold.", unusable: "Its own rules cannot be used, so its next run fails." }[view.rules], ` ${number(view.windows_of_states)} windows of states apply (mailtide rules shows them).`),
    h("details", null, h("summary", null, "Rules in force"), table("Rules in force", [["Rule", ([key]) => words(key)], ["Value", ([, value]) => value]], rows, ([key]) => key)),
    view.rules_yaml ? h("details", null, h("summary", null, "Its rules file"), h("pre", { tabindex: "0" }, view.rules_yaml)) : null,
  ];
}

function flat(values, before = "") {
  return Object.entries(values).flatMap(([key, value]) => {
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return flat(value, `${before}${key}: `);
    const text = value === null ? "not set" : Array.isArray(value) ? value.join(", ") || "none" : String(value);
    return [[`${before}${key}`, text]];
  });
}
