// The demo's file field, sample picture and buttons.

import { attempt } from "./attempts.js";
import { byId, bytes, copy, onClick } from "../docs/dom.js";
import { freshToken, maxSize } from "./requests.js";
import { commandOf, upload } from "./upload.js";

let busy = false;

async function start(file) {
  if (busy) return;
  busy = true;
  byId("failure").hidden = true;
  document.body.dataset.busy = "true";
  try {
    await upload(file);
  } catch (error) {
    byId("failure").textContent = `Upload failed: ${error.message}`;
    byId("failure").hidden = false;
  } finally {
    busy = false;
    delete document.body.dataset.busy;
  }
}

/** Paints a sample picture, a different one each time. */
function samplePicture() {
  const canvas = document.createElement("canvas");
  canvas.width = 480;
  canvas.height = 320;
  const paint = canvas.getContext("2d");
  const hue = Math.random() * 360;
  const sky = paint.createLinearGradient(0, 0, 0, 320);
  sky.addColorStop(0, `hsl(${hue} 60% 75%)`);
  sky.addColorStop(1, `hsl(${hue + 60} 70% 92%)`);
  paint.fillStyle = sky;
  paint.fillRect(0, 0, 480, 320);
  paint.fillStyle = `hsl(${hue + 180} 80% 70%)`;
  paint.beginPath();
  paint.arc(120 + Math.random() * 240, 110, 42, 0, 7);
  paint.fill();
  for (let row = 0; row < 4; row += 1) {
    paint.fillStyle = `hsl(${hue + 120} 25% ${55 - row * 11}%)`;
    paint.beginPath();
    paint.moveTo(0, 320);
    const [high, wide, shift] = [18 + Math.random() * 26, 50 + Math.random() * 70, Math.random() * 9];
    for (let x = 0; x <= 480; x += 4) paint.lineTo(x, 180 + row * 36 - Math.sin(x / wide + shift) * high);
    paint.lineTo(480, 320);
    paint.fill();
  }
  // Film grain: a picture of flat colours compresses to a file too small for a visible progress bar.
  const pixels = paint.getImageData(0, 0, 480, 320);
  for (let at = 0; at < pixels.data.length; at += 4) {
    const grain = (Math.random() - 0.5) * 14;
    for (let part = 0; part < 3; part += 1) pixels.data[at + part] += grain;
  }
  paint.putImageData(pixels, 0, 0);
  return new Promise((resolve) => canvas.toBlob((blob) => resolve(new File([blob], "landscape.png", { type: "image/png" })), "image/png"));
}

byId("limit").textContent = bytes(maxSize);
byId("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  // Reset, so that the same file can be chosen again.
  if (file) start(file).then(() => { event.target.value = ""; });
});
onClick(byId("sample"), async () => start(await samplePicture()));

const drop = byId("drop");
for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => { event.preventDefault(); drop.dataset.over = "true"; });
}
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => { delete drop.dataset.over; });
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  if (file) start(file);
});
// A file dropped outside the field must not replace the page.
for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());

for (const button of document.querySelectorAll("[data-try]")) onClick(button, () => attempt(button.dataset.try));
for (const button of document.querySelectorAll("[data-copy]")) {
  onClick(button, async () => {
    const needsToken = button.dataset.copy !== "put";
    const token = needsToken ? `TOKEN=${await freshToken()}\n` : "";
    await copy(button, token + commandOf(button.dataset.copy));
  });
}
document.body.dataset.ready = "true";
