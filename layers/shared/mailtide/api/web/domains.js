// What is broken in the domains of the mailboxes, by the last check of their DNS, and what to do about it.

import { h } from "./dom.js";
import { number, when } from "./format.js";
import { getOr, query } from "./net.js";
import { counted, empty, section } from "./parts.js";

const ROWS = 20;

export const loadDomains = (signal) => getOr(`api/warmup/domains${query({ limit: ROWS })}`, signal, [403, 404], () => null);

export function domainsSection(found) {
  if (!found || !found.known) return null;
  const unchecked = found.unchecked ? ` ${counted(found.unchecked, "domain")} will be checked within a day.` : "";
  if (!found.broken) return section("Domains", empty(`Nothing is broken in ${counted(found.known, "domain")}.${unchecked}`));
  return section("Domains",
    h("p", { class: "soft" }, `Something is broken in ${number(found.broken)} of ${counted(found.known, "domain")}.${unchecked}`),
    h("ul", { class: "reasons" }, found.domains.map(brokenDomain)),
    found.broken > found.domains.length ? empty(`At most ${ROWS} are listed; GET /api/warmup/domains has all.`) : null);
}

function brokenDomain(one) {
  const boxes = one.mailboxes ? `${counted(one.mailboxes, "mailbox", "mailboxes")}, ` : "";
  return h("li", { "data-key": one.domain },
    h("b", null, one.domain),
    h("span", { class: "soft" }, ` ${boxes}checked `, when(new Date(one.checked_ms).toISOString())),
    one.broken.map((finding) =>
      h("p", null, `${finding.check}: ${finding.what}`, h("span", { class: "reason" }, finding.todo))));
}
