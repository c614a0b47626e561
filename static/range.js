// A range of tokens, taken by dragging over them or by Shift and a press: what its readings hold is shown below the
// text.

const text = document.getElementById("text");
const place = document.getElementById("range");
let from, to; // where the button went down, and where it is now
let dragged = false;

function positionOf(target) {
  const token = target?.closest?.("#text .tok");
  return token ? Number(token.id.slice("tok-".length)) : undefined;
}

function mark(one, other) {
  const [first, last] = [Math.min(one, other), Math.max(one, other)];
  for (const token of text.querySelectorAll(".tok")) {
    const position = positionOf(token);
    token.classList.toggle("in-range", position >= first && position <= last);
  }
  return [first, last];
}

function clear() {
  place.hidden = true;
  place.replaceChildren();
  for (const token of text.querySelectorAll(".in-range")) token.classList.remove("in-range");
}

function stop() {
  from = undefined;
  text.classList.remove("dragging");
}

async function show(one, other) {
  const [first, last] = mark(one, other);
  const address = `${place.dataset.source}?first=${first}&last=${last}`;
  await htmx.ajax("GET", address, { target: "#range", swap: "innerHTML" });
  place.hidden = false;
}

// Tokens are links: without this the browser drags the address of one.
text.addEventListener("dragstart", (event) => event.preventDefault());
text.addEventListener("pointerdown", (event) => {
  dragged = false;
  if (event.pointerType === "mouse" && event.button === 0 && !event.shiftKey) from = positionOf(event.target);
});
document.addEventListener("pointerover", (event) => {
  if (event.buttons === 0) stop(); // it went up where nobody told us
  const over = from === undefined ? undefined : positionOf(event.target);
  if (over === undefined || (over === from && !dragged)) return;
  [to, dragged] = [over, true];
  text.classList.add("dragging");
  getSelection().removeAllRanges();
  mark(from, to);
});
document.addEventListener("pointerup", () => {
  if (dragged) show(from, to);
  stop();
  setTimeout(() => (dragged = false)); // after the click, which is none
});
document.addEventListener("pointercancel", stop);

document.addEventListener(
  "click",
  (event) => {
    if (event.target.closest?.("#range [data-clear]")) return clear();
    const pressed = positionOf(event.target);
    if (pressed === undefined || !(dragged || event.shiftKey)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (!dragged) show(Number(document.getElementById("panel")?.dataset.position ?? pressed), pressed);
  },
  true,
);
document.addEventListener("keydown", (event) => event.key === "Escape" && !place.hidden && clear());
