// Orders: asked for in a dialog, sent once, and answered in a sentence.

import { h } from "./dom.js";
import { order, path } from "./net.js";

const CONTROL = "api/warmup/control";
const run = (data, verb) => [`v1/runs/${path(data.org, data.run)}/${verb}`];

// act -> heading, explanation, the word on the button, how it is sent, and for an order with a reason what the other button says
const ORDERS = {
  "run-now": (d) => [`Run ${d.org} now?`, "A run for today is made from the database as it stands, whatever the cadence.", "Run now", [`v1/orgs/${path(d.org)}/runs`]],
  retry: (d) => ["Retry this run?", `A run of ${d.org} for today takes its place.`, "Retry", run(d, "retry")],
  cancel: (d) => ["Cancel this run?", "Its machines are stopped, and nothing is published. The database stays as it is.", "Cancel the run", run(d, "cancel"), "Let it run"],
  approve: (d) => ["Approve this run?", "It is made again, for the same day, and published over the database. That cannot be undone here.", "Approve and publish", run(d, "approve")],
  reject: (d) => ["Reject this run?", "What it planned is never published. The database stays as it is.", "Reject", run(d, "reject")],
  pause: (d) => [`Pause ${whom(d)}?`, "No mail goes out from then on, but those that are being sent just now. Senders notice within 15 seconds.", "Pause", control(d, "pause")],
  resume: (d) => [`Resume ${whom(d)}?`, "Mails that are due go out again, within the limits.", "Resume", control(d, "resume")],
  trigger: (d) => [`Offer ${whom(d)} now?`, "What is due is offered to the senders now. Nothing goes out twice or too early.", "Offer now", control(d, "trigger")],
};

const whom = (d) => (d.mailbox ? `mailbox ${d.mailbox}` : d.user ? `the mails of ${d.user}` : "all mails");

function control(d, action) {
  const body = { action };
  if (d.mailbox) body.mailbox = d.mailbox;
  else if (d.user) body.user = d.user;
  return [CONTROL, body];
}

export const isOrder = (act) => Object.hasOwn(ORDERS, act);

export function say(sentence, isBad) {
  const place = document.querySelector(".notes");
  const note = h("p", { class: isBad ? "note bad" : "note" }, sentence);
  place.replaceChildren(note);
  setTimeout(() => note.remove(), isBad ? 15000 : 8000);
}

// Resolves when the order was carried out or refused; true when something may have changed.
export async function carryOut(act, data) {
  // One question at a time: the answer would count for both.
  if (document.querySelector("dialog").open) return false;
  const [heading, text, word, [target, body], keep] = ORDERS[act](data);
  const answer = await confirmed(heading, text, word, keep);
  if (answer === null) return false;
  try {
    const done = await order("POST", target, keep ? { reason: answer } : body, { "Idempotency-Key": crypto.randomUUID() });
    say(done.note || "Done.", false);
  } catch (error) {
    say(error.message, true);
  }
  return true;
}

// Resolves to the reason that was given, which may be empty; null when nothing is to be done.
function confirmed(heading, text, word, keep) {
  const dialog = document.querySelector("dialog");
  const yes = dialog.querySelector("[value=yes]");
  const reason = dialog.querySelector("input");
  reason.value = "";
  dialog.querySelector("label").hidden = !keep;
  dialog.querySelector("[value=no]").textContent = keep || "Cancel";
  dialog.querySelector("h2").textContent = heading;
  dialog.querySelector("p").textContent = text;
  yes.textContent = word;
  dialog.returnValue = "no";
  dialog.showModal();
  dialog.querySelector("[value=no]").focus();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes" ? reason.value.trim() : null), { once: true }));
}
