// In an exported file. Without it a click on a token works too; with it the page stays where it is, and keys work.

document.documentElement.classList.add("is-scripted");

const shown = () => document.querySelector(".panel:target") ?? document.querySelector(".panel.is-first");

/** Outline the token whose panel is shown. */
function outline() {
  for (const token of document.querySelectorAll(".tok[aria-current]")) token.removeAttribute("aria-current");
  document.getElementById(`tok-${shown()?.dataset.position}`)?.setAttribute("aria-current", "true");
}

/** Show a token's panel without a jump to it. */
function show(token) {
  const top = scrollY;
  location.replace(token.hash);
  scrollTo({ top, behavior: "instant" });
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.('a[href^="#t"]');
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  show(link);
});

document.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const next = document.getElementById(`tok-${Number(shown()?.dataset.position) + step}`);
  if (!next) return;
  event.preventDefault();
  show(next);
  next.focus();
});

addEventListener("hashchange", outline);
outline();
