// The settings in force, with those that differ from the default first to be found.

import { h } from "./dom.js";
import { get } from "./net.js";
import { chip, section, table, title } from "./parts.js";

export const name = () => "Settings";

export const load = (_args, signal) => get("v1/settings", signal);

export const everyMs = () => 60000;

const LONG = 100;

// A table of prices, say, is folded away.
const value = (text) =>
  text.length > LONG
    ? h("details", null, h("summary", null, `${text.length} characters`), h("span", { class: "code value" }, text))
    : h("span", { class: "code value" }, text || "empty");

const PARTS = { runs: "Runs", "warm-up": "Warm-up", api: "API" };

export function render(found) {
  const columns = [
    ["Setting", (one) => [h("span", { class: "code" }, one.name), h("span", { class: "reason plain" }, one.description)], "name"],
    ["Value", (one) => [value(one.value), one.changed && one.default !== null ? [" ", chip("changed")] : null]],
    ["Default", (one) => (one.default === null ? "none" : one.changed ? value(one.default) : "the same"), "wide"],
  ];
  return [
    title("Settings in force"),
    h("p", { class: "soft" }, `mailtide ${found.version}. They are set when the stack is deployed, or in the environment of mailtide serve; secrets are not shown.`),
    Object.entries(PARTS).map(([part, heading]) =>
      section(heading, table(`Settings of ${heading}`, columns, found.settings.filter((one) => one.part === part), (one) => one.name))),
  ];
}
