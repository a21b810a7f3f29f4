// All runs: those under way with their steps, then the last ones.

import { h } from "./dom.js";
import { when } from "./format.js";
import { get, query } from "./net.js";
import { chip, empty, progress, runLink, runTable, section, STATES, title, took } from "./parts.js";

export const name = () => "Runs";

const ALL_EVERY_MS = 60000;
const PAGE = 200;
// Of more organisations the rest is not looked through.
const MOST_PAGES = 25;
const NONE = { at: 0, from: null, unwell: [], isAll: false };
let others = NONE;
let isLooking = false;

export async function load(_args, signal, { cursor }) {
  const page = await get(`v1/runs${query({ cursor })}`, signal);
  if (cursor || !page.next_cursor) return { page, cursor, others: { ...NONE, isAll: !page.next_cursor }, isLooking: false };
  if (others.from !== page.next_cursor || Date.now() - others.at > ALL_EVERY_MS) lookThrough(page.next_cursor, signal);
  return { page, cursor, others, isLooking };
}

const isUnwell = (run) => run.state === "failed" || (run.state === "held" && !run.verdict);

// What is wrong must be seen on the first page, whatever its organisation is called. Nobody waits for it.
async function lookThrough(from, signal) {
  if (isLooking) return;
  isLooking = true;
  const unwell = [];
  let next = from;
  try {
    for (let pages = 0; next && pages < MOST_PAGES; pages += 1) {
      const page = await get(`v1/runs${query({ cursor: next, limit: PAGE })}`, signal);
      unwell.push(...page.runs.filter(isUnwell));
      next = page.next_cursor;
    }
    others = { at: Date.now(), from, unwell, isAll: !next };
  } catch {
    // The view says itself when there is no answer, and asks again.
  } finally {
    isLooking = false;
  }
}

export const everyMs = ({ page, isLooking: soon }) => (soon || page.runs.some((run) => run.state in STATES) ? 2000 : 10000);

export function render({ page, cursor, others: elsewhere, isLooking: soon }, who) {
  const open = page.runs.filter((run) => run.state in STATES);
  const ended = page.runs.filter((run) => !(run.state in STATES));
  const operator = who.scope === "operator";
  const last = operator ? ended : ended.slice(0, 1);
  const unwell = [...last.filter(isUnwell), ...elsewhere.unwell];
  const rest = ended.filter((run) => !unwell.includes(run));
  return [
    title("Runs", open.length ? chip(`${open.length} under way`) : null, unwell.length ? chip(`${unwell.length} to look at`) : null),
    ended.length && !unwell.length ? h("p", { class: "soft" }, operator && elsewhere.isAll && !cursor ? "All is well: no organisation's last run failed or waits for a person." : "All is well here.") : null,
    soon && elsewhere === NONE ? h("p", { class: "soft" }, "Further organisations are being looked through …") : null,
    unwell.length ? section("To look at", runTable("Runs that failed or wait for a person", unwell, true)) : null,
    cursor ? null : section("Under way",
      open.length ? h("ul", { class: "cards" }, open.map(card)) : empty("No run is under way."),
      page.more && operator ? empty("There are more than these; ask for one organisation.") : null),
    section(operator ? "Last run of each organisation" : "Runs",
      rest.length ? runTable("Runs that have ended", rest, true) : empty(ended.length ? "There is no other." : "No run has ended yet. The first one begins when a database is uploaded."),
      pages(page.next_cursor, cursor)),
  ];
}

export function pages(next, cursor, kept = {}) {
  if (!next && !cursor) return null;
  return h("p", { class: "pages" },
    cursor ? h("a", { href: location.hash.split("?")[0] }, "First page") : null, " ",
    next ? h("a", { href: `${location.hash.split("?")[0]}${query({ ...kept, cursor: next })}` }, "Next page") : null);
}

function card(run) {
  return h("li", { class: "card", "data-key": `${run.org}/${run.run}` },
    h("div", { class: "head" }, h("h3", null, runLink(run, run.org)), chip(run.state)),
    progress(run),
    h("p", { class: "soft" }, "Began ", when(run.opened_at), `, ${took(run)} so far.`));
}
