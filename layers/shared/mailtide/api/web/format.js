// Numbers, sizes, money and times for people.

import { h } from "./dom.js";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const moment = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const civil = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" });

export const NONE = "–";
export const number = (value) => (value === null || value === undefined ? NONE : whole.format(value));
export const compact = (value) => (value === null || value === undefined ? NONE : short.format(value));
export const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)} %`;
export const date = (text) => (text ? h("time", { datetime: text, title: text }, civil.format(new Date(`${text}T00:00:00Z`)).replace(",", "")) : NONE);
export const shortDay = (when) => day.format(when);
export const timeOfDay = (when) => clock.format(when);

export function usd(value) {
  if (value === null || value === undefined) return NONE;
  return value !== 0 && value < 0.01 ? `$${value.toPrecision(2)}` : `$${value.toFixed(2)}`;
}

export function bytes(value) {
  if (value === null || value === undefined) return NONE;
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let place = 0;
  let size = value;
  while (size >= 1000 && place < units.length - 1) {
    size /= 1000;
    place += 1;
  }
  return `${place === 0 ? size : size.toFixed(size < 10 ? 1 : 0)} ${units[place]}`;
}

export function span(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

// A moment as a person says it; the exact one is in the title and for machines.
export function when(text, now = Date.now()) {
  if (!text) return NONE;
  const at = new Date(text);
  const past = (now - at.getTime()) / 1000;
  let said = moment.format(at);
  if (past >= 0 && past < 5) said = "just now";
  else if (past >= 0 && past < 72000) said = `${span(past < 60 ? Math.round(past / 5) * 5 : past)} ago`;
  else if (past < 0 && past > -72000) said = `in ${span(-past)}`;
  return h("time", { datetime: at.toISOString(), title: at.toISOString().replace(".000Z", "Z") }, said);
}

export const words = (name) => name.replaceAll("_", " ");
