// What the server cannot do: the clipboard, the busy form, the outline of the pinned token. The page works without it.

const pinned = () => document.querySelector("#panel")?.dataset.position;

let asked; // the id of the token that was pressed, until the server has answered

/** Outline the token whose panel is shown, and no other; it alone is reached by Tab, the arrows do the rest. */
function outline() {
  const token = document.getElementById(`tok-${pinned()}`);
  const next = asked && document.getElementById(asked);
  for (const other of document.querySelectorAll("#text [aria-current], #text [aria-busy]")) {
    if (other !== token) other.removeAttribute("aria-current");
    if (other !== next) other.removeAttribute("aria-busy");
  }
  if (next && next !== token) next.setAttribute("aria-busy", "true");
  if (token && !token.hasAttribute("aria-current")) token.setAttribute("aria-current", "true");
  if (!token) return;
  for (const other of document.querySelectorAll('#text .tok:not([tabindex="-1"])'))
    if (other !== token) other.tabIndex = -1;
  token.tabIndex = 0;
  const map = document.querySelector("lens-map");
  const row = document.querySelector("#panel .cell")?.dataset.row;
  map?.setAttribute("position", pinned());
  if (row) map?.setAttribute("row", row);
}

// A token that was pressed is marked as asked for; the outline moves with the panel, when the server has answered.
document.addEventListener("htmx:before:request", ({ detail: { ctx } }) => {
  if (!ctx.sourceElement.matches("#text .tok")) return;
  asked = ctx.sourceElement.id;
  outline();
});
document.addEventListener("htmx:finally:request", ({ detail: { ctx } }) => {
  if (ctx.sourceElement.id !== asked) return;
  asked = undefined;
  outline();
});

// A cell of the lens map: its layer goes into the address, from which the panel takes all but the token.
document.addEventListener("pin", ({ detail: { column, row } }) => {
  if (document.getElementById("panel")) {
    const address = new URL(location.href);
    address.searchParams.set("layer", row);
    history.replaceState(history.state, "", address);
  }
  document.getElementById(`tok-${column}`)?.click();
});

// A finger is wider than many a token: a tap between tokens takes the nearest one.
const REACH = 24; // px
let byTouch = false;
document.addEventListener("pointerdown", (event) => (byTouch = event.pointerType === "touch"));
document.addEventListener("click", (event) => {
  const row = byTouch && !event.target.closest?.("a, button") && event.target.closest?.("#text .row");
  if (!row || getSelection().toString()) return;
  const far = (from, to, at) => Math.max(from - at, at - to, 0);
  let [nearest, least] = [null, REACH];
  for (const token of row.querySelectorAll(".tok"))
    for (const box of token.getClientRects()) {
      const away = Math.hypot(far(box.left, box.right, event.clientX), far(box.top, box.bottom, event.clientY));
      if (away < least) [nearest, least] = [token, away];
    }
  nearest?.click();
});

document.addEventListener("htmx:after:swap", outline);
outline();

/** Whoever cannot see the panel hears its reading: once a token, when it is pinned or, later, when it is written. */
let heard = pinned(); // what the page opens with is read as a part of it
let awaited = Boolean(document.querySelector("#panel .sample:is(.is-waiting, .is-writing)"));
function announce() {
  const place = document.getElementById("announced");
  const sample = document.querySelector("#panel .sample");
  if (!place || !sample) return;
  const writing = sample.matches(".is-waiting, .is-writing");
  if (pinned() === heard && (writing || !awaited)) return;
  [heard, awaited] = [pinned(), writing];
  const said = (selector) => document.querySelector(`#panel ${selector}`)?.textContent.trim();
  const words = writing ? said(".sample .waiting-note") ?? "The reading is being written"
    : said(".sample > :is(blockquote, .failed-note, .waiting-note)");
  place.textContent = [said("h2"), words, said(".sample .headline")].filter(Boolean).join(". ");
}
document.addEventListener("htmx:after:swap", announce);

for (const button of document.querySelectorAll("[data-copy-link]")) button.hidden = !navigator.clipboard;
document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy-link]");
  if (!button) return;
  const address = new URL(location.href);
  if (pinned()) address.searchParams.set("t", pinned());
  await navigator.clipboard.writeText(address.href);
  const said = button.textContent;
  button.textContent = "Copied";
  button.addEventListener("blur", () => (button.textContent = said), { once: true });
});

// More than the server reads at all is said here, beside the text: its own answer could not give the text back.
document.addEventListener("input", ({ target }) => {
  const most = Number(target.dataset?.letters);
  if (!most) return;
  const count = (number) => number.toLocaleString("en");
  const long = target.value.length > most;
  const message = `This has ${count(target.value.length)} letters; the server takes up to ${count(most)}.`;
  target.setCustomValidity(long ? message : "");
});

// Nor is it sent to be counted.
document.addEventListener("htmx:before:request", (event) => {
  const forecast = event.detail.ctx.sourceElement;
  if (!forecast.matches(".forecast") || !forecast.closest("form").querySelector("[data-letters]:invalid")) return;
  event.preventDefault();
  forecast.textContent = "";
});

// A file that the server would refuse is not sent: what else was typed would be lost with it.
document.addEventListener("change", ({ target }) => {
  const most = Number(target.dataset?.bytes);
  if (!most) return;
  const size = target.files[0]?.size ?? 0;
  const message = `This file has ${size.toLocaleString("en")} bytes: choose one of up to ${most.toLocaleString("en")}.`;
  target.setCustomValidity(size > most ? message : "");
  target.reportValidity();
});

document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (!button || !(button.dataset.busy || event.target.matches(".composer"))) return;
  event.target.setAttribute("aria-busy", "true");
  if (!button.dataset.busy) return;
  button.dataset.said = button.textContent;
  button.textContent = button.dataset.busy;
});

// A pair does not read along with itself. (The server does not mind: it leaves it out.)
const along = () => {
  const chosen = document.querySelector(".composer [name=pair]")?.value;
  for (const box of document.querySelectorAll(".along input")) box.parentElement.hidden = box.value === chosen;
};
document.addEventListener("change", along);
document.addEventListener("htmx:after:swap", along);
along();

// Coming back through the browser's cache, a form is ready again.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.querySelectorAll("form[aria-busy]")) form.removeAttribute("aria-busy");
  for (const button of document.querySelectorAll("[data-said]")) button.textContent = button.dataset.said;
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches(".composer textarea")) {
    event.target.form.requestSubmit(event.target.form.querySelector("button.primary"));
  }
});

// The first visit is explained in place, until somebody has read it. A browser that keeps nothing shows it again.
const first = document.getElementById("first");
const remembered = () => {
  try {
    return localStorage.getItem("explained");
  } catch {
    return null;
  }
};
if (first && !remembered()) first.hidden = false;
document.addEventListener("click", (event) => {
  if (!event.target.closest?.("[data-dismiss]")) return;
  first.hidden = true;
  try {
    localStorage.setItem("explained", "1");
  } catch {
    // nothing can be kept: it is closed for this visit
  }
});
