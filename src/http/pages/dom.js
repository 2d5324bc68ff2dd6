// The pages' hands: elements made of text. Nothing here, or anywhere else, turns text into markup.

/** An element with attributes and children; a string among the children is text and stays text. */
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

/** Puts words into the element with this id, and hides it where there are none. What is there already is not said again. */
export function say(id, text) {
  if (byId(id).textContent !== (text ?? "")) byId(id).textContent = text ?? "";
  byId(id).hidden = !text;
}

/** What a button does, one time at a time: it is off until its work is done. */
export function onClick(button, work) {
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-disabled") === "true") return;
    // Not `disabled`: the focus would be lost.
    button.setAttribute("aria-disabled", "true");
    try {
      await work();
    } finally {
      button.removeAttribute("aria-disabled");
    }
  });
}

/** A whole number with its thousands apart. */
export const number = (value) => value.toLocaleString("en-US");

/** A size in the unit that a person would take. */
export function bytes(value) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? number(Math.round(value)) : value.toFixed(1)} ${units[unit]}`;
}

/** Puts text on the clipboard and says so on the button for a moment. */
export async function copy(button, text) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed: select it";
  }
  setTimeout(() => { button.textContent = before; }, 1500);
}

/** A time span as a person would say it. */
export function span(seconds) {
  const units = [[86_400, "d"], [3_600, "h"], [60, "min"]];
  for (const [size, name] of units) {
    if (seconds >= size) return `${number(Math.floor(seconds / size))} ${name}`;
  }
  if (seconds >= 1) return `${Math.floor(seconds)} s`;
  return seconds > 0 ? `${Math.max(1, Math.round(seconds * 1000))} ms` : "0 s";
}
