// When a response may replace what is shown: in the order of the requests, and not while a button is pressed.

/** Numbers requests. Each call returns a function for its response: false if a later request was answered first. */
export function inOrder() {
  let sent = 0;
  let answered = 0;
  return () => {
    sent += 1;
    const number = sent;
    return () => {
      if (number < answered) return false;
      answered = number;
      return true;
    };
  };
}

/** How long a pressed button delays an update, in milliseconds: a drag must not stop the page. */
const MAX_PRESS_MS = 5_000;

let pressed = null;
let release = () => {};
const afterClick = new MessageChannel();
afterClick.port1.onmessage = () => {
  pressed = null;
  release();
};
for (const type of ["pointerdown", "keydown"]) {
  addEventListener(type, () => { pressed ??= new Promise((resolve) => { release = resolve; }); }, true);
}
// The click event comes with the release, before any message.
for (const type of ["pointerup", "pointercancel", "keyup"]) addEventListener(type, () => afterClick.port2.postMessage(null), true);
// A release in another window sends no event here. Not in the capture phase: a press takes the focus from elements.
addEventListener("blur", () => afterClick.port2.postMessage(null));

/** Waits until no button or key is down: a button that is replaced while pressed never gets its click. */
export async function released() {
  if (pressed) await Promise.race([pressed, new Promise((resolve) => setTimeout(resolve, MAX_PRESS_MS))]);
}
