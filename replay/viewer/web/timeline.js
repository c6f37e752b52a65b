// The timeline: both sides' waveforms with the words under them, spans, latencies and marks, on a canvas.
import { isMark } from "./call.js";
import { clock, colour, el } from "./dom.js";

const STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];
const AXIS = 22;
const WAVE = 46;
const WORDS = 18;
const LANE = 18;
const LANES = [
  ["latency", "latency"],
  ["speech", "speech"],
  ["response", "responses"],
  ["playback", "playback lead"],
  ["tool", "tools"],
  ["mark", "events"],
];
const OVERVIEW = 24;
const SHORTEST = 0.2; // seconds that the view shows at least
const FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif";

export class Timeline {
  constructor(call, player, { label = "Position in the call", least = 0 } = {}) {
    this.call = call;
    this.least = least;
    this.player = player;
    this.from = 0;
    this.to = this.length;
    this.hits = [];
    this.canvas = el("canvas", { class: "timeline-canvas", "aria-hidden": "true" });
    this.over = el("canvas", { class: "overview", "aria-hidden": "true", title: "The whole call. Drag to move the view." });
    this.slider = el(
      "div",
      { class: "timeline-scene", tabindex: "0", role: "slider", "aria-label": label, "aria-valuemin": "0" },
      this.canvas,
    );
    this.tip = el("div", { class: "tip", role: "tooltip", hidden: true });
    this.node = el("div", { class: "timeline" }, this.over, this.slider, this.tip);
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.node);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    call.addEventListener("change", () => this.changed());
    call.addEventListener("select", (event) => this.shown(event.detail));
    call.addEventListener("filter", () => this.draw());
    player.addEventListener("time", () => this.moved());
    this.changed();
  }

  // --- What is in view ---

  /** Seconds of the axis: those of the call, or of a longer one that it is compared with. */
  get length() {
    return Math.max(this.call.seconds, this.least);
  }

  get fits() {
    return this.from === 0 && this.to >= this.whole - 1e-6;
  }

  changed() {
    if (this.whole == null || this.fits) this.to = this.length;
    this.whole = this.length;
    this.draw();
  }

  fit() {
    this.look(0, this.length);
  }

  look(from, to) {
    const wide = Math.max(Math.min(SHORTEST, this.length), Math.min(to - from, this.length));
    this.from = Math.max(0, Math.min(from, this.length - wide));
    this.to = this.from + wide;
    this.draw();
  }

  /** Zooms around a time; without one, around the playhead if it is in view. */
  zoom(factor, around) {
    const at = around ?? (this.player.time > this.from && this.player.time < this.to ? this.player.time : (this.from + this.to) / 2);
    this.look(at - (at - this.from) * factor, at + (this.to - at) * factor);
  }

  pan(share) {
    const step = (this.to - this.from) * share;
    this.look(this.from + step, this.to + step);
  }

  shown(by) {
    const item = this.call.item;
    const [start, end] = item ? [item.start_s ?? item.at_s, item.end_s ?? item.at_s] : [null, null];
    const frame = this.call.frames[this.call.selected.frame];
    const at = start ?? frame?.at_s;
    if (by !== "timeline" && at != null && (at < this.from || (end ?? at) > this.to) && !this.fits) {
      const wide = Math.max(this.to - this.from, ((end ?? at) - at) * 1.3);
      this.look(at - wide * 0.15, at + wide * 0.85);
    } else this.draw();
  }

  moved() {
    const at = this.player.time;
    if (this.player.playing && at > this.to - (this.to - this.from) * 0.04 && this.to < this.length) {
      this.look(at - (this.to - this.from) * 0.1, at + (this.to - this.from) * 0.9);
    } else this.draw();
  }

  // --- Drawing ---

  get gutter() {
    return this.width < 620 ? 0 : 104;
  }

  x(at) {
    return this.gutter + ((at - this.from) / (this.to - this.from)) * (this.width - this.gutter);
  }

  at(x) {
    return this.from + ((x - this.gutter) / (this.width - this.gutter)) * (this.to - this.from);
  }

  /** The lanes that this call needs, with their places. */
  layout() {
    const used = new Set(this.call.spans.map((span) => span.lane));
    if (this.call.brackets.length) used.add("latency");
    if (this.call.items.some((item) => isMark(item) || item.kind === "note")) used.add("mark");
    let top = AXIS;
    const places = {};
    for (const side of ["caller", "service"]) {
      places[side] = { top, middle: top + WAVE / 2 };
      top += WAVE + WORDS;
    }
    top += 4;
    for (const [lane, label] of LANES) {
      if (!used.has(lane)) continue;
      places[lane] = { top, label };
      top += LANE;
    }
    return { places, height: top + 4 };
  }

  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      if (this.node.isConnected) this.paint();
    });
  }

  paint() {
    this.width = this.slider.clientWidth;
    const { places, height } = this.layout();
    this.pen = ready(this.canvas, this.width, height);
    this.ink = Object.fromEntries(
      "paper ink grey rule soft caller callerbg service servicebg tool toolbg alarm warn warnbg pick".split(" ").map((name) => [name, colour(`--${name}`)]),
    );
    this.hits = [];
    this.axis(height);
    this.ground(places);
    this.pen.save();
    this.pen.beginPath();
    this.pen.rect(this.gutter, 0, this.width - this.gutter, height);
    this.pen.clip();
    this.chosen(height);
    for (const channel of this.call.channels) this.wave(channel, places[channel.side]);
    const said = this.call.items.filter((item) => item.kind === "said").map((item) => ({ ...item, start_s: item.start_s ?? item.at_s, lane: item.side }));
    for (const [item, next] of followed(said)) this.words(item, places[item.side], next);
    for (const [span, next] of followed(this.call.spans)) this.span(span, places[span.lane], next);
    for (const [bracket, next] of followed(this.call.brackets)) this.bracket(bracket, places.latency, next);
    for (const item of this.call.items) if (item.kind !== "said" && item.kind !== "tool") this.mark(item, places.mark, height);
    this.pen.restore();
    this.cursor(height);
    this.overview();
    this.tell();
  }

  axis(height) {
    const { pen, ink } = this;
    const step = STEPS.find((each) => this.x(this.from + each) - this.gutter >= 64) ?? 7200;
    pen.font = `11px ${FONT}`;
    pen.textAlign = "center";
    pen.textBaseline = "alphabetic";
    for (let count = Math.ceil(this.from / step); count * step <= this.to; count += 1) {
      const x = Math.round(this.x(count * step)) + 0.5;
      pen.fillStyle = ink.rule;
      pen.fillRect(x, AXIS - 4, 1, height);
      pen.fillStyle = ink.grey;
      const text = clock(count * step, step < 0.1 ? 2 : step < 1 ? 1 : 0);
      if (x > this.gutter + 16 && x < this.width - 16) pen.fillText(text, x, 13);
      else if (count === 0) {
        pen.textAlign = "left";
        pen.fillText(text, x, 13);
        pen.textAlign = "center";
      }
    }
  }

  /** Names and backgrounds of the lanes. Without a gutter the names stand in the lanes. */
  ground(places) {
    const { pen, ink } = this;
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    for (const [name, place] of Object.entries(places)) {
      const side = name === "caller" || name === "service";
      if (side) {
        pen.fillStyle = ink[`${name}bg`];
        box(pen, this.gutter, place.top, this.width - this.gutter, WAVE, 6);
      }
      if (this.gutter) {
        pen.font = `${side ? "600 12.5px" : "12px"} ${FONT}`;
        pen.fillStyle = side ? ink[name] : ink.grey;
        pen.fillText(place.label ?? name, 0, side ? place.middle : place.top + LANE / 2);
      }
    }
  }

  chosen(height) {
    const { item, selected, frames } = { item: this.call.item, selected: this.call.selected, frames: this.call.frames };
    if (item && item.end_s > item.start_s) {
      this.pen.fillStyle = this.ink.pick;
      this.pen.globalAlpha = 0.75;
      this.pen.fillRect(this.x(item.start_s), AXIS - 4, this.x(item.end_s) - this.x(item.start_s), height);
      this.pen.globalAlpha = 1;
    }
    const at = frames[selected.frame]?.at_s;
    if (at != null) {
      this.pen.fillStyle = this.ink.grey;
      for (let y = AXIS; y < height; y += 6) this.pen.fillRect(this.x(at), y, 1, 3);
    }
  }

  wave(channel, place) {
    const { pen } = this;
    const half = WAVE / 2 - 4;
    const loudest = (channel.loudest ??= Math.max(56, channel.columns.reduce((most, each) => Math.max(most, each), 0)));
    pen.fillStyle = this.ink[channel.side];
    pen.globalAlpha = this.player.mode === "both" || this.player.mode === channel.side ? 0.9 : 0.25;
    const begin = Math.max(0, Math.floor(this.gutter));
    const per = ((this.to - this.from) / (this.width - this.gutter)) * channel.per_s;
    for (let x = begin; x < this.width; x += 1) {
      const first = Math.floor(this.at(x) * channel.per_s);
      if (first >= channel.columns.length) break;
      let peak = 0;
      for (let column = first; column < Math.max(first + 1, first + per); column += 1) {
        if (channel.columns[column] > peak) peak = channel.columns[column];
      }
      if (peak) {
        const tall = Math.max(0.5, (peak / loudest) * half);
        pen.fillRect(x, place.middle - tall, 1, 2 * tall);
      }
    }
    pen.globalAlpha = 1;
  }

  words(item, place, next) {
    const { pen, ink } = this;
    const begin = item.start_s;
    const [left, right] = [this.x(begin), this.x(item.end_s ?? begin)];
    if (right < this.gutter || left > this.width) return;
    const top = place.top + WAVE;
    const dim = this.call.filtered && !this.call.wantsItem(item);
    if (right > left) {
      pen.fillStyle = ink[item.side];
      pen.globalAlpha = dim ? 0.25 : 1;
      pen.fillRect(left + 0.5, top - 1, Math.max(1.5, right - left - 1), 2);
    } else {
      pen.fillStyle = ink[item.side];
      pen.globalAlpha = dim ? 0.25 : 1;
      box(pen, left - 3, top - 3, 6, 6, 3);
    }
    const text = item.text || "(no transcript)";
    const from = Math.max(left, this.gutter);
    const room = (right > left ? right : Math.min(left + 420, next ? this.x(next.start_s) : this.width)) - from - 4;
    pen.font = `12px ${FONT}`;
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    pen.fillStyle = item.id === this.call.selected.item ? ink[item.side] : ink.ink;
    const shown = room > 18 ? shortened(pen, text, room) : "";
    pen.fillText(shown, from + 1, top + WORDS / 2 + 1);
    const end = Math.max(right, left + 8, right > left ? right : from + pen.measureText(shown).width);
    pen.globalAlpha = 1;
    const who = `${item.side}${item.typed ? ", typed" : ""}${item.cut ? ", interrupted" : ""}`;
    const told = `${who} · ${clock(begin)}${right > left ? ` to ${clock(item.end_s)}` : ""}\n${text}`;
    this.hits.push({ x0: left - 2, x1: end, y0: right > left ? place.top : top - 4, y1: top + WORDS, wave: top, item, told });
  }

  span(span, place, next) {
    if (!place) return;
    const { pen, ink } = this;
    const [left, right] = [this.x(span.start_s), this.x(span.end_s)];
    if (right < this.gutter || left > this.width) return;
    const shade = { speech: "caller", response: "service", playback: "service", tool: "tool" }[span.lane];
    const wide = Math.max(3, right - left);
    pen.fillStyle = span.alarm ? ink.alarm : ink[shade];
    pen.globalAlpha = span.lane === "playback" ? 0.3 : 0.85;
    box(pen, left, place.top + 3, wide, LANE - 6, 3);
    pen.globalAlpha = 1;
    const begin = Math.max(left, this.gutter);
    const free = (next ? this.x(next.start_s) : this.width) - begin - 8;
    const room = Math.min(left + wide - begin - 8, free);
    pen.font = `10.5px ${FONT}`;
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    if (span.lane === "tool" && room < 40) {
      pen.fillStyle = ink.tool;
      if (free - wide > 24) pen.fillText(shortened(pen, span.label, free - wide), begin + wide + 4, place.top + LANE / 2 + 0.5);
    } else if (room > 22) {
      pen.fillStyle = span.lane === "playback" ? ink.ink : ink.paper;
      pen.fillText(shortened(pen, span.label, room), begin + 4, place.top + LANE / 2 + 0.5);
    }
    const told = `${span.detail}\n${clock(span.start_s)} to ${clock(span.end_s)}`;
    this.hits.push({ x0: left - 1, x1: left + wide + 1, y0: place.top, y1: place.top + LANE, frame: span.frame, told });
  }

  bracket(bracket, place, next) {
    const { pen, ink } = this;
    const [left, right] = [this.x(bracket.start_s), this.x(bracket.end_s)];
    if (right < this.gutter || left > this.width) return;
    const shade = bracket.lane === "tool" ? ink.tool : ink.warn;
    if (bracket.lane === "tool" && right - left < 8) return; // the lane of the tools says it
    const middle = Math.round(place.top + LANE / 2) + 0.5;
    pen.fillStyle = shade;
    pen.fillRect(left, middle - 5, 1.5, 10);
    pen.fillRect(left, middle - 0.75, Math.max(1.5, right - left), 1.5);
    pen.fillRect(Math.max(left + 1.5, right - 1.5), middle - 5, 1.5, 10);
    pen.font = `600 10.5px ${FONT}`;
    pen.textBaseline = "middle";
    const wide = pen.measureText(bracket.label).width;
    if (right - left > wide + 16) {
      const centre = (Math.max(left, this.gutter) + Math.min(right, this.width)) / 2;
      pen.fillStyle = ink.paper;
      pen.fillRect(centre - wide / 2 - 3, middle - 6, wide + 6, 12);
      pen.fillStyle = shade;
      pen.textAlign = "center";
      pen.fillText(bracket.label, centre, middle + 0.5);
    } else if (bracket.lane !== "tool" && (!next || right + wide + 8 < this.x(next.start_s))) {
      pen.textAlign = "left";
      pen.fillText(bracket.label, right + 4, middle + 0.5);
    }
    const told = `${bracket.detail}\n${clock(bracket.start_s)} to ${clock(bracket.end_s)}`;
    this.hits.push({ x0: left - 3, x1: Math.max(right, left + wide) + 3, y0: place.top, y1: place.top + LANE, frame: bracket.frame, told });
  }

  mark(item, place, height) {
    if (!place) return;
    const { pen, ink } = this;
    const x = this.x(item.at_s);
    if (x < this.gutter - 8 || x > this.width + 8) return;
    const at = Math.max(this.gutter + 5, Math.min(this.width - 5, x));
    const y = place.top + LANE / 2;
    const dim = this.call.filtered && !this.call.wantsItem(item);
    const shade = item.kind === "note" ? ink.grey : item.kind === "finding" && !item.alarm ? ink.warn : ink.alarm;
    pen.globalAlpha = dim ? 0.2 : 1;
    pen.fillStyle = shade;
    if (item.kind !== "note") {
      pen.globalAlpha = dim ? 0.1 : 0.45;
      pen.fillRect(at - 0.5, AXIS, 1, height - AXIS - LANE + 4);
      pen.globalAlpha = dim ? 0.2 : 1;
    }
    pen.beginPath();
    if (item.kind === "finding") {
      pen.moveTo(at, y - 6);
      pen.lineTo(at + 6, y + 5);
      pen.lineTo(at - 6, y + 5);
    } else if (item.kind === "fault") {
      pen.moveTo(at, y - 6.5);
      pen.lineTo(at + 6.5, y);
      pen.lineTo(at, y + 6.5);
      pen.lineTo(at - 6.5, y);
    } else pen.arc(at, y, item.kind === "error" ? 5 : 3, 0, 7);
    pen.fill();
    pen.globalAlpha = 1;
    const told = `${item.kind}${item.rule ? ` ${item.rule}` : ""} · ${clock(item.at_s)}\n${item.text}`;
    this.hits.push({ x0: at - 7, x1: at + 7, y0: place.top, y1: place.top + LANE, item, told });
  }

  cursor(height) {
    const { pen, ink } = this;
    const line = (at, shade, wide) => {
      const x = this.x(at);
      if (x < this.gutter || x > this.width) return;
      pen.fillStyle = shade;
      pen.fillRect(x - wide / 2, 16, wide, height);
      return x;
    };
    if (this.hover != null) line(this.hover, ink.grey, 1);
    const x = line(this.player.time, ink.alarm, 1.5);
    if (x == null) return;
    pen.beginPath();
    pen.moveTo(x - 5, 14);
    pen.lineTo(x + 5, 14);
    pen.lineTo(x, 21);
    pen.fill();
  }

  /** The whole call, and which part of it is in view. */
  overview() {
    const width = this.over.clientWidth;
    const pen = ready(this.over, width, OVERVIEW);
    const scale = width / this.length;
    pen.fillStyle = this.ink.soft;
    box(pen, 0, 0, width, OVERVIEW, 5);
    this.call.channels.forEach((channel, row) => {
      pen.fillStyle = this.ink[channel.side];
      const middle = OVERVIEW * (row ? 0.72 : 0.28);
      for (let x = 0; x < width; x += 1) {
        const [first, last] = [x, x + 1].map((each) => Math.floor((each / scale) * channel.per_s));
        let peak = 0;
        for (let column = first; column < Math.max(first + 1, last); column += 1) peak = Math.max(peak, channel.columns[column] ?? 0);
        const tall = (peak / channel.loudest) * OVERVIEW * 0.2;
        if (peak) pen.fillRect(x, middle - tall, 1, Math.max(1, 2 * tall));
      }
    });
    for (const item of this.call.items) {
      if (!isMark(item)) continue;
      pen.fillStyle = item.kind === "finding" && !item.alarm ? this.ink.warn : this.ink.alarm;
      pen.fillRect(item.at_s * scale - 1, 0, 2, OVERVIEW);
    }
    if (!this.fits) {
      pen.fillStyle = this.ink.paper;
      pen.globalAlpha = 0.65;
      pen.fillRect(0, 0, this.from * scale, OVERVIEW);
      pen.fillRect(this.to * scale, 0, width, OVERVIEW);
      pen.globalAlpha = 1;
      pen.strokeStyle = this.ink.grey;
      pen.strokeRect(this.from * scale + 0.5, 0.5, Math.max(2, (this.to - this.from) * scale - 1), OVERVIEW - 1);
    }
    pen.fillStyle = this.ink.alarm;
    pen.fillRect(this.player.time * scale - 0.75, 0, 1.5, OVERVIEW);
  }

  tell() {
    const at = this.player.time;
    this.slider.setAttribute("aria-valuemax", this.call.seconds.toFixed(2));
    this.slider.setAttribute("aria-valuenow", at.toFixed(2));
    const said = this.call.items.find((item) => item.kind === "said" && item.start_s <= at && at < item.end_s);
    this.slider.setAttribute("aria-valuetext", `${clock(at)} of ${clock(this.call.seconds)}${said ? `, ${said.side}: ${said.text}` : ""}`);
  }

  // --- The pointer ---

  hitAt(x, y) {
    return this.hits.findLast((hit) => x >= hit.x0 && x <= hit.x1 && y >= hit.y0 && y <= hit.y1);
  }

  place(event) {
    const frame = this.canvas.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  }

  listen() {
    const { slider, over } = this;
    let scrubbing = false;
    slider.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      const [x, y] = this.place(event);
      const hit = this.hitAt(x, y);
      if (hit && !(hit.wave && y < hit.wave)) return this.choose(hit);
      if (x < this.gutter) return;
      if (hit) this.call.select({ item: hit.item.id }, "timeline");
      scrubbing = true;
      slider.setPointerCapture(event.pointerId);
      this.player.seek(this.at(x));
    });
    slider.addEventListener("pointermove", (event) => {
      const [x, y] = this.place(event);
      this.hover = x >= this.gutter ? this.at(x) : null;
      if (scrubbing) this.player.seek(this.at(Math.max(this.gutter, x)));
      this.explain(x, y);
      this.draw();
    });
    slider.addEventListener("pointerup", () => (scrubbing = false));
    slider.addEventListener("pointercancel", () => (scrubbing = false));
    slider.addEventListener("pointerleave", () => {
      this.hover = null;
      this.tip.hidden = true;
      this.draw();
    });
    slider.addEventListener(
      "wheel",
      (event) => {
        const [x] = this.place(event);
        if (event.ctrlKey || event.metaKey) this.zoom(Math.exp(event.deltaY / 200), this.at(x));
        else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
          if (this.fits) return;
          this.pan((event.deltaX || event.deltaY) / this.width);
        } else return;
        event.preventDefault();
      },
      { passive: false },
    );
    let moving = false;
    const move = (event) => {
      const box = over.getBoundingClientRect();
      const at = ((event.clientX - box.left) / box.width) * this.length;
      if (this.fits) return this.player.seek(at);
      const wide = this.to - this.from;
      this.look(at - wide / 2, at + wide / 2);
    };
    over.addEventListener("pointerdown", (event) => {
      moving = true;
      over.setPointerCapture(event.pointerId);
      move(event);
    });
    over.addEventListener("pointermove", (event) => moving && move(event));
    over.addEventListener("pointerup", () => (moving = false));
  }

  choose(hit) {
    this.call.select(hit.item ? { item: hit.item.id } : { frame: hit.frame }, "timeline");
    if (hit.item?.end_s > hit.item?.start_s) this.player.play(hit.item.start_s, hit.item.end_s);
    else this.player.seek(hit.item ? hit.item.at_s : (this.call.frames[hit.frame]?.at_s ?? 0));
  }

  /** Says what is under the pointer. */
  explain(x, y) {
    const hit = this.hitAt(x, y);
    this.slider.classList.toggle("on-item", Boolean(hit) && !(hit.wave && y < hit.wave));
    this.tip.hidden = !hit;
    if (!hit) return;
    const [first, ...rest] = hit.told.split("\n");
    this.tip.replaceChildren(el("b", null, first), el("span", null, rest.join("\n")));
    const room = this.node.clientWidth - this.tip.offsetWidth - 4;
    this.tip.style.left = `${Math.max(0, Math.min(room, x + 12))}px`;
    this.tip.style.top = `${this.slider.offsetTop + y + 16}px`;
  }
}

/** Each span with the next one of its lane. */
function followed(spans) {
  const next = new Map();
  return spans
    .toReversed()
    .map((span) => {
      const pair = [span, next.get(span.lane)];
      next.set(span.lane, span);
      return pair;
    })
    .toReversed();
}

function ready(canvas, width, height) {
  const scale = devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}

function box(pen, x, y, width, height, radius) {
  pen.beginPath();
  pen.roundRect(x, y, width, height, Math.min(radius, width / 2, height / 2));
  pen.fill();
}

/** As much of a text as fits. */
function shortened(pen, text, room) {
  if (pen.measureText(text).width <= room) return text;
  let [low, high] = [0, Math.min(text.length, 400)];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (pen.measureText(`${text.slice(0, middle)}…`).width <= room) low = middle;
    else high = middle - 1;
  }
  return low ? `${text.slice(0, low)}…` : "";
}
