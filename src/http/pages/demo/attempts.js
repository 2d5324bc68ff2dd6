// Five tries to get past the broker. Each says what it does and shows what it was told; `held` is whether that was a refusal.

import { el } from "../docs/dom.js";
import { broker, bucket, declared, maxSize } from "./requests.js";

const SMALL = 1000;

/** Bytes that no other call gives. */
function noise(size, type) {
  const content = new Uint8Array(size);
  crypto.getRandomValues(content);
  return new File([content], "attempt.png", { type });
}

const picture = (size = SMALL) => noise(size, "image/png");

async function sha256(blob) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()));
  return btoa(String.fromCharCode(...digest));
}

/** An upload of this file, with what else its declaration says. */
async function pending(file, more = {}) {
  const created = await broker("POST", "v1/uploads", { ...declared(file), ...more });
  if (!created.ok) throw new Error(created.detail);
  return created.json;
}

const send = (upload, body, headers = upload.presigned.headers) => bucket(upload.presigned.method, upload.presigned.url, headers, body);

/** What is said of an answer that has to be a refusal. */
const refused = (did, by, answer) => ({ did, by, answer, held: answer.status >= 400 && answer.status < 500 });

async function* wrongType() {
  const page = new File(["<!doctype html><script>alert(1)</script>"], "picture.html", { type: "text/html" });
  yield refused("Asked for text/html", "broker", await broker("POST", "v1/uploads", declared(page)));
  const disguised = new File([page], "picture.png", { type: "image/png" });
  const upload = await pending(disguised);
  const headers = { ...upload.presigned.headers, "content-type": "text/html" };
  yield refused("Declared image/png, sent text/html", "bucket", await send(upload, page, headers));
}

async function* tooBig() {
  const body = { ...declared(picture()), size: maxSize + 1 };
  yield refused("Asked for one byte too many", "broker", await broker("POST", "v1/uploads", body));
  const upload = await pending(picture());
  yield refused("Declared 1,000 bytes, sent 2,000", "bucket", await send(upload, picture(2 * SMALL)));
}

async function* wrongBytes() {
  const shown = picture();
  const checksum = { algorithm: "sha256", value: await sha256(shown) };
  const upload = await pending(shown, { checksum });
  yield refused("Sent other bytes than declared", "bucket", await send(upload, picture()));
  yield refused("Confirmed it nevertheless", "broker", await broker("POST", `v1/uploads/${upload.id}/confirm`));
}

async function* overwrite() {
  const original = picture();
  const upload = await pending(original);
  await send(upload, original);
  const confirmed = await broker("POST", `v1/uploads/${upload.id}/confirm`);
  if (!confirmed.ok) throw new Error(confirmed.detail);
  const again = await send(upload, picture());
  // The bucket may take it: the URL is good for the staging key, which nobody reads any more.
  const did = "Sent other bytes to the same URL";
  yield { did, by: "bucket", answer: again, held: true, note: again.ok ? "taken, for a key that nobody reads any more" : null };
  const twice = await broker("POST", `v1/uploads/${upload.id}/confirm`);
  const same = twice.json?.key === confirmed.json.key && twice.json?.etag === confirmed.json.etag;
  yield { did: "Confirmed again", by: "broker", answer: twice, held: same, note: same ? "the same key and ETag as before" : "another object is recorded" };
  const { url } = (await broker("GET", `v1/uploads/${upload.id}/download`)).json;
  const served = await (await fetch(url)).blob();
  const unchanged = (await sha256(served)) === (await sha256(original));
  yield { did: "Read the object", by: "bucket", answer: { status: 200 }, held: unchanged, note: unchanged ? "the first picture's bytes, to the last" : "its bytes have changed" };
  const direct = await bucket("PUT", new URL(new URL(url).pathname, url).href, upload.presigned.headers, picture());
  yield refused("Sent other bytes to the object's own address", "bucket", direct);
}

async function* abandon() {
  const upload = await pending(picture());
  const sent = await send(upload, picture());
  yield { did: "Sent a picture, and went away", by: "bucket", answer: sent, held: sent.ok, note: `pending until ${new Date(upload.expires_at).toLocaleString("en-GB")}; then the sweeper looks for itself` };
  yield refused("Asked where to read it", "broker", await broker("GET", `v1/uploads/${upload.id}/download`));
  const staged = new URL(new URL(upload.presigned.url).pathname, upload.presigned.url).href;
  yield refused("Asked the bucket for it", "bucket", await bucket("GET", staged));
}

const ATTEMPTS = { type: wrongType, size: tooBig, bytes: wrongBytes, overwrite, abandon };

function line({ did, by, answer, held, note }) {
  const said = answer.code ? `${answer.status} ${answer.code}` : String(answer.status);
  const detail = note ?? answer.detail;
  return el("li", { "data-held": held },
    el("span", { class: "did" }, did),
    el("span", { class: "said" }, el("span", { class: "by" }, by), " ", el("code", {}, said)),
    detail ? el("span", { class: "detail" }, detail) : null);
}

/** Runs an attempt and shows what it was told as it comes. */
export async function attempt(name) {
  const article = document.querySelector(`[data-attempt="${name}"]`);
  const list = article.querySelector(".answers");
  list.replaceChildren();
  delete article.dataset.verdict;
  let held = true;
  try {
    for await (const told of ATTEMPTS[name]()) {
      held &&= told.held;
      list.append(line(told));
    }
  } catch (error) {
    held = false;
    list.append(el("li", { "data-held": "false" }, error.message));
  }
  list.append(el("li", { class: "verdict" }, held ? "It held." : "It did not hold."));
  article.dataset.verdict = held ? "held" : "broken";
}
