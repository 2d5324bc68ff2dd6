// What the dashboard asks the API, with a token that lives in this module's memory and nowhere else.

/** How long the answer to a question may take, in milliseconds. */
const PATIENCE_MS = 15_000;
/** How long the answer to an action may take: a sweep begins its last batch after 20 s, and that has to end too. */
const ACTION_PATIENCE_MS = 45_000;

let token = null;
/** The broker's time and this page's when it was told, in milliseconds. */
let told = null;

/** Takes a token, or forgets it. */
export function setToken(value) {
  token = value;
}

/** Takes the broker's time from an answer. */
export function setTime(at) {
  told = { at: Date.parse(at), here: performance.now() };
}

/** The broker's time now, in milliseconds: the reader's clock may be wrong. */
export const now = () => (told === null ? Date.now() : told.at + performance.now() - told.here);

/** An answer that is no success. */
export class Refused extends Error {
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

/** What is said of an action that has no success: it was not done only where the broker says so. */
export function notDone({ status, code, message }) {
  const isRefused = (status >= 400 && status < 500) || code === "store-unavailable";
  return isRefused ? `Not done: ${message}` : `Not known whether it was done: ${message}`;
}

/** One request; gives the answer's JSON, or throws what was refused. */
export async function api(method, path, body) {
  const headers = { Authorization: `Bearer ${token}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const patience = method === "GET" ? PATIENCE_MS : ACTION_PATIENCE_MS;
  const options = { method, headers, signal: AbortSignal.timeout(patience), cache: "no-store" };
  let response;
  try {
    response = await fetch(path, body === undefined ? options : { ...options, body: JSON.stringify(body) });
  } catch (error) {
    const why = error.name === "TimeoutError" ? `no answer within ${patience / 1000} s` : "the broker can't be reached";
    throw new Refused(0, "unreachable", why);
  }
  let json = null;
  try {
    json = await response.json();
  } catch {
    // A proxy's page, or an answer that was cut off.
  }
  if (response.ok && json) return json;
  throw new Refused(response.status, json?.code ?? "unknown", json?.detail ?? `the answer was ${response.status} without a reason`);
}
