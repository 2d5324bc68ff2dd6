// What the dashboard asks the API, with a token that lives in this module's memory and nowhere else.

/** How long an answer may take, in milliseconds. */
const PATIENCE_MS = 15_000;

let token = null;

/** Takes a token, or forgets it. */
export function setToken(value) {
  token = value;
}

/** An answer that is no success. */
export class Refused extends Error {
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

/** One request; gives the answer's JSON, or throws what was refused. */
export async function api(method, path, body) {
  const headers = { Authorization: `Bearer ${token}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const options = { method, headers, signal: AbortSignal.timeout(PATIENCE_MS), cache: "no-store" };
  let response;
  try {
    response = await fetch(path, body === undefined ? options : { ...options, body: JSON.stringify(body) });
  } catch (error) {
    const why = error.name === "TimeoutError" ? `no answer within ${PATIENCE_MS / 1000} s` : "the broker can't be reached";
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
