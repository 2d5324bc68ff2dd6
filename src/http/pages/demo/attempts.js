// Five attacks on the broker. Each yields its requests with the responses; `ok` is whether the response is the expected one.

import { el } from "../docs/dom.js";
import { broker, bucket, declared, maxSize } from "./requests.js";

const SMALL = 1000;

/** A file of random bytes. */
function randomFile(size, type) {
  const content = new Uint8Array(size);
  crypto.getRandomValues(content);
  return new File([content], "attempt.png", { type });
}

const picture = (size = SMALL) => randomFile(size, "image/png");

async function sha256(blob) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()));
  return btoa(String.fromCharCode(...digest));
}

/** Creates an upload that declares this file; `more` is added to the declaration. */
async function pending(file, more = {}) {
  const created = await broker("POST", "v1/uploads", { ...declared(file), ...more });
  if (!created.ok) throw new Error(created.detail);
  return created.json;
}

const send = (upload, body, headers = upload.presigned.headers) => bucket(upload.presigned.method, upload.presigned.url, headers, body);

/** A response that has to be a 4xx. */
const refused = (did, by, answer) => ({ did, by, answer, ok: answer.status >= 400 && answer.status < 500 });

async function* wrongType() {
  const page = new File(["<!doctype html><script>alert(1)</script>"], "picture.html", { type: "text/html" });
  yield refused("Declared text/html", "broker", await broker("POST", "v1/uploads", declared(page)));
  const disguised = new File([page], "picture.png", { type: "image/png" });
  const upload = await pending(disguised);
  const headers = { ...upload.presigned.headers, "content-type": "text/html" };
  yield refused("Declared image/png, sent text/html", "bucket", await send(upload, page, headers));
}

async function* tooBig() {
  const body = { ...declared(picture()), size: maxSize + 1 };
  yield refused("Declared one byte too many", "broker", await broker("POST", "v1/uploads", body));
  const upload = await pending(picture());
  yield refused("Declared 1,000 bytes, sent 2,000", "bucket", await send(upload, picture(2 * SMALL)));
}

async function* wrongBytes() {
  const shown = picture();
  const checksum = { algorithm: "sha256", value: await sha256(shown) };
  const upload = await pending(shown, { checksum });
  yield refused("Sent bytes that don't match the checksum", "bucket", await send(upload, picture()));
  yield refused("Confirmed anyway", "broker", await broker("POST", `v1/uploads/${upload.id}/confirm`));
}

async function* overwrite() {
  const original = picture();
  const upload = await pending(original);
  await send(upload, original);
  const confirmed = await broker("POST", `v1/uploads/${upload.id}/confirm`);
  if (!confirmed.ok) throw new Error(confirmed.detail);
  const again = await send(upload, picture());
  // The bucket may accept it: the URL is for the staging key, which isn't read any more.
  const did = "Sent other bytes to the presigned URL";
  yield { did, by: "bucket", answer: again, ok: true, note: again.ok ? "accepted, for the staging key, which isn't read any more" : null };
  const twice = await broker("POST", `v1/uploads/${upload.id}/confirm`);
  const same = twice.json?.key === confirmed.json.key && twice.json?.etag === confirmed.json.etag;
  yield { did: "Confirmed again", by: "broker", answer: twice, ok: same, note: same ? "the same key and ETag as before" : "another object is recorded" };
  const { url } = (await broker("GET", `v1/uploads/${upload.id}/download`)).json;
  const served = await (await fetch(url)).blob();
  const unchanged = (await sha256(served)) === (await sha256(original));
  yield { did: "Read the object", by: "bucket", answer: { status: 200 }, ok: unchanged, note: unchanged ? "the bytes of the first picture" : "its bytes have changed" };
  const direct = await bucket("PUT", new URL(new URL(url).pathname, url).href, upload.presigned.headers, picture());
  yield refused("Sent other bytes to the object's URL", "bucket", direct);
}

async function* abandon() {
  const upload = await pending(picture());
  const sent = await send(upload, picture());
  yield { did: "Sent a picture, did not confirm", by: "bucket", answer: sent, ok: sent.ok, note: `pending until ${new Date(upload.expires_at).toLocaleString("en-GB")}; then the sweeper checks it` };
  yield refused("Requested the object's URL", "broker", await broker("GET", `v1/uploads/${upload.id}/download`));
  const staged = new URL(new URL(upload.presigned.url).pathname, upload.presigned.url).href;
  yield refused("Requested the staging object", "bucket", await bucket("GET", staged));
}

const ATTEMPTS = { type: wrongType, size: tooBig, bytes: wrongBytes, overwrite, abandon };

function line({ did, by, answer, ok, note }) {
  const status = answer.code ? `${answer.status} ${answer.code}` : String(answer.status);
  const detail = note ?? answer.detail;
  return el("li", { "data-ok": ok },
    el("span", { class: "did" }, did),
    el("span", { class: "said" }, el("span", { class: "by" }, by), " ", el("code", {}, status)),
    detail ? el("span", { class: "detail" }, detail) : null);
}

/** Runs an attack and shows each response as it arrives. */
export async function attempt(name) {
  const article = document.querySelector(`[data-attempt="${name}"]`);
  const list = article.querySelector(".answers");
  list.replaceChildren();
  delete article.dataset.verdict;
  let blocked = true;
  try {
    for await (const step of ATTEMPTS[name]()) {
      blocked &&= step.ok;
      list.append(line(step));
    }
  } catch (error) {
    blocked = false;
    list.append(el("li", { "data-ok": "false" }, error.message));
  }
  list.append(el("li", { class: "verdict" }, blocked ? "Blocked." : "Not blocked."));
  article.dataset.verdict = blocked ? "blocked" : "broken";
}
