// When an answer may replace what is shown: in the order of the questions, and not under a finger.

/** Numbers questions. Each call gives what its answer asks when it is there: false where that to a later question was faster. */
export function inOrder() {
  let asked = 0;
  let answered = 0;
  return () => {
    asked += 1;
    const mine = asked;
    return () => {
      if (mine < answered) return false;
      answered = mine;
      return true;
    };
  };
}

/** How long what is pressed holds anything up, in milliseconds: who drags must not stop the page. */
const LONGEST_PRESS_MS = 5_000;

let pressed = null;
let letGo = () => {};
const afterClick = new MessageChannel();
afterClick.port1.onmessage = () => {
  pressed = null;
  letGo();
};
for (const type of ["pointerdown", "keydown"]) {
  addEventListener(type, () => { pressed ??= new Promise((resolve) => { letGo = resolve; }); }, true);
}
// The click comes with the release, before any message.
for (const type of ["pointerup", "pointercancel", "keyup"]) addEventListener(type, () => afterClick.port2.postMessage(null), true);
// A release in another window is not told here. Not by capture: elements lose the focus by a press.
addEventListener("blur", () => afterClick.port2.postMessage(null));

/** Waits until no button or key is down: what is replaced under a finger never gets its click. */
export async function released() {
  if (pressed) await Promise.race([pressed, new Promise((resolve) => setTimeout(resolve, LONGEST_PRESS_MS))]);
}
