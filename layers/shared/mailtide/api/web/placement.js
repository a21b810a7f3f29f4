// Where mails landed in seven days: by the recipient's provider, day by day, and who is held back and why.

import { h, s } from "./dom.js";
import { NONE, date, number, percent, shortDay } from "./format.js";
import { alarm, button, chip, counted, empty, section, table, tile, tiles } from "./parts.js";

const VERDICTS = ["inbox", "junk", "missing"];
const SHAPES = [["wide", 720, 190, 12], ["narrow", 350, 170, 11]];

export function placement(found, operator) {
  if (!found.day) {
    return section("Where mails land", empty("Nothing is known yet: recipients must be read (IMAP), and a night go by."), warnings(found));
  }
  return [
    section("Where mails land", total(found), providers(found.providers), legend(), reports(found), found.history.length > 1 ? history(found.history) : null, warnings(found)),
    section("Held back", held(found, operator)),
    found.unread.length ? section("Not read", unread(found)) : null,
  ];
}

function total({ total: all, day }) {
  if (all.share === null) return h("p", { class: "soft" }, "Nobody has looked for a mail in the seven days to ", date(day), ".");
  const seen = number(all.inbox + all.junk + all.missing);
  return h("div", { class: "quota" },
    h("p", null, h("b", null, percent(all.share, 1)), ` of ${seen} mails in the inbox`,
      h("span", { class: "soft" }, ` (the true share: ${sure(all)}; seven days to `, date(day), ")")));
}

const sure = ({ low, high }) => `${Math.floor(100 * low)} to ${Math.ceil(100 * high)} %`;

function providers(rows) {
  const columns = [
    ["Recipients at", (one) => [one.name, stacked(one)], "name"],
    ["In the inbox", (one) => (one.share === null ? NONE : percent(one.share, 1)), "number"],
    ["Sure of", sure, "wide number"],
    ["Junk", (one) => number(one.junk), "wide number"],
    ["Missing", (one) => number(one.missing), "wide number"],
    ["Mails", (one) => number(one.inbox + one.junk + one.missing), "number"],
  ];
  return rows.length ? table("Placement by provider", columns, rows, (one) => one.provider) : null;
}

function stacked(one) {
  const whole = Math.max(1, one.inbox + one.junk + one.missing);
  let x = 0;
  const parts = VERDICTS.map((verdict) => {
    const width = (1000 * one[verdict]) / whole;
    const part = s("rect", { class: `l-${verdict}`, x, width, height: 10 });
    x += width;
    return part;
  });
  const name = `${one.name}: ${VERDICTS.map((verdict) => `${number(one[verdict])} ${verdict}`).join(", ")}`;
  return s("svg", { class: "bar", viewBox: "0 0 1000 10", preserveAspectRatio: "none", role: "img", "aria-label": name }, parts);
}

const swatch = (kind) => s("svg", { class: "swatch", viewBox: "0 0 10 10", "aria-hidden": "true" }, s("rect", { class: kind, width: 10, height: 10, rx: 2 }));

const legend = () =>
  h("ul", { class: "legend" }, VERDICTS.map((verdict) =>
    h("li", null, swatch(`l-${verdict}`), verdict === "missing" ? "missing: not seen an hour after it was looked for" : verdict)));

const reports = (found) =>
  tiles(
    tile("Came back", number(found.bounces), "mails"),
    tile("Complaints", number(found.complaints)),
    tile("Slowed", number(found.slowed), "mailboxes"),
    tile("Quarantined", number(found.quarantined), "mailboxes"),
    tile("Graduated", number(found.graduated), `of ${counted(found.mailboxes, "mailbox", "mailboxes")}`));

// The score of each day, as bars from 0 to 100 %.
function history(days) {
  const first = days[0];
  const last = days.at(-1);
  const name = `Score by day: ${percent(first.share)} on ${first.day}, ${percent(last.share)} on ${last.day}.`;
  return h("figure", null, h("h3", null, "Score by day"), SHAPES.map(([kind, ...shape]) => drawing(kind, shape, days, name)),
    h("ul", { class: "legend" }, h("li", null, swatch("l-inbox"), "in the inbox, of the mails of seven days")));
}

function drawing(kind, [width, height, size], days, name) {
  const box = { left: size * 3.6, right: width - 4, top: 8, bottom: height - 2 * size };
  const y = (share) => box.bottom - (box.bottom - box.top) * share;
  const step = (box.right - box.left) / Math.max(7, days.length);
  const every = Math.ceil((size * 4.5) / step);
  const lines = [0, 0.25, 0.5, 0.75, 1].map((share) => [
    s("line", { class: "grid", x1: box.left, x2: box.right, y1: y(share), y2: y(share) }),
    s("text", { class: "tick", x: box.left - 6, y: y(share) + size / 3, "text-anchor": "end", "font-size": size }, percent(share)),
  ]);
  const bars = days.map((day, place) => {
    const x = box.left + place * step;
    const at = new Date(`${day.day}T12:00:00Z`);
    return [
      s("rect", { class: "l-inbox", x: x + step * 0.15, width: step * 0.7, y: y(day.share), height: Math.max(0, box.bottom - y(day.share)), rx: 1.5 },
        s("title", null, `${shortDay(at)}: ${percent(day.share, 1)} of ${number(day.seen)} mails`)),
      (days.length - 1 - place) % every ? null : label(x + step / 2, box.right, height - size / 2, size, shortDay(at)),
    ];
  });
  return s("svg", { class: `chart ${kind}`, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": name }, lines, bars);
}

// Below the middle of its bar, but for the last ones, which would not fit.
function label(middle, right, y, size, text) {
  const fits = middle + size * 1.8 <= right;
  return s("text", { class: "tick", x: fits ? middle : right, y, "text-anchor": fits ? "middle" : "end", "font-size": size }, text);
}

function held(found, operator) {
  if (!found.held.length) return empty("No mailbox is held back.");
  const columns = [
    ["Mailbox", (one) => [one.mailbox_id, h("span", { class: "reason" }, one.why)], "name"],
    ["Status", (one) => chip(one.status === "active" ? "slowed" : one.status)],
    ["User", (one) => one.user_id, "wide"],
    ...(operator ? [["", (one) => (one.status === "active" ? null : button("Resume", "resume", { mailbox: one.mailbox_id }, "small")), "acts"]] : []),
  ];
  const more = found.held_total - found.held.length;
  return [
    table("Mailboxes that are held back", columns, found.held, (one) => one.mailbox_id),
    more ? empty(`And ${number(more)} more; GET /api/warmup/placement has all.`) : null,
  ];
}

function unread(found) {
  const columns = [
    ["Mailbox", (one) => [one.mailbox_id, h("span", { class: "reason" }, one.why)], "name"],
    ["User", (one) => one.user_id, "wide"],
  ];
  const more = found.unread_total - found.unread.length;
  return [
    table("Mailboxes that cannot be read", columns, found.unread, (one) => one.mailbox_id),
    more ? empty(`And ${number(more)} more; GET /api/warmup/placement has all.`) : null,
  ];
}

const warnings = (found) =>
  found.warnings.length ? h("details", { open: true }, h("summary", null, "What owners must know"), found.warnings.map((text) => alarm(text))) : null;
