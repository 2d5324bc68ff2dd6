// DOM helpers and number formats of all pages. No page turns text into markup.

/** Creates an element; a string among its children becomes a text node. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** Sets the text of the element with this id and hides it if there is none. A screen reader reads every write aloud, so the same text is not written again. */
export function say(id, text) {
  if (byId(id).textContent !== (text ?? "")) byId(id).textContent = text ?? "";
  byId(id).hidden = !text;
}

/** Runs `work` on each click; the button is disabled until it ends. */
export function onClick(button, work) {
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-disabled") === "true") return;
    // Not `disabled`: the button would lose the focus.
    button.setAttribute("aria-disabled", "true");
    try {
      await work();
    } finally {
      button.removeAttribute("aria-disabled");
    }
  });
}

/** `183,442` */
export const number = (value) => value.toLocaleString("en-US");

/** `4.2 MiB` */
export function bytes(value) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? number(Math.round(value)) : value.toFixed(1)} ${units[unit]}`;
}

/** Copies text to the clipboard and confirms it on the button for a moment. */
export async function copy(button, text) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed: select the text";
  }
  setTimeout(() => { button.textContent = label; }, 1500);
}

/** `5 min`, in whole units of the largest that fits. */
export function span(seconds) {
  const units = [[86_400, "d"], [3_600, "h"], [60, "min"]];
  for (const [size, name] of units) {
    if (seconds >= size) return `${number(Math.floor(seconds / size))} ${name}`;
  }
  if (seconds >= 1) return `${Math.floor(seconds)} s`;
  return seconds > 0 ? `${Math.max(1, Math.round(seconds * 1000))} ms` : "0 s";
}
