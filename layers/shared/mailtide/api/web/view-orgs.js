// The organisations, with their last and next runs.

import { h } from "./dom.js";
import { date, NONE, when } from "./format.js";
import { get, query } from "./net.js";
import { chip, empty, orgLink, section, table, title } from "./parts.js";
import { pages } from "./view-runs.js";

export const name = () => "Organisations";

export async function load(_args, signal, { cursor }) {
  return { page: await get(`v1/orgs${query({ cursor })}`, signal), cursor };
}

export const everyMs = () => 15000;

export function render({ page, cursor }) {
  return [
    title("Organisations"),
    section("Last and next runs",
      page.orgs.length ? table("Organisations", COLUMNS, page.orgs, (one) => one.org) : empty("There is no organisation yet: mailtide orgs add ORG, then mailtide upload ORG FILE."),
      pages(page.next_cursor, cursor)),
  ];
}

const COLUMNS = [
  ["Organisation", (one) => [orgLink(one.org), one.rules_problem ? h("span", { class: "reason" }, one.rules_problem) : null], "name"],
  ["Last run", (one) => (one.last_run ? [h("a", { href: `#/runs/${encodeURIComponent(one.org)}/${one.last_run.run}`, "aria-label": `Last run of ${one.org}: ${one.last_run.state}` }, chip(one.last_run.state)), " ", when(one.last_run.finished_at)] : NONE)],
  ["As of", (one) => (one.last_run ? date(one.last_run.as_of) : NONE), "wide"],
  ["Next run", (one) => (one.has_database ? due(one) : "waits for a database")],
  ["Runs", (one) => cadence(one), "wide"],
  ["Rules", (one) => chip(one.rules), "wide"],
];

export const due = (one) => (Date.parse(one.next_run_at) <= Date.now() ? "due now" : when(one.next_run_at));

export const cadence = (one) => `${one.cadence}, from ${String(one.run_at_hour).padStart(2, "0")}:00 ${one.timezone}`;
