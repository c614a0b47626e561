// What ties text, ribbon, panel and map: whatever shows a token under the pointer marks it in the others. A press on a
// line pins its token as a press in the text does. Without this a line is a link.

const $ = (selector) => document.querySelector(selector);
const all = (selector) => document.querySelectorAll(selector);

/** The position that an element shows, if it shows one. */
function positionOf(element) {
  const place = element?.closest?.("#text .tok, #ribbon [data-position], #panel .near a");
  return place?.dataset.position ?? place?.id.slice("tok-".length);
}

let tied; // the position under the pointer

function tie(position) {
  if (position === tied) return;
  tied = position;
  for (const other of all(".is-tied")) other.classList.remove("is-tied");
  const map = $("lens-map");
  if (position === undefined) return map?.removeAttribute("tied");
  map?.setAttribute("tied", position);
  for (const place of all(`#tok-${position}, #ribbon [data-position="${position}"]`)) place.classList.add("is-tied");
  if ($("#panel")?.dataset.position === position) $("#panel").classList.add("is-tied");
}

document.addEventListener("pointerover", (event) => event.pointerType === "mouse" && tie(positionOf(event.target)));
document.addEventListener("focusin", (event) => event.target.closest?.("#ribbon") && tie(positionOf(event.target)));
document.addEventListener("over", ({ detail }) => tie(detail === null ? undefined : String(detail)));

document.addEventListener("click", (event) => {
  const line = event.target.closest?.("#ribbon a.gloss");
  if (!line || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const token = document.getElementById(`tok-${line.dataset.position}`);
  if (!token) return;
  event.preventDefault();
  token.click();
});

/** The line of the pinned token is outlined; of all lines it alone is reached by Tab, as in the text. */
function mark() {
  if (!$("#ribbon .gloss")) return;
  const line = document.getElementById(`line-${$("#panel")?.dataset.position}`);
  for (const other of all("#ribbon a.gloss[aria-current]")) if (other !== line) other.removeAttribute("aria-current");
  for (const other of all('#ribbon a.gloss:not([tabindex="-1"])')) if (other !== line) other.tabIndex = -1;
  if (!line) return;
  line.setAttribute("aria-current", "true");
  line.tabIndex = 0;
}
document.addEventListener("htmx:after:swap", mark);
mark();
