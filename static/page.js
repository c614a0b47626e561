// What the server cannot do: keys, the clipboard, and the outline of the pinned token. The page works without it.

const pinned = () => document.querySelector("#panel")?.dataset.position;

/** Outline the token whose panel is shown, and no other. */
function outline() {
  const token = document.getElementById(`tok-${pinned()}`);
  for (const other of document.querySelectorAll("#text [aria-current]")) {
    if (other !== token) other.removeAttribute("aria-current");
  }
  if (token && !token.hasAttribute("aria-current")) token.setAttribute("aria-current", "true");
}

/** On a narrow screen the panel covers the lower half: keep the pinned token above it. */
function reveal(token) {
  const panel = document.getElementById("panel");
  const box = token.getBoundingClientRect();
  const sheet = getComputedStyle(panel).position === "sticky" && panel.getBoundingClientRect().width > innerWidth * 0.8;
  const floor = sheet ? panel.getBoundingClientRect().top : innerHeight;
  if (box.top < 60 || box.bottom > floor) {
    const smooth = matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth";
    scrollBy({ top: box.top - Math.min(floor, innerHeight) / 3, behavior: smooth });
  }
}

document.addEventListener("click", (event) => {
  const token = event.target.closest?.(".tok");
  if (token && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    // The outline moves at once; the panel follows when the server answers.
    document.querySelectorAll("#text [aria-current]").forEach((other) => other.removeAttribute("aria-current"));
    token.setAttribute("aria-current", "true");
  }
});

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || event.target.closest?.("input, textarea, select, summary, [contenteditable]")) return;
  const current = document.querySelector("#text .tok[aria-current]");
  const next = current && document.getElementById(`tok-${Number(current.id.slice(4)) + step}`);
  if (!next) return;
  event.preventDefault();
  next.focus({ preventScroll: true });
  next.click();
  reveal(next);
});

document.addEventListener("htmx:after:swap", outline);

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

document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (!event.target.matches(".composer") || !button) return;
  event.target.setAttribute("aria-busy", "true");
  if (button.dataset.busy) button.textContent = button.dataset.busy;
});

// Coming back through the browser's cache, the form is ready again.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.querySelectorAll(".composer[aria-busy]")) {
    form.removeAttribute("aria-busy");
    form.querySelector("[data-busy]").textContent = "Analyse";
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches(".composer textarea")) {
    event.target.form.requestSubmit(event.target.form.querySelector("button.primary"));
  }
});
