// Moving through an analysis by keys, and finding words in its tokens and readings. Everything here is also a link or a
// field. Which key does what stands in templates/analysis/analysis.html, in the list that the page shows.

const $ = (selector) => document.querySelector(selector);
const typing = (target) => target.closest?.("input, textarea, select, [contenteditable], dialog");

/** The part of the window that nothing covers: on a narrow screen the panel is a sheet over the lower half. */
function floor() {
  const panel = document.getElementById("panel");
  const { width, height } = panel.getBoundingClientRect();
  const sheet = getComputedStyle(panel).position === "sticky" && width > innerWidth * 0.8;
  return innerHeight - (sheet ? height : 0);
}

function inSight(place) {
  const box = place?.checkVisibility() && place.getBoundingClientRect();
  return Boolean(box) && box.top >= 60 && box.bottom <= floor();
}

/** Keep a token in sight. */
function reveal(token, behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth") {
  if (!inSight(token)) scrollBy({ top: token.getBoundingClientRect().top - floor() / 3, behavior });
}

/** Where somebody reads who has just pinned another token: along the ribbon, if the line of the token before is in
 * sight and that token is not. */
function spot(position, before) {
  const [token, line] = ["tok", "line"].map((name) => document.getElementById(`${name}-${position}`));
  if (!line || inSight(token)) return token;
  const [was, wasLine] = ["tok", "line"].map((name) => document.getElementById(`${name}-${before}`));
  const along = !inSight(was) && inSight(wasLine);
  return line.checkVisibility() && (along || inSight(line)) ? line : token;
}

// However another token was pinned, it is brought into sight; so is the one that an address names.
let shown = $("#panel")?.dataset.position;
document.addEventListener("htmx:after:swap", () => {
  const position = $("#panel")?.dataset.position;
  const token = position !== shown && spot(position, shown);
  shown = position;
  if (token) reveal(token);
});
if (new URL(location.href).searchParams.has("t")) {
  const token = document.getElementById(`tok-${shown}`);
  if (token) reveal(token, "instant");
}

function go(token) {
  if (!token) return;
  token.focus({ preventScroll: true });
  token.click();
}

function step(by) {
  const current = $("#text .tok[aria-busy]") ?? $("#text .tok[aria-current]"); // pressed twice, it goes two tokens on
  const next = current && document.getElementById(`tok-${Number(current.id.slice(4)) + by}`);
  go(next);
  return Boolean(next);
}

/** The first of some tokens after the pinned one, or else the first of all. */
function after(tokens) {
  const position = (token) => Number(token.id.slice(4));
  const here = Number($("#panel")?.dataset.position ?? -1);
  const next = tokens.find((token) => position(token) > here) ?? tokens[0];
  go(next);
  return Boolean(next);
}

/** The first token of the next turn that is not the template's. */
function turn() {
  const firsts = [...document.querySelectorAll("#text .row")].map((row) => row.querySelector(".tok:not(.special)"));
  return after(firsts.filter(Boolean));
}

/** The next token with a low score: one of a colour that at most a fifth of the text's content is paler than. */
function low() {
  const tokens = [...document.querySelectorAll("#text .tok.scored:not(.special)")];
  const shade = (token) => Number([...token.classList].find((name) => /^s\d$/.test(name))?.slice(1) ?? 9);
  const most = tokens.map(shade).sort((a, b) => a - b)[Math.floor(tokens.length / 5)];
  return after(tokens.filter((token) => shade(token) <= most));
}

/** The editor of the reading's words, opened. */
function words() {
  const editor = $("#panel .edits textarea");
  if (!editor) return false;
  editor.closest("details").open = true;
  editor.focus();
  return true;
}

function press(selector) {
  const link = $(selector);
  link?.click();
  return Boolean(link);
}

/** Show one of several samples of the pinned token. */
function sample(number) {
  const found = $(`#panel [data-sample="${number}"]`);
  found?.focus({ preventScroll: true });
  found?.scrollIntoView({ block: "nearest" });
  return Boolean(found);
}

// Up and down belong to the page unless a token or a layer has the focus.
const onLayers = (target) => target.closest?.(".tok, .cell");
const ACTS = {
  previous: () => step(-1),
  next: () => step(1),
  above: (target) => onLayers(target) && press("#panel .cell .up"),
  below: (target) => onLayers(target) && press("#panel .cell .down"),
  sample: (_, key) => sample(key),
  find: () => $("#find")?.focus() === undefined && Boolean($("#find")),
  turn,
  low,
  words,
  pin: () => press("#panel .pin"),
  edit: () => press("[data-edit]"),
  help: () => ($("#keys")?.showModal(), Boolean($("#keys"))),
};
// The list of keys on the page says which key does what: what is pressed and what is explained is one element.
const keys = new Map(
  [...document.querySelectorAll("#keys [data-act]")].flatMap(({ dataset, textContent }) =>
    (dataset.on?.split(" ") ?? [textContent]).map((key) => [key, ACTS[dataset.act]])),
);

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || typing(event.target)) return;
  if (event.key.startsWith("Arrow") && (event.shiftKey || event.target.closest?.("summary, [role=region], lens-map")))
    return;
  if (keys.get(event.key)?.(event.target, event.key)) event.preventDefault();
});

document.addEventListener("click", (event) => {
  if (event.target.closest?.("[data-keys]")) $("#keys").showModal();
  // A press beside the dialog, or on its button.
  if (event.target.id === "keys" || event.target.closest?.("#keys [data-close]")) $("#keys").close();
});

for (const hidden of document.querySelectorAll("[data-needs-script]")) hidden.hidden = false;

// Finding

let found = [];
let place = -1;

function seek() {
  const wanted = $("#find").value.trim().toLowerCase();
  for (const token of document.querySelectorAll("#text .found")) token.classList.remove("found");
  const holds = (text) => text.toLowerCase().includes(wanted);
  const positions = new Set();
  if (wanted) {
    const tokens = [...document.querySelectorAll("#text .tok")];
    // A word may span tokens: look in the text as a whole.
    let text = "";
    const shown = (token) => (token.querySelector(".ws:empty, .part") ? " " : token.textContent);
    const starts = tokens.map((token) => [text.length, (text += shown(token)).length]);
    const whole = text.toLowerCase();
    for (let at = whole.indexOf(wanted); at >= 0; at = whole.indexOf(wanted, at + 1)) {
      const hit = starts.findIndex(([from, to]) => from <= at && at < to);
      if (hit >= 0) positions.add(Number(tokens[hit].id.slice(4)));
    }
    for (const row of document.querySelectorAll("#all-readings tbody tr")) {
      if (holds(row.querySelector(".words").textContent)) positions.add(Number(row.id.split("-")[1]));
    }
  }
  found = [...positions].sort((a, b) => a - b);
  place = -1;
  for (const position of found) document.getElementById(`tok-${position}`)?.classList.add("found");
  $("#find-count").textContent = !wanted ? "" : found.length ? `${found.length} found` : "nothing found";
  highlight();
}

/** Mark what is sought in the readings that are shown, where the browser can mark text. */
function highlight() {
  if (!globalThis.Highlight) return;
  const wanted = $("#find")?.value.trim().toLowerCase();
  const ranges = [];
  const places = wanted ? document.querySelectorAll("#panel blockquote, #ribbon .says, #all-readings .words") : [];
  for (const place of places) {
    const texts = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
    for (let node = texts.nextNode(); node; node = texts.nextNode()) {
      const text = node.data.toLowerCase();
      for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) {
        const range = new Range();
        range.setStart(node, at);
        range.setEnd(node, Math.min(node.length, at + wanted.length));
        ranges.push(range);
      }
    }
  }
  CSS.highlights.set("found", new Highlight(...ranges));
}
document.addEventListener("htmx:after:swap", highlight);

function jump(by) {
  if (!found.length) return;
  place = (place + by + found.length) % found.length;
  const token = document.getElementById(`tok-${found[place]}`);
  token?.click();
  $("#find-count").textContent = `${place + 1} of ${found.length}`;
}

const find = $("#find");
find?.addEventListener("input", seek);
find?.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    find.value = "";
    seek();
    $("#text .tok[aria-current]")?.focus();
  }
});
find?.form.addEventListener("submit", (event) => {
  event.preventDefault();
  jump(event.submitter?.dataset.back === undefined ? 1 : -1);
});
