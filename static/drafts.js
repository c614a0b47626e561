// Drafts of edits: what is typed into the form of an edit is kept in this browser, for each token of each analysis,
// until it has been run or is discarded.

const FORM = "form.edit[data-draft]";
const PREFIX = "draft ";
const MOST = 100; // drafts; the oldest go first

/** Where the browser keeps nothing, drafts last as long as the page. */
const memory = new Map();
const store = {
  get(key) {
    try {
      return localStorage.getItem(key) ?? memory.get(key);
    } catch {
      return memory.get(key);
    }
  },
  set(key, value) {
    memory.set(key, value);
    try {
      localStorage.setItem(key, value);
    } catch {
      // full or forbidden: this page remembers
    }
  },
  remove(key) {
    memory.delete(key);
    try {
      localStorage.removeItem(key);
    } catch {
      // then it was never kept
    }
  },
  keys() {
    try {
      return [...new Set([...Object.keys(localStorage), ...memory.keys()])].filter((key) => key.startsWith(PREFIX));
    } catch {
      return [...memory.keys()];
    }
  },
};

const keyOf = (form) => PREFIX + form.dataset.draft;
const fieldsOf = (form) => [...new FormData(form)];
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

function draftOf(key) {
  try {
    return JSON.parse(store.get(key) ?? "null");
  } catch {
    return null; // not ours
  }
}

/** The fields as the server has sent them; nothing where it has sent back what could not be run, or has changed it. */
function served(form) {
  if (form.querySelector(".error") || form.hasAttribute("data-changed")) return [];
  const copy = form.cloneNode(true);
  copy.reset();
  return fieldsOf(copy);
}

function keep(form, more = {}) {
  const fields = fieldsOf(form);
  if (same(fields, served(form))) return store.remove(keyOf(form));
  store.set(keyOf(form), JSON.stringify({ fields, at: Date.now(), ...more }));
  const age = (key) => draftOf(key)?.at ?? 0;
  const keys = store.keys();
  if (keys.length > MOST) keys.sort((a, b) => age(b) - age(a)).slice(MOST).forEach(store.remove);
}

/** Put a draft's fields into the form. Returns whether that has changed anything. */
function fill(form, fields) {
  const before = fieldsOf(form);
  const values = new Map(fields);
  const chosen = new Set(fields.filter(([name]) => name.startsWith("target-")).map(([, value]) => value));
  for (const field of form.elements) {
    if (field.type === "checkbox") {
      field.checked = field.name.startsWith("target-") ? chosen.delete(field.value) : values.has(field.name);
    } else if (values.has(field.name) && field.value !== values.get(field.name)) {
      field.value = values.get(field.name);
    }
  }
  // Words that are no longer offered are watched as if they had been typed.
  const watch = form.elements.watch;
  const typed = watch.value.split(",").map((word) => word.trim());
  const more = [...chosen].map((word) => word.replace(/^ /, "·")).filter((word) => !typed.includes(word));
  if (more.length) watch.value = [watch.value, ...more].filter(Boolean).join(", ");
  return !same(before, fieldsOf(form));
}

/** Whether a draft that was sent without htmx is the edit that the page shows. */
function hasBeenRun(form, draft) {
  const sent = new Map(draft.fields);
  const shown = new Map(served(form));
  const edited = form.closest(".edits").querySelector(".edited");
  return Boolean(draft.sent && edited) && sent.get("text").trim() === shown.get("text")
    && sent.get("mode") === shown.get("mode");
}

/** Put the draft of the token that is shown into its form, and mark the tokens that have one. */
function refresh() {
  const form = document.querySelector(FORM);
  if (!form) return;
  let draft = draftOf(keyOf(form));
  if (draft && (same(draft.fields, served(form)) || hasBeenRun(form, draft))) {
    store.remove(keyOf(form));
    draft = null;
  }
  if (draft && fill(form, draft.fields)) form.closest("details").open = true;
  mark(form);
}

function mark(form) {
  const drafted = Boolean(store.get(keyOf(form)));
  for (const note of form.closest("details").querySelectorAll("[data-drafted]")) note.hidden = !drafted;
  const [analysis] = form.dataset.draft.split(":");
  const start = `${PREFIX}${analysis}:`;
  const drafts = store.keys().filter((key) => key.startsWith(start));
  const marked = new Set(drafts.map((key) => `tok-${key.slice(start.length)}`));
  for (const token of document.querySelectorAll("#text .tok")) {
    const has = marked.has(token.id);
    token.classList.toggle("drafted", has);
    const label = token.getAttribute("aria-label").replace(/, draft of an edit$/, "");
    token.setAttribute("aria-label", has ? `${label}, draft of an edit` : label);
  }
}

document.addEventListener("input", ({ target }) => {
  const form = target.closest?.(FORM);
  if (!form) return;
  keep(form);
  mark(form);
});

document.addEventListener("click", ({ target }) => {
  const form = target.closest?.("[data-discard]")?.form;
  if (!form) return;
  store.remove(keyOf(form));
  form.reset();
  mark(form);
  form.elements.text.focus();
});

// A quick edit comes back from the server with other words: they are the draft from then on.
document.addEventListener("htmx:before:request", ({ detail: { ctx } }) => {
  const form = ctx.sourceElement.matches("[name=quick]") && ctx.sourceElement.form;
  if (form) store.remove(keyOf(form));
});
document.addEventListener("htmx:after:swap", () => {
  const form = document.querySelector(`${FORM}[data-changed]`);
  if (form) keep(form);
});

// What the server has run is no draft any more, unless it was changed meanwhile. On any failure it stays.
const underway = new WeakMap(); // by htmx's request: another token's form may be shown when the answer comes
document.addEventListener("htmx:before:request", ({ detail: { ctx } }) => {
  const form = ctx.sourceElement;
  if (form.matches(FORM)) underway.set(ctx, { key: keyOf(form), fields: fieldsOf(form) });
});
document.addEventListener("htmx:after:request", ({ detail: { ctx } }) => {
  const sent = underway.get(ctx);
  if (!sent || ctx.response.status >= 300 || !same(draftOf(sent.key)?.fields, sent.fields)) return;
  store.remove(sent.key);
  const form = document.querySelector(FORM);
  if (form) mark(form);
});

// Without htmx the browser itself sends it, and what comes is another page.
document.addEventListener("submit", (event) => {
  if (event.target.matches(FORM) && !event.defaultPrevented) keep(event.target, { sent: true });
});

document.addEventListener("htmx:after:swap", refresh);
refresh();
