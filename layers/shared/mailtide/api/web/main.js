// The page: who is signed in, which view is shown, and keeping it fresh.

import { carryOut, isOrder, say } from "./ask.js";
import { h, patchChildren } from "./dom.js";
import { timeOfDay } from "./format.js";
import { get, order, query, Refused } from "./net.js";
import { alarm, empty, title } from "./parts.js";
import * as org from "./view-org.js";
import * as orgs from "./view-orgs.js";
import * as run from "./view-run.js";
import * as runs from "./view-runs.js";
import * as settings from "./view-settings.js";
import * as warmup from "./view-warmup.js";

const LONGEST_MS = 60000;
// After an order something is about to change.
const HURRY_MS = 1500;
const HURRIES_FOR_MS = 45000;
const NAV = [
  ["runs", "Runs", ["operator", "org"]],
  ["orgs", "Organisations", ["operator", "org"]],
  ["warmup", "Warm-up", ["operator", "user"]],
  ["settings", "Settings", ["operator"]],
];
const VIEWS = { "runs/0": runs, "runs/2": run, "orgs/0": orgs, "orgs/1": org, "warmup/0": warmup, "settings/0": settings };

const main = document.querySelector("main");
const nav = document.querySelector("nav");
const whoBox = document.querySelector(".who");
const fresh = document.querySelector(".fresh");

let who = null;
let stop = null; // ends the requests and timers of the view that is shown
let refresh = () => {};

const show = (...content) => {
  const kept = h("div", null, content);
  patchChildren(main, [...kept.childNodes]);
};

function route() {
  const [place, asked] = location.hash.replace(/^#\/?/, "").split("?");
  const [view, ...args] = place.split("/").filter(Boolean).map(plain);
  const first = view || home();
  return { first, args, view: VIEWS[`${first}/${args.length}`], asked: Object.fromEntries(new URLSearchParams(asked || "")) };
}

// An address that was cut in the midst of a letter names what it says.
function plain(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const allowed = () => NAV.filter(([, , scopes]) => scopes.includes(who.scope));
const home = () => allowed()[0][0];

function frame(first) {
  nav.hidden = whoBox.hidden = who === null;
  if (who === null) return;
  nav.replaceChildren(h("ul", null, allowed().map(([name, text]) =>
    h("li", null, h("a", { href: `#/${name}`, "aria-current": name === first ? "page" : null }, text)))));
  whoBox.querySelector("span").textContent = who.org || who.user || who.token;
}

function open(isMoved) {
  if (stop) stop.abort();
  if (who === null) return signIn();
  const { first, args, view, asked } = route();
  frame(first);
  main.replaceChildren();
  fresh.textContent = "";
  if (!view || !allowed().some(([name]) => name === first)) {
    document.title = "mailtide";
    show(title("Nothing here"), empty("There is no such view, or it is not this token's."));
    return undefined;
  }
  document.title = `${view.name(args)} – mailtide`;
  show(title(view.name(args)), empty("Loading …"));
  if (isMoved) {
    main.querySelector("h1").focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  stop = new AbortController();
  keepFresh(view, args, asked, stop.signal);
  return undefined;
}

// Asks again and again: slower after failures, not at all while nobody looks.
function keepFresh(view, args, asked, signal) {
  let timer = 0;
  let failures = 0;
  let isAsking = false;
  let hurriesUntil = 0;
  const next = (waitMs) => {
    clearTimeout(timer);
    const soon = Date.now() < hurriesUntil ? Math.min(waitMs, HURRY_MS) : waitMs;
    if (!signal.aborted && !document.hidden) timer = setTimeout(ask, soon);
  };
  const ask = async () => {
    if (isAsking || signal.aborted) return;
    isAsking = true;
    clearTimeout(timer);
    try {
      const data = await view.load(args, signal, asked);
      failures = 0;
      show(view.render(data, who));
      fresh.textContent = `As of ${timeOfDay(new Date())}.`;
      fresh.className = "fresh";
      next(view.everyMs(data));
    } catch (error) {
      if (signal.aborted) return;
      failures += 1;
      failed(error, Math.min(LONGEST_MS, 2000 * 2 ** failures), next);
    } finally {
      isAsking = false;
    }
  };
  const looked = () => (document.hidden ? clearTimeout(timer) : ask());
  document.addEventListener("visibilitychange", looked, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
  refresh = () => {
    hurriesUntil = Date.now() + HURRIES_FOR_MS;
    ask();
  };
  ask();
}

function failed(error, waitMs, next) {
  if (!(error instanceof Refused)) {
    reportError(error);
    failed(new Refused(0, "The answer cannot be shown."), waitMs, next);
    return;
  }
  if (error.status === 401) {
    who = null;
    signIn(error.message);
    return;
  }
  if (error.status === 403) recheck();
  const isLasting = [400, 403, 404].includes(error.status);
  if (isLasting) show(title("Nothing here"), alarm(error.message));
  const again = isLasting ? "" : ` Trying again in ${Math.round(waitMs / 1000)} s.`;
  fresh.textContent = isLasting ? "" : `${error.message}${again}`;
  fresh.className = "fresh bad";
  if (!isLasting) next(waitMs);
}

function signIn(sentence) {
  if (stop) stop.abort();
  frame();
  fresh.textContent = "";
  document.title = "Sign in – mailtide";
  main.replaceChildren(h("form", { class: "sign-in" },
    h("h1", { tabindex: "-1" }, "Sign in"),
    h("p", null, "With a token of this deployment: ", h("code", null, "mailtide tokens add NAME --operator"), " or ", h("code", null, "--org ORG"), " makes one."),
    h("label", { for: "token" }, "Token"),
    h("input", { id: "token", type: "password", autocomplete: "current-password", autocapitalize: "none", spellcheck: "false", required: true, maxlength: 128, "aria-describedby": "refused" }),
    h("p", { id: "refused", class: "refused", role: "alert" }, sentence || ""),
    h("button", { class: "primary" }, "Sign in")));
  main.querySelector("input").focus();
}

async function enter(form) {
  const field = form.querySelector("input");
  const pressed = form.querySelector("button");
  const refused = form.querySelector(".refused");
  pressed.disabled = true;
  refused.textContent = "";
  try {
    const token = field.value.trim();
    // A header holds no other letters, and no token has them.
    if (!/^[\x21-\x7e]+$/.test(token)) throw new Refused(401, "This token is not known, or it has expired.");
    who = await order("POST", "v1/session", undefined, { Authorization: `Bearer ${token}` });
    tabs.postMessage("signed in");
    open(true);
  } catch (error) {
    refused.textContent = error.message;
    field.setAttribute("aria-invalid", "true");
    field.focus();
  } finally {
    pressed.disabled = false;
  }
}

async function leave() {
  try {
    await order("DELETE", "v1/session");
  } catch (error) {
    if (error.status !== 401) {
      say(error.message, true);
      return;
    }
  }
  tabs.postMessage("signed out");
  who = null;
  signIn();
}

// All tabs share one cookie: whoever signs in or out in one does so in each.
const tabs = new BroadcastChannel("mailtide-session");
tabs.addEventListener("message", recheck);

async function recheck() {
  let now = null;
  try {
    now = await get("v1/session");
  } catch (error) {
    if (error.status !== 401) return;
  }
  const isSame = now !== null && who !== null && now.token === who.token && now.scope === who.scope;
  if (isSame || (now === null && who === null)) return;
  who = now;
  open(false);
}

async function begin(failures = 0) {
  try {
    who = await get("v1/session");
  } catch (error) {
    who = null;
    if (error.status !== 401) {
      const waitMs = Math.min(LONGEST_MS, 2000 * 2 ** failures);
      show(title("mailtide"), alarm(error.message));
      fresh.textContent = `Trying again in ${Math.round(waitMs / 1000)} s.`;
      setTimeout(begin, waitMs, failures + 1);
      return;
    }
  }
  open(false);
}

document.addEventListener("click", async (event) => {
  if (event.target.closest(".skip")) {
    // Its address would be taken for a view.
    event.preventDefault();
    main.focus();
    return;
  }
  const pressed = event.target.closest("[data-do]");
  if (!pressed) return;
  const { do: act, ...data } = pressed.dataset;
  if (act === "sign-out") await leave();
  else if (isOrder(act) && (await carryOut(act, data))) refresh();
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method === "dialog") return;
  event.preventDefault();
  if (form.matches(".sign-in")) enter(form);
  else location.hash = `${location.hash.split("?")[0]}${query(Object.fromEntries(new FormData(form)))}`;
});

// While nobody is signed in the view of the address waits.
addEventListener("hashchange", () => {
  if (who !== null) open(true);
});

begin();
