// What is broken in the domains of the mailboxes, by the last check of their DNS, and what to do about it.

import { h } from "./dom.js";
import { number, when } from "./format.js";
import { getOr, query } from "./net.js";
import { counted, empty, section, table } from "./parts.js";

const ROWS = 20;

export const loadDomains = (signal) => getOr(`api/warmup/domains${query({ limit: ROWS })}`, signal, [403, 404], () => null);

const COLUMNS = [
  ["Domain", (one) => one.domain, "name"],
  ["Mailboxes", (one) => (one.mailboxes ? number(one.mailboxes) : "not counted yet"), "wide number"],
  ["Checked", (one) => (one.checked_ms ? when(new Date(one.checked_ms).toISOString()) : "not yet"), "wide"],
  ["What is broken, and what to do", (one) => one.broken.map((found) =>
    h("p", null, h("b", null, found.check), ` ${found.what}`, h("span", { class: "reason" }, found.todo)))],
];

export function domainsSection(found) {
  if (!found || !found.known) return null;
  const unchecked = found.unchecked ? ` ${counted(found.unchecked, "domain")} will be checked within a day.` : "";
  if (!found.broken) return section("Domains", empty(`Nothing is broken in ${counted(found.known, "domain")}.${unchecked}`));
  return section("Domains",
    h("p", { class: "soft" }, `Something is broken in ${number(found.broken)} of ${counted(found.known, "domain")}.${unchecked}`),
    table("Domains in which something is broken", COLUMNS, found.domains, (one) => one.domain),
    found.broken > found.domains.length ? empty(`At most ${ROWS} are listed; GET /api/warmup/domains has all.`) : null);
}
