// What the page says when the server does not answer: the live updates stop, or a click leads to nothing. It tries
// again by itself where that does no harm, and offers to where somebody must decide. How long htmx itself waits between
// two tries of a stream is in templates/layout.html (`reconnectMaxDelay`).

const QUIET = 10_000; // ms without a sign of the server; see PING_EVERY in frontend/event_stream.py
const SLOW = 5_000; // ms after which a click is said to be unanswered
const MOST = 60_000; // ms of patience with a stream that brings nothing, at most

const bar = document.getElementById("trouble");
let retry; // what the bar's button does
let about; // "stream" or "click": what its text is about

function tell(kind, text, again) {
  [about, retry] = [kind, again];
  bar.firstElementChild.textContent = text;
  bar.hidden = false;
}

function clear(kind) {
  if (about === kind) bar.hidden = true;
}

bar.querySelector("button").addEventListener("click", () => {
  bar.hidden = true;
  retry?.();
});

// The stream

const stream = () => document.querySelector("#stream[hx-sse\\:connect]");
const working = () => stream() && document.querySelector("#status.is-queued, #status.is-running");
let heard = performance.now();
let patience = QUIET;

/** Open the stream anew: its first message brings the whole page up to date. */
function connect() {
  heard = performance.now();
  const old = stream();
  if (old) window.htmx?.swap({ sourceElement: old, target: old, swap: "outerHTML", text: fresh(old) });
}

function fresh(old) {
  const made = old.cloneNode(false);
  made.removeAttribute("data-htmx-powered");
  return made.outerHTML;
}

function lost() {
  tell("stream", "The connection to the server is lost: what stands here may be out of date. Trying again …", () => {
    patience = QUIET;
    connect();
  });
}

function sign() {
  heard = performance.now();
  patience = QUIET;
  clear("stream");
}

// A stream that brought everything is none any more: a click on a token would open it anew.
document.addEventListener("htmx:sse:close", ({ target, detail }) => {
  if (detail.reason === "message") target.removeAttribute("hx-sse:connect");
});
document.addEventListener("htmx:sse:after:connection", sign);
document.addEventListener("htmx:sse:after:message", sign);
document.addEventListener("htmx:sse:error", () => working() && lost());
document.addEventListener("visibilitychange", () => (heard = performance.now())); // a hidden page hears nothing
addEventListener("online", () => working() && !bar.hidden && connect());

setInterval(() => {
  if (document.hidden || !working()) {
    heard = performance.now();
    if (!document.hidden) clear("stream");
  } else if (performance.now() - heard > patience) {
    lost();
    patience = Math.min(2 * patience, MOST); // a long text's first message may take a slow line a while
    connect();
  }
}, 1000);

// Clicks and forms

const waiting = new Map(); // source element → the timer after which its request is said to be unanswered

/** Whether somebody asked, rather than the page by itself; the page asks again by itself. */
const byHand = (ctx) => ["click", "submit", "input"].includes(ctx.sourceEvent?.type);
const again = (source) => () => (source.matches("form") ? source.requestSubmit() : source.click());

function settle(source) {
  clearTimeout(waiting.get(source));
  waiting.delete(source);
}

function fail(ctx, why) {
  if (ctx.sourceElement.id === "stream") working() && lost();
  else if (byHand(ctx)) tell("click", why, again(ctx.sourceElement));
}

document.addEventListener("htmx:before:request", ({ detail: { ctx } }) => {
  const source = ctx.sourceElement;
  if (!byHand(ctx) || ctx.request.method !== "GET") return; // an edit takes its time, and says so
  settle(source);
  waiting.set(source, setTimeout(() => tell("click", "The server has not answered yet.", again(source)), SLOW));
});
document.addEventListener("htmx:finally:request", ({ detail: { ctx } }) => settle(ctx.sourceElement));
document.addEventListener("htmx:error", ({ detail: { ctx } }) => {
  if (ctx) fail(ctx, "No answer from the server: the page shows what it showed before.");
});

// A problem is no part of the page: it is told, and nothing is put in its place.
document.addEventListener("htmx:after:request", (event) => {
  const { ctx } = event.detail;
  if (ctx.response.headers.get("content-type")?.startsWith("application/problem+json")) {
    event.preventDefault();
    const { title, detail } = JSON.parse(ctx.text);
    fail(ctx, `${title}: ${detail}`);
  } else if (byHand(ctx)) {
    clear("click");
  }
});
