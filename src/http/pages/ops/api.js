// The dashboard's requests to the API. The token lives in this module's memory and nowhere else.

const READ_TIMEOUT_MS = 15_000;
/** A sweep starts its last batch after up to 20 s, and that batch has to end too. */
const ACTION_TIMEOUT_MS = 45_000;

let token = null;
/** The broker's time and this page's clock when it arrived, in milliseconds. */
let clock = null;

/** Sets the token, or removes it with `null`. */
export function setToken(value) {
  token = value;
}

/** Sets the broker's time, from a response. */
export function setTime(at) {
  clock = { at: Date.parse(at), here: performance.now() };
}

/** The broker's time now, in milliseconds: the reader's clock may be wrong. */
export const now = () => (clock === null ? Date.now() : clock.at + performance.now() - clock.here);

/** An error response, or none at all. */
export class ApiError extends Error {
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

/** The message for an action that failed. It may have been done all the same unless the broker refused it. */
export function actionFailed({ status, code, message }) {
  const isRefused = (status >= 400 && status < 500) || code === "store-unavailable";
  return isRefused ? `Not done: ${message}` : `Outcome unknown: ${message}`;
}

/** Sends one request; returns the response's JSON or throws an `ApiError`. */
export async function api(method, path, body) {
  const headers = { Authorization: `Bearer ${token}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const timeout = method === "GET" ? READ_TIMEOUT_MS : ACTION_TIMEOUT_MS;
  const options = { method, headers, signal: AbortSignal.timeout(timeout), cache: "no-store" };
  let response;
  try {
    response = await fetch(path, body === undefined ? options : { ...options, body: JSON.stringify(body) });
  } catch (error) {
    const why = error.name === "TimeoutError" ? `no response within ${timeout / 1000} s` : "the broker can't be reached";
    throw new ApiError(0, "unreachable", why);
  }
  let json = null;
  try {
    json = await response.json();
  } catch {
    // A proxy's page, or a response that was cut off.
  }
  if (response.ok && json) return json;
  throw new ApiError(response.status, json?.code ?? "unknown", json?.detail ?? `status ${response.status} without a reason`);
}
