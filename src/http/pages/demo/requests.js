// The requests of the demo: to the broker with a token that lives in this module alone, and to the bucket without one.

const page = document.getElementById("demo");
/** The field that the pictures are for. */
export const field = page.dataset.field;
/** The most bytes it takes. */
export const maxSize = Number(page.dataset.maxSize);
/** Where the broker is, for commands to paste. */
export const base = new URL(".", location.href).href.replace(/\/$/, "");

let token = null;
let endsAt = 0;

/** A token of the demo, a fresh one when the last is about to end. */
async function freshToken() {
  if (performance.now() > endsAt) {
    const answer = await fetch("demo/token", { method: "POST" });
    const given = await answer.json();
    if (!answer.ok) throw new Error(given.detail ?? "the broker gave no token");
    token = given.token;
    endsAt = performance.now() + (given.expires_in - 60) * 1000;
  }
  return token;
}

/** A short life is all that it has, so it may be pasted. */
export const tokenForPasting = freshToken;

/** What came back: its status and times, and what a refusal says, whoever refused. */
async function answered(response, begun) {
  const text = await response.text();
  const ended = performance.now();
  let code = null, detail = null, json = null;
  if (response.headers.get("content-type")?.includes("json")) {
    json = JSON.parse(text || "null");
    if (!response.ok) ({ code, detail } = json);
  } else if (!response.ok && text.startsWith("<")) {
    // The bucket speaks XML.
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
  return answered(response, begun);
}

/** One request to the bucket. */
export async function bucket(method, url, headers, body) {
  const begun = performance.now();
  return answered(await fetch(url, { method, headers, body }), begun);
}

/** A presigned PUT whose progress is told: `fetch` does not tell it. */
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
      // 204 and the like can't be made with a body.
      const body = request.responseText || null;
      resolve(answered(new Response(body, { status: request.status, headers }), begun));
    });
    request.send(body);
  });
}

/** How many bytes of bodies the broker has read since it started. */
export async function bytesSeen() {
  return (await (await fetch("demo/seen")).json()).body_bytes;
}

/** What a file is declared as. */
export const declared = (file, name = file.name) => ({ field, filename: name, content_type: file.type, size: file.size });

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The three requests as commands. */
export const curl = {
  create: (body) => `curl -sS ${base}/v1/uploads -H "Authorization: Bearer $TOKEN" \\\n  -H 'Content-Type: application/json' \\\n  -d ${quoted(JSON.stringify(body))}`,
  put: (presigned, name) => [
    `curl -sS -X ${presigned.method} --data-binary ${quoted(`@./${name}`)}`,
    ...Object.entries(presigned.headers).map(([key, value]) => `-H ${quoted(`${key}: ${value}`)}`),
    quoted(presigned.url),
  ].join(" \\\n  "),
  confirm: (id) => `curl -sS -X POST ${base}/v1/uploads/${id}/confirm \\\n  -H "Authorization: Bearer $TOKEN"`,
};
