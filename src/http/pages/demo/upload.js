// Runs one upload: create, PUT, confirm; shows each step's result, time and curl command.

import { byId, number } from "../docs/dom.js";
import { bodyBytes, broker, curl, declared, put } from "./requests.js";

const commands = new Map();
const step = (name) => document.querySelector(`[data-step="${name}"]`);

/** The curl command of a step that has run. */
export const commandOf = (name) => commands.get(name);

function show(name, state, text) {
  step(name).dataset.state = state;
  step(name).querySelector(".answer").textContent = text;
}

function command(name, text) {
  commands.set(name, text);
  step(name).querySelector(".curl").textContent = text;
  step(name).querySelector("[data-copy]").disabled = false;
}

const millis = (time) => `${time < 10 ? time.toFixed(1) : Math.round(time)} ms`;

/** Draws the requests as bars on one time scale. */
function times(answers) {
  const [begun, ended] = [answers[0][1].begun, answers.at(-1)[1].ended];
  const share = (time) => `${((time / (ended - begun)) * 100).toFixed(2)}%`;
  for (const [name, answer] of answers) {
    const bar = step(name).querySelector(".bar");
    bar.style.marginLeft = share(answer.begun - begun);
    bar.style.width = `max(3px, ${share(answer.ended - answer.begun)})`;
    step(name).querySelector(".took").textContent = millis(answer.ended - answer.begun);
  }
}

const refusal = (answer) => `${answer.status} ${answer.code ?? ""}: ${answer.detail ?? "no detail"}`;

function status(text) {
  byId("status").textContent = text;
  byId("status").dataset.status = text;
}

function clear(file) {
  byId("outcome").hidden = false;
  byId("filename").textContent = file.name;
  for (const id of ["key", "saw", "json"]) byId(id).textContent = "";
  byId("picture").hidden = true;
  byId("status").textContent = "";
  commands.clear();
  for (const element of document.querySelectorAll("[data-step]")) {
    element.dataset.state = "idle";
    element.querySelector(".answer").textContent = "Not started.";
    element.querySelector(".took").textContent = "";
    element.querySelector(".bar").removeAttribute("style");
    element.querySelector(".curl").textContent = "Not started.";
    element.querySelector("[data-copy]").disabled = true;
  }
  step("put").querySelector("progress").value = 0;
}

/** Shows the stored picture. It is fetched as bytes, so that the page's policy can forbid pictures of other origins. */
async function showPicture(id) {
  const download = await broker("GET", `v1/uploads/${id}/download`);
  const response = await fetch(download.json.url);
  const image = byId("picture");
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(await response.blob());
  image.hidden = false;
}

/** Uploads this file. */
export async function upload(file) {
  clear(file);
  const body = declared(file);
  const answers = [];
  const atStart = await bodyBytes();

  show("create", "busy", "Creating…");
  const created = await broker("POST", "v1/uploads", body);
  command("create", curl.create(body));
  answers.push(["create", created]);
  times(answers);
  if (!created.ok) return show("create", "refused", refusal(created));
  show("create", "done", `${created.status}: the upload is recorded and its PUT presigned.`);
  status(created.json.status);

  const { id, presigned } = created.json;
  command("put", curl.put(presigned, file.name));
  show("put", "busy", "Uploading…");
  const bar = step("put").querySelector("progress");
  const before = await bodyBytes();
  const stored = await put(presigned, file, (loaded, total) => { bar.max = total; bar.value = loaded; });
  const after = await bodyBytes();
  answers.push(["put", stored]);
  times(answers);
  if (!stored.ok) return show("put", "refused", refusal(stored));
  bar.max = bar.value = 1;
  show("put", "done", `${stored.status}: ${number(file.size)} bytes are in the bucket, under a private staging key.`);
  byId("saw").replaceChildren("The broker saw ", strong(number(after - before)), ` of ${number(file.size)} bytes.`);

  show("confirm", "busy", "Confirming…");
  const confirmed = await broker("POST", `v1/uploads/${id}/confirm`);
  command("confirm", curl.confirm(id));
  answers.push(["confirm", confirmed]);
  times(answers);
  if (!confirmed.ok) return show("confirm", "refused", refusal(confirmed));
  show("confirm", "done", `${confirmed.status}: the object is copied to its final key, checked and recorded.`);
  status(confirmed.json.status);
  byId("key").textContent = confirmed.json.key;
  const json = (await bodyBytes()) - atStart;
  byId("json").textContent = `It read ${number(json)} bytes of JSON for this upload, and counts every byte that it reads.`;
  await showPicture(id);
}

function strong(text) {
  const element = document.createElement("strong");
  element.textContent = text;
  return element;
}
