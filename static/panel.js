// Beside the text the panel has no scroll of its own. Where it is higher than the window it goes along with the page
// until its end is in sight, and back until its head is. A token that is pinned brings its head back: the reading is
// what one wants to see first.

const GAP = 16;
const panel = () => document.getElementById("panel");
let at = GAP;
let scrolled = scrollY;
let pinned = panel()?.dataset.position;

function place(to) {
  at = to < GAP ? Math.min(GAP, Math.max(to, innerHeight - panel().offsetHeight - GAP)) : GAP;
  // Of the panel alone: were it of what is around it, the style of every token would be computed again.
  panel().style.setProperty("--panel-top", `${at}px`);
}

addEventListener("scroll", () => {
  const by = scrollY - scrolled;
  scrolled = scrollY;
  if (by) place(at - by);
}, { passive: true });
addEventListener("resize", () => place(at));

/** What an edit led to stands below its form, and may be out of sight: bring it there, once a press of its token. */
const edited = () => panel().querySelector(".edited");
let shown = new URL(location.href).searchParams.has("edit") ? undefined : edited()?.id;
function showVerdict() {
  if (edited() && edited().id !== shown) {
    const by = edited().getBoundingClientRect().top - panel().getBoundingClientRect().top - GAP;
    if (getComputedStyle(panel()).overflowY === "auto") panel().scrollTop += by; // the sheet of a narrow window
    else place(GAP - by);
    edited().querySelector(".verdict").scrollIntoView({ block: "nearest" });
  }
  shown = edited()?.id;
}
document.addEventListener("htmx:before:request", ({ detail: { ctx } }) => {
  if (ctx.sourceElement.matches("#text .tok")) shown = undefined;
});

document.addEventListener("htmx:after:swap", () => {
  const position = panel().dataset.position;
  place(position === pinned ? at : GAP);
  pinned = position;
  showVerdict();
});
place(GAP);
showVerdict();
