// <lens-map>: the logit lens of a whole text, drawn on a canvas as large as the window on it, however long the text.

const SHADE = 10; // colours of the page's scale, --s0 to --s9
const STYLE = new CSSStyleSheet();
STYLE.replaceSync(`
  :host { display: block; position: relative; }
  .window { overflow: auto; max-height: min(34rem, 72vh); border: 1px solid var(--rule); border-radius: 8px;
    background: var(--sheet); overscroll-behavior-x: contain; cursor: crosshair; }
  .window:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
  canvas { position: sticky; inset: 0; display: block; }
  .tip { position: absolute; z-index: 4; width: min(21rem, 92%); background: var(--sheet);
    border: 1px solid var(--rule-strong); border-radius: 10px; padding: 0.7rem 0.9rem;
    box-shadow: 0 14px 34px -18px rgb(0 0 0 / 45%); pointer-events: none; font-size: 0.85rem; }
  .tip[hidden], .said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .failed { padding: 0.8rem; color: var(--accent); font-size: 0.9rem; }
`);

const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
const element = (name, className, parent) => {
  const made = parent.appendChild(document.createElement(name));
  if (className) made.className = className;
  return made;
};

class LensMap extends HTMLElement {
  static observedAttributes = ["position", "row", "tied"];

  connectedCallback() {
    if (this.shadowRoot) return;
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [STYLE];
    this.frame = element("div", "window", root);
    this.frame.tabIndex = 0;
    this.frame.setAttribute("role", "application");
    this.frame.setAttribute("aria-roledescription", "map");
    this.frame.setAttribute("aria-busy", "true");
    this.frame.setAttribute("aria-label",
      `${this.getAttribute("title-text")}. Arrow keys move over layers and tokens, Enter pins.`);
    this.room = element("div", "", this.frame);
    this.canvas = element("canvas", "", this.room);
    this.tip = element("div", "tip", root);
    this.tip.hidden = true;
    this.said = element("div", "said", root);
    this.said.setAttribute("aria-live", "polite");
    this.fragments = new Map();
    this.listen();
    // The numbers are asked for when somebody can see the map.
    this.seen = new IntersectionObserver((entries) => entries.some((e) => e.isIntersecting) && this.load(),
      { rootMargin: "300px" });
    this.seen.observe(this);
    this.sized = new ResizeObserver(() => this.draw());
    this.sized.observe(this.frame);
  }

  disconnectedCallback() {
    this.seen.disconnect();
    this.sized.disconnect();
  }

  attributeChangedCallback(name, before, now) {
    if (!this.data || before === now) return;
    if (name === "position" && !this.matches(":hover") && !this.shadowRoot.activeElement) this.reveal(Number(now));
    this.draw();
  }

  async load() {
    this.seen.disconnect();
    const answer = await fetch(this.getAttribute("source"));
    const data = answer.ok && (await answer.json());
    this.frame.setAttribute("aria-busy", "false");
    if (!data) {
      this.room.remove();
      element("p", "failed", this.frame).textContent = "The map could not be loaded. Reload the page to try again.";
      return;
    }
    this.cells = bytes(data.cells);
    this.first = data.first && new Uint32Array(bytes(data.first).buffer);
    this.data = data;
    this.marks = new Set(data.marks); // tokens whose reading mentions the word that the map follows
    this.written = new Set(data.written); // tokens at which the text has it
    this.rows = data.layers.length;
    this.columns = data.tokens.length;
    this.wide = Boolean(this.first);
    const fitting = Math.floor((this.frame.clientWidth - 60) / this.columns);
    this.cellWidth = this.wide ? 76 : Math.max(14, Math.min(30, fitting));
    this.cellHeight = this.wide ? 19 : this.rows > 48 ? 9 : 13;
    this.left = 46;
    this.bottom = this.wide ? 26 : 78;
    this.markHeight = this.marks.size ? 8 : 0;
    this.bottom += this.markHeight;
    this.gap = 5; // between the model's output and the lens
    this.room.style.width = `${this.left + this.columns * this.cellWidth + 2}px`;
    this.room.style.height = `${this.rows * this.cellHeight + this.gap + this.bottom + 4}px`;
    this.reveal(Number(this.getAttribute("position") ?? 0));
    this.dispatchEvent(new Event("loaded"));
    this.draw();
  }

  /** Scroll so that a column can be seen. */
  reveal(column) {
    const x = this.left + column * this.cellWidth;
    const { scrollLeft, clientWidth } = this.frame;
    if (x < scrollLeft + this.left || x + this.cellWidth > scrollLeft + clientWidth)
      this.frame.scrollLeft = x - clientWidth / 2;
  }

  /** The top of a row; the first layer is the lowest. */
  top(row) {
    return (this.rows - 1 - row) * this.cellHeight + (row < this.rows - 1 ? this.gap : 0) + 2;
  }

  draw() {
    if (!this.data || this.queued) return;
    this.queued = requestAnimationFrame(() => {
      this.queued = 0;
      this.paint();
    });
  }

  paint() {
    const { clientWidth: width, clientHeight: height, scrollLeft, scrollTop } = this.frame;
    const scale = devicePixelRatio;
    if (this.canvas.width !== Math.round(width * scale) || this.canvas.height !== Math.round(height * scale)) {
      this.canvas.width = Math.round(width * scale);
      this.canvas.height = Math.round(height * scale);
      this.canvas.style.width = `${width}px`;
      this.canvas.style.height = `${height}px`;
    }
    const style = getComputedStyle(this);
    const colour = (name) => style.getPropertyValue(name);
    const pen = this.canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.fillStyle = colour("--sheet");
    pen.fillRect(0, 0, width, height);
    const shades = Array.from({ length: SHADE }, (_, n) => colour(`--s${n}`));
    const first = Math.max(0, Math.floor(scrollLeft / this.cellWidth));
    const last = Math.min(this.columns, Math.ceil((scrollLeft + width - this.left) / this.cellWidth));
    const floor = height - this.bottom; // the tokens' names stay in sight below
    const x = (column) => this.left + column * this.cellWidth - scrollLeft;
    const y = (row) => this.top(row) - scrollTop;
    const ink = colour("--ink");
    const mono = colour("--mono");
    const serif = colour("--text");
    pen.textBaseline = "middle";
    pen.textRendering = "optimizeSpeed"; // no ligatures: a token is shown letter by letter
    pen.save();
    pen.beginPath();
    pen.rect(this.left, 0, width, floor);
    pen.clip();
    for (let row = 0; row < this.rows; row++) {
      const at = y(row);
      if (at > floor || at + this.cellHeight < 0) continue;
      for (let column = first; column < last; column++) {
        const share = this.cells[row * this.columns + column];
        pen.fillStyle = shades[Math.min(SHADE - 1, Math.floor((share * SHADE) / 255))];
        pen.fillRect(x(column), at, this.cellWidth - 1, this.cellHeight - 1);
        if (!this.first) continue;
        pen.save();
        pen.beginPath();
        pen.rect(x(column), at, this.cellWidth - 3, this.cellHeight);
        pen.clip();
        pen.fillStyle = ink;
        pen.font = `11.5px ${mono}`;
        pen.fillText(this.data.texts[this.first[row * this.columns + column]], x(column) + 4, at + this.cellHeight / 2);
        pen.restore();
      }
    }
    const outline = (column, row, name, lineWidth) => {
      pen.strokeStyle = colour(name);
      pen.lineWidth = lineWidth;
      pen.strokeRect(x(column) - 1, y(row) - 1, this.cellWidth + 1, this.cellHeight + 1);
    };
    const marked = this.data.layers.indexOf(this.data.layer);
    if (marked >= 0) {
      pen.strokeStyle = ink;
      pen.setLineDash([2, 3]);
      pen.lineWidth = 1;
      pen.strokeRect(x(first) - 2, y(marked) - 1, (last - first) * this.cellWidth + 3, this.cellHeight + 1);
      pen.setLineDash([]);
    }
    const pinned = Number(this.getAttribute("position") ?? -1);
    if (pinned >= 0) {
      pen.strokeStyle = colour("--accent");
      pen.lineWidth = 1.5;
      pen.strokeRect(x(pinned) - 1, y(this.rows - 1) - 1, this.cellWidth + 1, this.top(0) + this.cellHeight + 1);
      if (this.hasAttribute("row")) outline(pinned, Number(this.getAttribute("row")), "--accent", 2.5);
    }
    if (this.hasAttribute("tied")) {
      pen.strokeStyle = ink;
      pen.lineWidth = 1;
      pen.strokeRect(x(Number(this.getAttribute("tied"))) - 1, y(this.rows - 1) - 1, this.cellWidth + 1,
        this.top(0) + this.cellHeight + 1);
    }
    if (this.at) outline(this.at.column, this.at.row, "--ink", 2);
    pen.restore();
    this.paintRows(pen, y, floor, colour, serif, marked);
    this.paintTokens(pen, x, first, last, floor, height, colour, mono, pinned);
  }

  paintRows(pen, y, floor, colour, serif, marked) {
    pen.textAlign = "right";
    const every = Math.ceil(13 / this.cellHeight) * (this.wide ? 1 : 2);
    for (let row = 0; row < this.rows; row++) {
      const at = y(row) + this.cellHeight / 2;
      if (at > floor || at < 0) continue;
      const output = row === this.rows - 1;
      if (!output && row !== marked && (row % every || row > this.rows - 2 - every / 2
        || Math.abs(row - marked) < every)) continue;
      pen.fillStyle = colour(output || row === marked ? "--ink" : "--soft");
      pen.font = `${output || row === marked ? 600 : 400} 11.5px ${serif}`;
      pen.fillText(output ? "output" : row === marked ? `${this.data.layers[row]} ◂` : this.data.layers[row],
        this.left - 6, at);
    }
  }

  paintTokens(pen, x, first, last, floor, height, colour, mono, pinned) {
    pen.fillStyle = colour("--sheet");
    pen.fillRect(0, floor, this.canvas.width, height - floor);
    pen.textAlign = this.wide ? "left" : "right";
    pen.save();
    pen.beginPath();
    pen.rect(this.left - 14, floor, this.canvas.width, height - floor);
    pen.clip();
    for (let column = first; column < last; column++) {
      if (this.marks.has(column)) {
        pen.fillStyle = colour("--accent");
        pen.beginPath();
        pen.moveTo(x(column) + this.cellWidth / 2, floor + 2);
        pen.lineTo(x(column) + this.cellWidth / 2 + 4, floor + 9);
        pen.lineTo(x(column) + this.cellWidth / 2 - 4, floor + 9);
        pen.fill();
      }
      const strong = column === pinned || this.written.has(column);
      pen.fillStyle = colour(strong ? "--accent" : "--soft");
      pen.font = `${strong ? 700 : 400} 11px ${mono}`;
      pen.save();
      if (this.wide) {
        pen.beginPath();
        pen.rect(x(column), floor, this.cellWidth - 3, height - floor);
        pen.clip();
        pen.fillText(this.data.tokens[column], x(column) + 4, floor + this.markHeight + 12);
      } else {
        pen.translate(x(column) + this.cellWidth / 2 + 3, floor + this.markHeight + 8);
        pen.rotate(-Math.PI / 3.2);
        pen.fillText(this.data.tokens[column].slice(0, 11), 0, 0);
      }
      pen.restore();
    }
    pen.restore();
  }

  /** The cell under a point of the page, if there is one. */
  under(event) {
    const box = this.frame.getBoundingClientRect();
    const across = event.clientX - box.left - this.frame.clientLeft;
    const down = event.clientY - box.top - this.frame.clientTop;
    if (!this.data || across < this.left || down > this.frame.clientHeight - this.bottom) return null;
    const column = Math.floor((across + this.frame.scrollLeft - this.left) / this.cellWidth);
    const below = down + this.frame.scrollTop;
    const output = below < this.top(this.rows - 1) + this.cellHeight;
    const row = output ? this.rows - 1 : this.rows - 1 - Math.floor((below - 2 - this.gap) / this.cellHeight);
    return column >= 0 && column < this.columns && row >= 0 && row < this.rows ? { column, row } : null;
  }

  listen() {
    this.frame.addEventListener("scroll", () => this.draw(), { passive: true });
    this.frame.addEventListener("pointermove", (event) => event.pointerType === "mouse"
      && this.show(this.under(event)));
    this.frame.addEventListener("pointerleave", () => this.show(null));
    this.frame.addEventListener("blur", () => this.show(null));
    this.frame.addEventListener("click", (event) => this.pin(this.under(event)));
    this.frame.addEventListener("keydown", (event) => this.key(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!this.data || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") this.show(null);
    if (event.key === "Enter" && this.at) this.pin(this.at);
    if (!step && event.key !== "Enter") return;
    event.preventDefault();
    event.stopPropagation(); // the page's own arrows move the pinned token
    if (!step) return;
    const from = this.at ?? { column: Number(this.getAttribute("position") ?? 0),
      row: Number(this.getAttribute("row") ?? this.rows - 1) };
    const within = (value, count) => Math.max(0, Math.min(count - 1, value));
    const to = { column: within(from.column + step[0], this.columns), row: within(from.row + step[1], this.rows) };
    this.reveal(to.column);
    this.show(to, true);
  }

  /** Show a cell's guesses beside it; nothing for null. */
  show(at, aloud = false) {
    if (at?.column === this.at?.column && at?.row === this.at?.row) return;
    if (at?.column !== this.at?.column)
      this.dispatchEvent(new CustomEvent("over", { bubbles: true, detail: at?.column ?? null }));
    this.at = at;
    this.draw();
    clearTimeout(this.soon);
    if (!at) {
      this.tip.hidden = true;
      return;
    }
    this.soon = setTimeout(() => this.tell(at, aloud), 60);
  }

  async tell(at, aloud) {
    const address = `${this.getAttribute("cell")}&t=${at.column}&layer=${at.row}`;
    if (!this.fragments.has(address)) {
      const answer = await fetch(address);
      if (!answer.ok) return;
      if (this.fragments.size > 400) this.fragments.clear();
      this.fragments.set(address, await answer.text());
    }
    if (this.at !== at) return;
    // The same fragment that the panel shows; its styles are the page's, so it stands in the page, in this slot.
    this.tip.innerHTML = "<slot></slot>";
    this.innerHTML = this.fragments.get(address);
    this.querySelector("nav")?.remove();
    this.tip.hidden = false;
    const across = this.left + at.column * this.cellWidth - this.frame.scrollLeft;
    const down = this.top(at.row) - this.frame.scrollTop;
    const room = this.frame.clientWidth - this.tip.offsetWidth;
    const right = across + this.cellWidth + 10;
    const left = right > room ? across - this.tip.offsetWidth - 10 : right;
    this.tip.style.left = `${Math.max(0, Math.min(room, left))}px`;
    const lowest = this.frame.clientHeight - this.tip.offsetHeight + 60;
    this.tip.style.top = `${Math.max(-40, Math.min(lowest, down - 20))}px`;
    if (aloud) this.said.textContent = this.textContent.replace(/\s+/g, " ").trim();
  }

  /** Pin a cell: its token, and its layer. */
  pin(at) {
    if (!at) return;
    this.show(null);
    this.dispatchEvent(new CustomEvent("pin", { bubbles: true, detail: at }));
  }
}

customElements.define("lens-map", LensMap);
