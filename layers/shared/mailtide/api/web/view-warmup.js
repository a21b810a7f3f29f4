// The warm-up: how far the day is, whether all is well and why not, and who is behind.

import { hoursChart } from "./charts.js";
import { h, s } from "./dom.js";
import { domainsSection, loadDomains } from "./domains.js";
import { number, percent, span, when } from "./format.js";
import { get, getOr, query } from "./net.js";
import { placement } from "./placement.js";
import { alarm, bar, button, chip, counted, empty, section, table, tile, tiles, title } from "./parts.js";

export const name = () => "Warm-up";

const ROWS = 20;
const nothing = () => null;

export async function load(_args, signal) {
  const [metrics, now, failing, behind, domains, placed] = await Promise.all([
    getOr("api/warmup/metrics", signal, [404], nothing),
    get("v1/warmup", signal),
    getOr(`api/warmup/quota${query({ status: "failing", limit: ROWS })}`, signal, [404], nothing),
    getOr(`api/warmup/quota${query({ status: "behind", limit: ROWS })}`, signal, [404], nothing),
    loadDomains(signal),
    get(`api/warmup/placement${query({ limit: ROWS })}`, signal),
  ]);
  return { metrics, now, failing, behind, domains, placed };
}

export const everyMs = () => 10000;

export function render({ metrics, now, failing, behind, domains, placed }, who) {
  const operator = who.scope === "operator";
  const whom = operator ? {} : { user: who.user };
  const stopped = operator ? now.paused : now.user_paused;
  return [
    title("Warm-up", stopped ? chip("paused") : operator && metrics ? chip(metrics.system_health) : null),
    stopped ? alarm(operator ? "Everything is paused: no mail goes out." : "Your mails are paused.") : null,
    operator && metrics ? reasons(metrics) : null,
    h("p", { class: "buttons" },
      stopped ? button("Resume", "resume", whom, "primary") : button("Pause", "pause", whom),
      button("Offer what is due", "trigger", whom)),
    metrics ? today(metrics, now, operator) : empty("There is no roster of today yet: no tick has come by, or there is no mailbox."),
    operator ? section("The last 24 hours", hoursChart(now.hours, now.limit_per_hour)) : null,
    metrics ? section("Mailboxes", quotas(metrics.quota), mailboxes(failing, behind)) : null,
    placement(placed, operator),
    domainsSection(domains),
    operator && metrics ? section("The day's plan", h("p", null, metrics.pairing), metrics.warnings.map((text) => alarm(text))) : null,
  ];
}

// The same bounds as mailtide.warmup.health goes by.
function reasons(metrics) {
  const { emails_sent_today: sent, emails_failed_today: failed, expected_by_now: expected } = metrics;
  const found = [];
  const lost = sent + failed ? failed / (sent + failed) : 0;
  const done = expected >= 1 ? sent / expected : 1;
  if (lost > 0.1) found.push(`${percent(lost, 1)} of the mails that ended failed; above 10 % is degraded, above 20 % critical.`);
  if (done < 0.6) found.push(`${percent(done)} of what the time of day would have was sent; below 60 % is degraded, below 30 % critical.`);
  const stale = metrics.figures_age_seconds > 2 * metrics.tick_seconds;
  if (stale) found.push(`The oldest figures are ${span(metrics.figures_age_seconds)} old; a tick is ${span(metrics.tick_seconds)}.`);
  if (metrics.dead_letters) found.push(`${counted(metrics.dead_letters, "message")} in the dead-letter queues.`);
  if (!found.length) return h("p", { class: "soft" }, `All is well: ${percent(done)} of what was due by now is sent, ${percent(lost, 1)} of the mails failed.`);
  return h("ul", { class: "reasons" }, found.map((text) => h("li", null, text)));
}

function today(metrics, now, operator) {
  const { emails_sent_today: sent, emails_failed_today: failed, planned_today: planned } = metrics;
  const expected = operator && planned ? metrics.expected_by_now / planned : null;
  const rate = planned ? sent / planned : 0;
  return section("Today",
    h("div", { class: "quota" },
      h("p", null, h("b", null, number(sent)), ` of ${number(planned)} mails sent`, h("span", { class: "soft" }, ` (${percent(rate, 1)}${expected === null ? "" : `; ${percent(expected, 1)} by this time of day`})`)),
      bar(rate, expected, `${percent(rate, 1)} of today's mails are sent`)),
    operator ? load24(metrics, now) : null,
    tiles(
      tile("Failed", number(failed)),
      operator ? tile("Queue", number(metrics.queue_depth), "messages visible") : null,
      operator ? tile("Oldest due", span(metrics.oldest_message_age_seconds), "nobody has taken it") : null,
      operator ? tile("In flight", number(metrics.in_flight)) : null,
      operator ? tile("Mailboxes", number(metrics.active_mailboxes), `of ${number(metrics.total_mailboxes)} in the roster`) : tile("Mailboxes", number(metrics.mailboxes)),
      operator ? tile("Yesterday", metrics.quota_completion_rate_yesterday === null ? "no roster" : percent(metrics.quota_completion_rate_yesterday, 1), "of the plan") : null,
      operator && now.paused_users ? tile("Paused users", number(now.paused_users)) : null,
      metrics.as_of_ms ? tile("Figures of", when(new Date(metrics.as_of_ms).toISOString())) : null));
}

function load24(metrics, now) {
  const rate = metrics.throughput_per_hour / now.limit_per_hour;
  return h("div", { class: "quota" },
    h("p", null, h("b", null, number(metrics.throughput_per_hour)), ` mails an hour of the ${number(now.limit_per_hour)} that the limits let through`, h("span", { class: "soft" }, ` (${percent(rate)})`)),
    bar(rate, null, `${percent(rate)} of the hourly limit is used`));
}

const STATUSES = ["complete", "on_track", "behind", "failing"];

function quotas(quota) {
  const whole = Math.max(1, STATUSES.reduce((all, status) => all + quota[status], 0));
  let x = 0;
  const parts = STATUSES.map((status) => {
    const width = (1000 * quota[status]) / whole;
    const part = s("rect", { class: `q-${status}`, x, width, height: 10 });
    x += width;
    return part;
  });
  const name = STATUSES.map((status) => `${number(quota[status])} ${status.replace("_", " ")}`).join(", ");
  return h("div", { class: "quota" },
    s("svg", { class: "bar", viewBox: "0 0 1000 10", preserveAspectRatio: "none", role: "img", "aria-label": name }, parts),
    h("ul", { class: "legend" }, STATUSES.map((status) => h("li", null, chip(status), ` ${number(quota[status])}`))));
}

function mailboxes(failing, behind) {
  const rows = [...(failing ? failing.mailboxes : []), ...(behind ? behind.mailboxes : [])];
  const more = (failing && failing.next_cursor) || (behind && behind.next_cursor);
  if (!rows.length) return empty("No mailbox is behind its quota.");
  const columns = [
    ["Mailbox", (one) => one.mailbox_id, "name"],
    ["Status", (one) => [chip(one.status), one.why ? h("span", { class: "reason" }, one.why) : null]],
    ["User", (one) => one.user_id, "wide"],
    ["Sent", (one) => `${number(one.sent)} of ${number(one.target)}`, "number"],
    ["Failed", (one) => number(one.failed), "wide number"],
    ["", (one) => button("Pause", "pause", { mailbox: one.mailbox_id }, "small"), "acts"],
  ];
  return [table("Mailboxes that fail or are behind", columns, rows, (one) => one.mailbox_id), more ? empty(`At most ${ROWS} of each are listed; GET /api/warmup/quota has all.`) : null];
}
