// Every frame as a row of a list of any length, and one frame in full. Only rows in view are elements.
import { clock, copy, el, plural, size } from "./dom.js";

const ROW = 26;
const SPARE = 8; // rows above and below those in view
const RUNS = /(append|\.delta)$/;
const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

export class Frames {
  constructor(call) {
    this.call = call;
    this.open = new Set();
    this.spacer = el("div", { class: "spacer" });
    this.list = el("div", { class: "frame-list", role: "listbox", tabindex: "0", "aria-label": "Frames" }, this.spacer);
    this.none = el("p", { class: "none", hidden: true }, "No frame fits the filter.");
    this.detail = el("div", { class: "frame-detail", "aria-label": "The selected frame", role: "region", tabindex: "0" });
    this.node = el("div", { class: "frames-pane" }, this.list, this.none, this.detail);
    this.list.addEventListener("scroll", () => this.draw(), { passive: true });
    this.list.addEventListener("click", (event) => this.clicked(event));
    this.list.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.list);
    call.addEventListener("change", () => this.changed());
    call.addEventListener("filter", () => this.changed(true));
    call.addEventListener("select", (event) => this.shown(event.detail));
    this.changed();
    this.show();
  }

  /** The rows: one for each frame, or for a run of audio or deltas that follow one another. */
  changed(filter = false) {
    const { frames } = this.call;
    const end = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < ROW;
    const live = this.rows?.length > 0 && !filter;
    this.rows = [];
    this.wanted = 0;
    let run = null;
    for (let number = 0; number < frames.length; number += 1) {
      if (this.call.filtered && !this.call.wantsFrame(number)) {
        run = null;
        continue;
      }
      this.wanted += 1;
      const { type, way } = frames[number];
      const first = run && frames[run.first];
      if (first && first.type === type && first.way === way && RUNS.test(type)) {
        run.count += 1;
        run.last = number;
        if (this.open.has(run.first)) this.rows.push({ first: number, last: number, count: 1, inner: true });
        continue;
      }
      run = { first: number, last: number, count: 1 };
      this.rows.push(run);
    }
    this.spacer.style.height = `${this.rows.length * ROW}px`;
    this.none.hidden = this.rows.length > 0;
    this.none.textContent = frames.length ? "No frame fits the filter." : "No frame has crossed the wire yet.";
    this.list.hidden = !this.rows.length;
    if (live && end) this.list.scrollTop = this.list.scrollHeight;
    if (filter) this.reveal();
    this.drawn = "";
    this.draw();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.list.scrollTop / ROW) - SPARE);
    const last = Math.min(this.rows.length, Math.ceil((this.list.scrollTop + this.list.clientHeight) / ROW) + SPARE);
    const drawn = `${first} ${last} ${this.call.selected.frame} ${this.call.selected.item}`;
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const made = [];
    for (let at = first; at < last; at += 1) made.push(this.made(this.rows[at], at));
    this.list.replaceChildren(this.spacer, ...made);
    const chosen = made.find((row) => row.getAttribute("aria-selected") === "true");
    if (chosen) this.list.setAttribute("aria-activedescendant", chosen.id);
    else this.list.removeAttribute("aria-activedescendant");
  }

  made(row, at) {
    const frame = this.call.frames[row.first];
    const { item, frame: picked } = this.call.selected;
    const marks = this.call.marksOf(row.first);
    const related = item != null && this.call.itemOf(row.first)?.id === item;
    const chosen = picked != null && picked >= row.first && picked <= row.last && (row.count > 1 ? !this.open.has(row.first) || picked === row.first : true);
    const bad = frame.type === "error" || frame.type === "fault" || marks.some((mark) => mark.alarm);
    const classes = ["frame", frame.way, related && "related", bad && "bad", !bad && marks.length && "warn", row.inner && "inner"].filter(Boolean).join(" ");
    const many = row.count > 1 ? el("span", { class: "many" }, `× ${row.count}`) : "";
    const shown = el(
      "div",
      { class: classes, id: `frame-${row.first}`, role: "option", "aria-selected": String(chosen), "aria-setsize": this.rows.length, "aria-posinset": at + 1, "data-row": at },
      el("span", { class: "at" }, clock(frame.at_s, 3)),
      el("span", { class: "way", title: frame.way === "sent" ? "from the client" : "from the service" }, frame.way === "sent" ? "↑" : "↓"),
      el("span", { class: "type" }, el("span", null, frame.type), many),
      el("span", { class: "brief" }, marks.length ? marks.map((mark) => mark.rule ?? mark.text).join(", ") : (frame.brief ?? "")),
      el("span", { class: "size" }, frame.size ? size(frame.size) : ""),
    );
    shown.style.transform = `translateY(${at * ROW}px)`;
    return shown;
  }

  clicked(event) {
    const shown = event.target.closest("[data-row]");
    if (!shown) return;
    const row = this.rows[Number(shown.dataset.row)];
    if (row.count > 1 && (event.target.closest(".many") || this.call.selected.frame === row.first)) this.toggle(row.first);
    this.call.select({ frame: row.first }, "frames");
  }

  toggle(first) {
    if (!this.open.delete(first)) this.open.add(first);
    this.changed();
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.list.clientHeight / ROW) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key === "Enter" && this.rowOf(this.call.selected.frame)?.count > 1) this.toggle(this.rowOf(this.call.selected.frame).first);
    else if (event.key in steps) this.step(steps[event.key]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  step(by) {
    if (!this.rows.length) return;
    const at = this.rows.indexOf(this.rowOf(this.call.selected.frame));
    const next = at < 0 ? 0 : Math.max(0, Math.min(this.rows.length - 1, at + by));
    this.call.select({ frame: this.rows[next].first }, "keyboard");
  }

  rowOf(number) {
    if (number == null) return undefined;
    return this.rows.find((row) => row.first === number && (row.inner || row.count >= 1)) ?? this.rows.find((row) => row.first <= number && number <= row.last);
  }

  shown(by) {
    if (by !== "frames") this.reveal();
    this.drawn = "";
    this.draw();
    this.show();
  }

  /** Scrolls to the selected frame. */
  reveal() {
    const at = this.rows.indexOf(this.rowOf(this.call.selected.frame));
    if (at < 0 || !this.list.clientHeight) return;
    const [top, high] = [at * ROW, this.list.clientHeight];
    if (top < this.list.scrollTop || top + ROW > this.list.scrollTop + high) this.list.scrollTop = top - high / 3;
  }

  /** The selected frame in full. */
  show() {
    const number = this.call.selected.frame;
    const frame = this.call.frames[number];
    if (!frame) {
      this.detail.replaceChildren(el("p", { class: "none" }, "Select a frame to read it."));
      return;
    }
    const text = frame.body === null ? "(not kept: the page has no room for it)" : JSON.stringify(frame.body, null, 2);
    const told = el("span", { class: "told", role: "status" });
    const press = async () => {
      await this.copy();
      told.textContent = "copied";
    };
    const facts = [`frame ${number}`, `${clock(frame.at_s, 3)}`, frame.way === "sent" ? "client to service" : "service to client", frame.size ? size(frame.size) : ""];
    if (frame.connection) facts.push(`connection ${frame.connection}`);
    const marks = this.call.marksOf(number).map((mark) => el("p", { class: mark.alarm ? "mark alarm" : "mark" }, el("b", null, mark.rule ?? mark.kind), ` ${mark.text}`, mark.fix ? ` ${mark.fix}` : ""));
    const head = el("div", { class: "head" }, el("b", null, frame.type), el("button", { type: "button", class: "copy", onclick: press }, "Copy"), told);
    this.detail.replaceChildren(head, el("p", { class: "facts" }, facts.filter(Boolean).join(" · ")), ...marks, coloured(text ?? ""));
    this.detail.scrollTop = 0;
  }

  async copy() {
    const frame = this.call.frames[this.call.selected.frame];
    if (frame) await copy(JSON.stringify(frame.body, null, 2));
  }

  get summary() {
    const { frames, document } = this.call;
    const total = plural(frames.length, "frame") + (document.frames_left_out ? ` (${document.frames_left_out} more left out)` : "");
    return this.call.filtered ? `${this.wanted} of ${total}` : total;
  }
}

/** JSON with its names, texts and numbers in colours. */
export function coloured(text) {
  const shown = el("pre", { class: "json" });
  if (text.length > 200_000) {
    shown.textContent = text;
    return shown;
  }
  let at = 0;
  for (const found of text.matchAll(TOKENS)) {
    shown.append(text.slice(at, found.index));
    const kind = found[2] ? "name" : found[1] ? "text" : "value";
    shown.append(el("span", { class: kind }, found[1] ?? found[0]), found[2] ?? "");
    at = found.index + found[0].length;
  }
  shown.append(text.slice(at));
  return shown;
}
