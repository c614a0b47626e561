// <layer-curve>: tokens over the layers, drawn by Observable Plot from the numbers in its attribute. The page has the
// same as a table.
(() => {
  const FLOOR = 1e-6; // probabilities below this are drawn here on the logarithmic scale
  const WORST = 1e5; // ranks beyond this are drawn here
  const HEIGHT = 190;
  const STYLE = new CSSStyleSheet();
  // The last two rules are Plot's own, which it would write into the drawing, where the page's policy forbids them.
  STYLE.replaceSync(`
    :host { display: block; }
    .failed { color: var(--accent); font-size: 0.9rem; }
    svg { display: block; max-width: 100%; }
    svg text { white-space: pre; }
  `);

  const percent = (p, digits = 0) => `${(100 * p).toFixed(digits)}\u202f%`;
  const SCALES = {
    linear: {
      height: (prob) => prob,
      y: { domain: [0, 1], ticks: [0, 0.5, 1], tickFormat: (p) => percent(p) },
    },
    log: {
      height: (prob) => Math.max(prob, FLOOR),
      y: { type: "log", domain: [FLOOR, 1], ticks: [FLOOR, 1e-4, 1e-2, 1],
        tickFormat: (p) => percent(p, Math.max(0, -2 - Math.round(Math.log10(p)))) },
    },
    rank: {
      height: (prob, rank) => Math.min(rank + 1, WORST),
      y: { type: "log", domain: [WORST, 1], ticks: [1, 10, 100, 1e3, 1e4, WORST],
        tickFormat: (rank) => rank.toLocaleString("en") },
    },
  };
  // As in the key beneath the drawing (.c0 to .c11 of the page's style).
  const colour = (n) => (n === 0 ? "var(--accent)" : n > 10 ? "var(--soft)" : `var(--c${((n - 1) % 5) + 1})`);
  const dashes = (n) => (n > 5 ? "2 3" : n % 2 ? "6 3" : undefined);

  /** About six numbers along the bottom, never crowding the last one's word. */
  function ticks(last) {
    const step = Math.max(1, Math.round(last / 6));
    return [...Array(last).keys()].filter((n) => n % step === 0 && last - n > last / 12).concat(last);
  }

  function drawing({ scale, layers, read, also, selected, top, series }, width) {
    const { height, y } = SCALES[scale];
    const last = layers.length - 1;
    const name = (n) => (n === last ? "output" : `layer ${layers[n]}`);
    const lines = series.map((s) =>
      layers.map((_, x) => ({
        x,
        y: height(s.prob[x], s.rank[x]),
        said: `${name(x)}\n${s.name}: ${percent(s.prob[x], 1)}, rank ${s.rank[x] + 1}\nfirst guess: ${top[x]}`,
      })),
    );
    const [own] = lines;
    const at = { x: "x", y: "y" };
    const row = layers.indexOf(read);
    const chosen = layers.indexOf(selected);
    const others = also.map((layer) => layers.indexOf(layer)).filter((n) => n >= 0);
    const before = row > last * 0.6; // there is more room on the mark's other side
    const rule = (x, options) => Plot.ruleX(x < 0 ? [] : [x], options);
    return Plot.plot({
      width,
      height: HEIGHT,
      marginLeft: 58,
      marginRight: 22,
      marginTop: 22,
      marginBottom: 26,
      style: { fontFamily: "var(--text)", fontSize: "11px", color: "var(--soft)", background: "none",
        overflow: "visible" },
      x: { domain: [0, Math.max(1, last)], label: null, ticks: ticks(last), tickSize: 0,
        tickFormat: (n) => (n === last ? "output" : String(layers[n])) },
      y: { label: null, tickSize: 0, ...y },
      marks: [
        Plot.gridY(y.ticks, { stroke: "var(--rule)", strokeOpacity: 1 }),
        scale === "linear" ? Plot.areaY(own, { ...at, fill: "var(--accent)", fillOpacity: 0.08 }) : null,
        rule(chosen, { stroke: "var(--accent)", strokeOpacity: 0.5 }),
        Plot.ruleX(others, { strokeOpacity: 0.35, stroke: "var(--ink)", strokeDasharray: "2 3" }),
        Plot.text(others, { x: (n) => n, frameAnchor: "top", lineAnchor: "top", dx: 3, dy: 2, textAnchor: "start",
          fill: "var(--soft)", text: (n) => layers[n] }),
        rule(row, { stroke: "var(--ink)", strokeDasharray: "2 3", strokeOpacity: 0.6 }),
        Plot.text(row < 0 ? [] : [row], { x: (n) => n, frameAnchor: "top", lineAnchor: "bottom", dy: -6,
          dx: before ? -6 : 6, textAnchor: before ? "end" : "start", fill: "var(--ink)",
          text: () => `read here: layer ${read}` }),
        ...lines.map((points, n) => Plot.lineY(points, { ...at, stroke: colour(n), strokeWidth: 1.8,
          strokeLinejoin: "round", strokeDasharray: dashes(n) })).reverse(),
        Plot.dot(own, { ...at, r: (point) => (point.x === last ? 4 : 2), fill: "var(--accent)", stroke: "none" }),
        Plot.tip(lines.flat(), Plot.pointer({ ...at, title: "said", fill: "var(--sheet)", stroke: "var(--rule-strong)",
          textPadding: 10, fontSize: 12 })),
      ],
      r: { type: "identity" },
    });
  }

  class LayerCurve extends HTMLElement {
    static observedAttributes = ["data", "label"];

    connectedCallback() {
      if (this.shadowRoot) return;
      this.attachShadow({ mode: "open" }).adoptedStyleSheets = [STYLE];
      this.figure = this.shadowRoot.appendChild(document.createElement("div"));
      this.figure.setAttribute("role", "img");
      new ResizeObserver(() => this.clientWidth !== this.width && this.draw()).observe(this);
    }

    attributeChangedCallback() {
      if (this.shadowRoot) this.draw();
    }

    draw() {
      cancelAnimationFrame(this.queued);
      this.queued = requestAnimationFrame(() => this.paint());
    }

    paint() {
      this.width = this.clientWidth;
      if (!this.width) return; // hidden: drawn when it has a place
      if (!window.Plot) {
        const said = document.createElement("p");
        said.className = "failed";
        said.textContent = "The chart could not be loaded. Its table below holds the same.";
        this.figure.removeAttribute("role");
        this.figure.replaceChildren(said);
        return;
      }
      const made = drawing(JSON.parse(this.getAttribute("data")), this.width);
      made.querySelector("style").remove();
      made.setAttribute("aria-hidden", "true"); // Plot labels every mark; the whole has one label, and its table twin
      this.figure.setAttribute("aria-label", this.getAttribute("label"));
      this.figure.replaceChildren(made);
    }
  }

  customElements.define("layer-curve", LayerCurve);
})();
