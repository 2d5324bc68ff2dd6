// One picture on its way: asked for, put, confirmed; each step with its time and its command.

import { byId, number } from "../docs/dom.js";
import { broker, bytesSeen, curl, declared, put } from "./requests.js";

const commands = new Map();
const step = (name) => document.querySelector(`[data-step="${name}"]`);

/** The command of a step, once it was run. */
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

/** The bars of the three requests on one scale, from the first one's beginning to the last one's end. */
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
    element.querySelector(".answer").textContent = "Not yet.";
    element.querySelector(".took").textContent = "";
    element.querySelector(".bar").removeAttribute("style");
    element.querySelector(".curl").textContent = "Not yet.";
    element.querySelector("[data-copy]").disabled = true;
  }
  step("put").querySelector("progress").value = 0;
}

/** The picture as the bucket serves it, read as bytes, so that the page's policy needs to let in no picture of others. */
async function picture(id) {
  const download = await broker("GET", `v1/uploads/${id}/download`);
  const response = await fetch(download.json.url);
  const image = byId("picture");
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(await response.blob());
  image.hidden = false;
}

/** Brings this file in and shows how. */
export async function bringIn(file) {
  clear(file);
  const body = declared(file);
  const answers = [];
  const began = await bytesSeen();

  show("create", "busy", "Asking…");
  const created = await broker("POST", "v1/uploads", body);
  command("create", curl.create(body));
  answers.push(["create", created]);
  times(answers);
  if (!created.ok) return show("create", "refused", refusal(created));
  show("create", "done", `${created.status}: the row is committed, and a PUT for exactly this is signed.`);
  status(created.json.status);

  const { id, presigned } = created.json;
  command("put", curl.put(presigned, file.name));
  show("put", "busy", "Sending…");
  const bar = step("put").querySelector("progress");
  const asked = await bytesSeen();
  const stored = await put(presigned, file, (loaded, total) => { bar.max = total; bar.value = loaded; });
  const afterwards = await bytesSeen();
  answers.push(["put", stored]);
  times(answers);
  if (!stored.ok) return show("put", "refused", refusal(stored));
  bar.max = bar.value = 1;
  show("put", "done", `${stored.status}: ${number(file.size)} bytes are in the bucket, where nobody can read them yet.`);
  byId("saw").replaceChildren("The broker saw ", strong(number(afterwards - asked)), ` of ${number(file.size)} bytes.`);

  show("confirm", "busy", "Checking…");
  const confirmed = await broker("POST", `v1/uploads/${id}/confirm`);
  command("confirm", curl.confirm(id));
  answers.push(["confirm", confirmed]);
  times(answers);
  if (!confirmed.ok) return show("confirm", "refused", refusal(confirmed));
  show("confirm", "done", `${confirmed.status}: what arrived was copied to a key that nobody can write, checked there, and recorded.`);
  status(confirmed.json.status);
  byId("key").textContent = confirmed.json.key;
  const words = (await bytesSeen()) - began;
  byId("json").textContent = `Counted by the broker itself. All it read for this upload are ${number(words)} bytes of JSON.`;
  await picture(id);
}

function strong(text) {
  const element = document.createElement("strong");
  element.textContent = text;
  return element;
}
