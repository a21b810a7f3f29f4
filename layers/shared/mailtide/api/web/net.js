// Requests to the API beside the page, with the session's cookie.

export class Refused extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

const QUIET_MS = 20000;

async function ask(path, options) {
  const limit = AbortSignal.timeout(QUIET_MS);
  const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit;
  let answer;
  try {
    answer = await fetch(path, { cache: "no-store", credentials: "same-origin", ...options, signal });
  } catch (error) {
    if (options.signal && options.signal.aborted) throw error;
    throw new Refused(0, "There was no answer; the connection or the API is down.");
  }
  let body = null;
  try {
    body = await answer.json();
  } catch {
    throw new Refused(answer.status, `The answer is not understood (status ${answer.status}).`);
  }
  if (!answer.ok) throw new Refused(answer.status, (body && body.error) || `Refused with status ${answer.status}.`);
  return body;
}

export const get = (path, signal) => ask(path, { method: "GET", signal });

// What is not there is no failure of a view that can do without it.
export async function getOr(path, signal, statuses, otherwise) {
  try {
    return await get(path, signal);
  } catch (error) {
    if (error instanceof Refused && statuses.includes(error.status)) return otherwise(error);
    throw error;
  }
}

export function order(method, path, body, headers = {}) {
  const sent = { "X-Mailtide": "page", ...headers };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  return ask(path, { method, headers: sent, body: body === undefined ? undefined : JSON.stringify(body) });
}

export const query = (values) => {
  const known = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return known.length ? `?${new URLSearchParams(known)}` : "";
};

export const path = (...parts) => parts.map(encodeURIComponent).join("/");
