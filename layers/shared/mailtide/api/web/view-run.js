// One run: what happened when, on which machines, for how much, and what it plans.

import { timeline, volumeChart } from "./charts.js";
import { h } from "./dom.js";
import { bytes, date, NONE, number, span, usd, words } from "./format.js";
import { get, path } from "./net.js";
import { alarm, button, chip, counted, empty, orgLink, progress, section, STATES, table, tile, tiles, title, took } from "./parts.js";

export const name = ([org]) => `Run of ${org}`;

export const load = ([org, run], signal) => get(`v1/runs/${path(org, run)}`, signal);

export const everyMs = (run) => (run.state in STATES ? 2000 : 20000);

const WORDS = { cancel: "Cancel run", retry: "Retry", approve: "Approve", reject: "Reject" };

export function render(run) {
  const open = run.state in STATES;
  return [
    h("p", { class: "trail" }, h("a", { href: "#/runs" }, "Runs"), " / ", orgLink(run.org), " / ", h("span", { class: "code" }, run.run)),
    title(`Run of ${run.org}`, chip(run.state), run.verdict ? chip(run.verdict) : null),
    open ? progress(run) : run.reason ? alarm(run.reason) : null,
    run.actions.length
      ? h("p", { class: "buttons" }, run.actions.map((act) => button(WORDS[act], act, { org: run.org, run: run.run }, act === "reject" || act === "cancel" ? "" : "primary")))
      : null,
    facts(run, open),
    section("Timeline", timeline(run.steps, open)),
    run.report && run.report.daily ? section("Planned mails by day", volumeChart(run.report.daily)) : null,
    run.report ? section("What the pass counted", counts(run.report)) : null,
    section("Machines and cost", machines(run), cost(run)),
    run.files.length ? section("Downloads", downloads(run)) : null,
  ];
}

function facts(run, open) {
  const plan = run.plan;
  const trigger = plan ? { upload: "an upload", timer: "its hour", demand: "a demand" }[plan.trigger] || plan.trigger : NONE;
  return tiles(
    tile("As of", date(run.as_of)),
    tile(open ? "So far" : "Took", took(run), plan && plan.expected_s ? `${span(plan.expected_s)} expected` : null),
    tile("Contacts", number(run.contacts), run.contacts !== null && (open || !run.report) ? "estimated" : null),
    tile("Database", plan ? bytes(plan.size_bytes) : NONE),
    tile("Woken by", trigger),
    tile("Cost", run.usd === null && plan ? usd(plan.expected_usd) : usd(run.usd), run.usd === null ? "expected" : "about"));
}

function counts(report) {
  const names = ["contacts", "eligible", "inserted", "updated", "deleted", "unchanged"];
  const skips = Object.entries(report.skips || {}).sort((one, other) => other[1] - one[1]);
  return [
    tiles(names.filter((one) => one in report).map((one) => tile(words(one), number(report[one])))),
    (report.warnings || []).map((text) => alarm(text)),
    skips.length
      ? h("details", null, h("summary", null, `${counted(skips.reduce((all, [, count]) => all + count, 0), "mail")} left out, by reason`),
        table("Mails left out, by reason", [["Reason", ([reason]) => words(reason)], ["Mails", ([, count]) => number(count), "number"]], skips, ([reason]) => reason))
      : null,
  ];
}

function machines(run) {
  if (!run.tries_made.length) return empty("No machine was needed yet.");
  const several = new Set(run.tries_made.map((one) => one.task)).size > 1;
  const columns = [
    ["Try", (one) => [`${several ? `${one.task}, ` : ""}${one.attempt}`, one.error ? h("span", { class: "reason" }, one.error) : null], "name"],
    ["State", (one) => chip(one.state)],
    ["Size", (one) => one.size || NONE],
    ["Machine", (one) => [one.machine_id ? h("span", { class: "code" }, one.machine_id) : NONE, one.region ? ` in ${one.region}` : "", one.kept ? ", kept" : ""], "wide"],
    ["Fetched in", (one) => span(one.fetch_s), "wide number"],
    ["Scheduled in", (one) => span(one.pass_s), "wide number"],
    ["Sent in", (one) => span(one.deliver_s), "wide number"],
    ["Cost", (one) => usd(one.usd), "wide number"],
  ].filter(([head]) => head !== "Cost" || run.tries_made.some((one) => one.usd !== null));
  return table("Machines", columns, run.tries_made, (one) => `${one.task}/${one.attempt}`);
}

function cost(run) {
  if (!run.cost) return null;
  return tiles(
    tile("Machine time", span(run.cost.machine_s), usd(run.cost.machine_usd)),
    tile("Transfer", usd(run.cost.egress_usd)),
    tile("Requests", usd(run.cost.requests_usd)),
    tile("In all", usd(run.cost.total_usd)));
}

function downloads(run) {
  return h("ul", { class: "files" }, run.files.map((file) => h("li", { "data-key": file.name },
    h("a", { href: `v1/runs/${path(run.org, run.run)}/files/${path(file.name)}`, download: true }, file.title), ` ${file.name}, ${bytes(file.size_bytes)}`)));
}
