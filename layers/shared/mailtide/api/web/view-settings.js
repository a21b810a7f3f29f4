// The settings in force: those that somebody has changed, then all by part.

import { h } from "./dom.js";
import { get } from "./net.js";
import { empty, section, title } from "./parts.js";

export const name = () => "Settings";

export const load = (_args, signal) => get("v1/settings", signal);

export const everyMs = () => 60000;

const PARTS = { runs: "Runs", "warm-up": "Warm-up", api: "API" };
const LONG = 100;

export function render(found) {
  const changed = found.settings.filter((one) => one.changed && one.default !== null);
  return [
    title("Settings in force"),
    h("p", { class: "soft" }, `mailtide ${found.version}. They are set when the stack is deployed, or in the environment of mailtide serve; secrets are not shown.`),
    section("Not the default", changed.length ? list(changed, true) : empty("Every setting is at its default.")),
    Object.entries(PARTS).map(([part, heading]) => {
      const own = found.settings.filter((one) => one.part === part);
      return section(heading, h("details", null, h("summary", null, own.length === 1 ? "One setting" : `All ${own.length} settings`), list(own, false)));
    }),
  ];
}

const list = (settings, withDefault) => h("dl", { class: "settings" }, settings.map((one) =>
  h("div", { "data-key": one.name },
    h("dt", { class: "code" }, one.name),
    h("dd", null, value(one.value), h("small", null, one.description, withDefault ? [". Default: ", value(one.default)] : "")))));

// A table of prices, say, is folded away.
const value = (text) =>
  text.length > LONG
    ? h("details", null, h("summary", null, `${text.length} characters`), h("span", { class: "code" }, text))
    : h("span", { class: "code" }, text || "empty");
