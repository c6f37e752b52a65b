// The bars: playing and zooming; searching and filtering.
import { clock, el } from "./dom.js";

const MODES = [
  ["both", "Both", "1"],
  ["caller", "Caller", "2"],
  ["service", "Service", "3"],
];

/** Play, side, position, zoom. */
export class PlayBar {
  constructor(call, player, timeline) {
    this.call = call;
    this.player = player;
    this.button = el("button", { class: "big", type: "button", onclick: () => player.toggle() });
    this.time = el("span", { class: "time" });
    this.modes = MODES.map(([mode, label, key]) => el("button", { type: "button", title: `Hear this only (${key})`, "data-mode": mode, onclick: () => player.choose(mode) }, label));
    this.problem = el("span", { class: "problem", role: "alert" });
    const zoom = (label, text, act) => el("button", { type: "button", "aria-label": label, title: label, onclick: act }, text);
    this.node = el(
      "div",
      { class: "play-bar" },
      this.button,
      this.time,
      el("div", { class: "group", role: "group", "aria-label": "What to hear" }, ...this.modes),
      this.problem,
      el(
        "div",
        { class: "group zoom", role: "group", "aria-label": "Zoom" },
        zoom("Zoom out", "−", () => timeline.zoom(2)),
        zoom("Fit the whole call", "Fit", () => timeline.fit()),
        zoom("Zoom in", "+", () => timeline.zoom(0.5)),
      ),
      player.audio,
    );
    player.addEventListener("state", () => this.show());
    player.addEventListener("time", () => this.tick());
    call.addEventListener("change", () => this.tick());
    this.show();
    this.tick();
  }

  show() {
    const { playing, mode, problem } = this.player;
    this.button.setAttribute("aria-label", playing ? "Pause" : "Play");
    this.button.title = `${playing ? "Pause" : "Play"} (space)`;
    this.button.classList.toggle("playing", playing);
    for (const button of this.modes) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    this.problem.textContent = problem;
  }

  tick() {
    this.time.replaceChildren(el("b", null, clock(this.player.time, 1)), ` / ${clock(this.call.seconds, 1)}`);
  }
}

/** Search, type, rule, errors only. */
export class FilterBar {
  constructor(call, summary) {
    this.call = call;
    this.summary = summary;
    this.text = el("input", { type: "search", placeholder: "Search text, types, JSON  ( / )", "aria-label": "Search", spellcheck: "false", oninput: () => call.look({ text: this.text.value.trim().toLowerCase() }) });
    this.type = el("select", { "aria-label": "Type of frame", onchange: () => call.look({ type: this.type.value }) });
    this.rule = el("select", { "aria-label": "Rule of findings", onchange: () => call.look({ rule: this.rule.value }) });
    this.errors = el("button", { type: "button", class: "toggle", "aria-pressed": "false", onclick: () => call.look({ errors: !call.filter.errors }) }, "Errors only");
    this.clear = el("button", { type: "button", class: "link", hidden: true, onclick: () => this.reset() }, "Clear");
    this.count = el("span", { class: "count", role: "status" });
    this.node = el("div", { class: "filter-bar", role: "search" }, this.text, this.type, this.rule, this.errors, this.clear, this.count);
    call.addEventListener("change", () => this.changed());
    call.addEventListener("filter", () => this.show());
    this.changed();
  }

  changed() {
    const types = new Map();
    for (const { type } of this.call.frames) types.set(type, (types.get(type) ?? 0) + 1);
    options(this.type, "All types", [...types].sort(([a], [b]) => (a < b ? -1 : 1)).map(([type, count]) => [type, `${type} (${count})`]));
    const rules = new Set(this.call.items.filter((item) => item.rule).map((item) => item.rule));
    options(this.rule, "All rules", [...rules].sort().map((rule) => [rule, rule]));
    this.rule.hidden = !rules.size;
    this.show();
  }

  show() {
    const { text, type, rule, errors } = this.call.filter;
    if (this.text.value.trim().toLowerCase() !== text) this.text.value = text;
    this.type.value = type;
    this.rule.value = rule;
    this.errors.setAttribute("aria-pressed", String(errors));
    this.clear.hidden = !this.call.filtered;
    this.count.textContent = this.summary();
  }

  reset() {
    this.call.look({ text: "", type: "", rule: "", errors: false });
  }
}

function options(select, all, pairs) {
  const text = JSON.stringify(pairs);
  if (select.shown === text) return;
  select.shown = text;
  const chosen = select.value;
  select.replaceChildren(el("option", { value: "" }, all), ...pairs.map(([value, label]) => el("option", { value }, label)));
  select.value = chosen;
}
