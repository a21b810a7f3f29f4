// The organisations, with their last and next runs.

import { h } from "./dom.js";
import { date, NONE, when } from "./format.js";
import { get, query } from "./net.js";
import { chip, empty, orgLink, section, table, title } from "./parts.js";
import { pages } from "./view-runs.js";

export const name = () => "Organisations";

export async function load(_args, signal, { cursor, starts }) {
  return { page: await get(`v1/orgs${query({ cursor, starts })}`, signal), cursor, starts };
}

export const everyMs = () => 15000;

export function render({ page, cursor, starts }) {
  const none = starts ? `No organisation's name begins with ${starts}.` : "There is no organisation yet: mailtide orgs add ORG, then mailtide upload ORG FILE.";
  return [
    title("Organisations"),
    section("Last and next runs",
      page.next_cursor || cursor || starts ? find(starts) : null,
      page.orgs.length ? table("Organisations", COLUMNS, page.orgs, (one) => one.org) : empty(none),
      pages(page.next_cursor, cursor || starts, { starts })),
  ];
}

const find = (starts) => h("form", { class: "find" },
  h("label", { for: "starts" }, "Names that begin with"), " ",
  h("input", { id: "starts", name: "starts", type: "search", maxlength: 63, autocapitalize: "none", autocomplete: "off", spellcheck: "false", value: starts || "" }), " ",
  h("button", null, "Show"));

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
