// The demo's requests: to the broker, with a token that only this module holds, and to the bucket, without one.

const page = document.getElementById("demo");
/** The field of the demo's uploads. */
export const field = page.dataset.field;
/** The field's maximum size in bytes. */
export const maxSize = Number(page.dataset.maxSize);
/** The broker's base URL, for the curl commands. */
export const base = new URL(".", location.href).href.replace(/\/$/, "");

let token = null;
let endsAt = 0;

/** A token for the demo's field, renewed a minute before it expires. */
export async function freshToken() {
  if (performance.now() > endsAt) {
    const answer = await fetch("demo/token", { method: "POST" });
    const given = await answer.json();
    if (!answer.ok) throw new Error(given.detail ?? "the broker issued no token");
    token = given.token;
    endsAt = performance.now() + (given.expires_in - 60) * 1000;
  }
  return token;
}

/** Reads a response: status, times, and the error of the broker (JSON) or of the bucket (XML). */
async function result(response, begun) {
  const text = await response.text();
  const ended = performance.now();
  let code = null, detail = null, json = null;
  if (response.headers.get("content-type")?.includes("json")) {
    json = JSON.parse(text || "null");
    if (!response.ok) ({ code, detail } = json);
  } else if (!response.ok && text.startsWith("<")) {
    const xml = new DOMParser().parseFromString(text, "text/xml");
    code = xml.querySelector("Code")?.textContent ?? null;
    detail = xml.querySelector("Message")?.textContent ?? null;
  }
  return { ok: response.ok, status: response.status, json, code, detail, begun, ended };
}

/** One request to the broker's API. */
export async function broker(method, path, body) {
  const headers = { Authorization: `Bearer ${await freshToken()}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const begun = performance.now();
  const response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  return result(response, begun);
}

/** One request to the bucket. */
export async function bucket(method, url, headers, body) {
  const begun = performance.now();
  return result(await fetch(url, { method, headers, body }), begun);
}

/** A presigned PUT with progress, which `fetch` doesn't report. */
export function put(presigned, body, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(presigned.method, presigned.url);
    for (const [name, value] of Object.entries(presigned.headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => progress(event.loaded, event.total));
    request.addEventListener("error", () => reject(new Error("the bucket could not be reached")));
    const begun = performance.now();
    request.addEventListener("load", () => {
      const headers = { "content-type": request.getResponseHeader("content-type") ?? "" };
      // A `Response` of status 204 can't have a body.
      const body = request.responseText || null;
      resolve(result(new Response(body, { status: request.status, headers }), begun));
    });
    request.send(body);
  });
}

/** How many bytes of request bodies the broker has read since it started. */
export async function bodyBytes() {
  return (await (await fetch("demo/seen")).json()).body_bytes;
}

/** The create body that declares this file. */
export const declared = (file, name = file.name) => ({ field, filename: name, content_type: file.type, size: file.size });

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The three requests as curl commands. */
export const curl = {
  create: (body) => `curl -sS ${base}/v1/uploads -H "Authorization: Bearer $TOKEN" \\\n  -H 'Content-Type: application/json' \\\n  -d ${quoted(JSON.stringify(body))}`,
  put: (presigned, name) => [
    `curl -sS -X ${presigned.method} --data-binary ${quoted(`@./${name}`)}`,
    ...Object.entries(presigned.headers).map(([key, value]) => `-H ${quoted(`${key}: ${value}`)}`),
    quoted(presigned.url),
  ].join(" \\\n  "),
  confirm: (id) => `curl -sS -X POST ${base}/v1/uploads/${id}/confirm \\\n  -H "Authorization: Bearer $TOKEN"`,
};
