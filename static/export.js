// In an exported file. Without it a click on a token works too; with it the page stays where it is, and keys work.

document.documentElement.classList.add("is-scripted");

const shown = () => document.querySelector(".panel:target") ?? document.querySelector(".panel.is-first");

/** Outline the token whose panel is shown, and its line of the ribbon. */
function outline() {
  for (const mark of document.querySelectorAll(".tok[aria-current], .gloss[aria-current]")) {
    mark.removeAttribute("aria-current");
  }
  const { position } = shown()?.dataset ?? {};
  for (const id of [`tok-${position}`, `line-${position}`]) {
    document.getElementById(id)?.setAttribute("aria-current", "true");
  }
}

/** Show a token's panel without a jump to it. */
function show(token) {
  const top = scrollY;
  location.replace(token.hash);
  scrollTo({ top, behavior: "instant" });
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.('.board a[href^="#t"]'); // one below the board leads up to it
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
