// Two calls side by side: a timeline each, and their server events as `realtape diff` aligns them.
import { PlayBar } from "./bar.js";
import { Call } from "./call.js";
import { clock, el, plural } from "./dom.js";
import { coloured } from "./frames.js";
import { Player } from "./sound.js";
import { Timeline } from "./timeline.js";

const SIDES = ["left", "right"];
const LETTERS = ["A", "B"];

class Comparison {
  constructor(document_, sounds) {
    this.document = document_;
    this.at = null;
    this.all = !document_.rows.some(differs);
    this.views = document_.calls.map((call, index) => this.view(call, sounds[index], LETTERS[index]));
    this.views.forEach((view, index) => view.call.addEventListener("select", (event) => this.selected(index, event.detail)));
    this.rows = document_.rows.map((row, at) => this.row(row, at));
    this.list = el("ol", { class: "pairs", "aria-label": "Server events of both calls" }, ...this.rows);
    this.count = el("span", { class: "count", role: "status" });
    this.choices = [["Differences", false], ["All events", true]].map(([label, all]) => el("button", { type: "button", "aria-pressed": String(all === this.all), onclick: () => this.show(all) }, label));
    this.detail = el("div", { class: "pair-detail" });
    this.node = el(
      "main",
      { class: "viewer compare" },
      el("header", { class: "call-head" }, el("h1", null, document_.title)),
      this.told(),
      el("div", { class: "calls" }, ...this.views.map((view) => view.node)),
      el("div", { class: "filter-bar" }, el("div", { class: "group", role: "group", "aria-label": "Which events" }, ...this.choices), this.count, el("span", { class: "small" }, "J and K: next and previous · D: next difference · Space: play")),
      el("div", { class: "pair-head", "aria-hidden": "true" }, ...LETTERS.map((letter, index) => el("b", null, `${letter} · ${document_.calls[index].title}`))),
      this.list,
      this.detail,
    );
    this.player = this.views[0].player;
    addEventListener("keydown", (event) => this.pressed(event));
    this.show(this.all);
    this.details();
  }

  told() {
    const { summary, count, rows_left_out } = this.document;
    const lines = summary.length ? summary : [count ? plural(count, "difference") : "The calls do not differ in form."];
    if (rows_left_out) lines.push(`${plural(rows_left_out, "later event")} are left out.`);
    return el("ul", { class: "summary" }, ...lines.map((line) => el("li", null, line)));
  }

  view(document_, sound, letter) {
    const call = new Call(document_);
    const player = new Player(async () => {
      if (sound.problem) throw new Error(sound.problem);
      return sound.pieces;
    }, document_.seconds);
    const least = Math.max(...this.document.calls.map((each) => each.seconds)); // one scale for both
    const timeline = new Timeline(call, player, { label: `Position in call ${letter}`, least });
    const bar = new PlayBar(call, player, timeline);
    const figures = document_.figures.map(({ name, value }) => `${value} ${name}`).join(" · ");
    player.addEventListener("state", () => {
      if (!player.playing) return;
      this.player = player;
      for (const view of this.views) if (view.player !== player) view.player.pause();
    });
    const head = el("div", { class: "side-head" }, el("h2", null, `${letter} · ${document_.title}`), el("span", { class: "small" }, figures));
    return { call, player, timeline, node: el("section", { class: "card", "aria-label": `Call ${letter}` }, head, bar.node, timeline.node) };
  }

  row(row, at) {
    const cells = SIDES.map((side, index) => this.cell(row[side], index));
    const parts = row.differences.filter((each) => each.path).map((each) => el("p", { class: "difference" }, el("code", null, each.path), " ", el("del", null, each.expected), " ", el("ins", null, each.actual)));
    const kind = row.left == null ? "added" : row.right == null ? "missing" : row.moved ? "moved" : row.differences.length ? "differs" : "same";
    return el("li", { class: kind, "data-at": at }, el("button", { type: "button", class: "pair", onclick: () => this.choose(at, "rows") }, el("span", { class: "unseen" }, `${kind}: `), ...cells), ...parts);
  }

  cell(number, index) {
    if (number == null) return el("span", { class: "cell none-here" }, "–");
    const frame = this.views[index].call.frames[number];
    if (!frame) return el("span", { class: "cell" }, `frame ${number}`);
    return el("span", { class: "cell" }, el("span", { class: "at" }, clock(frame.at_s, 2)), el("span", { class: "type" }, frame.type), el("span", { class: "brief" }, frame.brief ?? ""));
  }

  show(all) {
    this.all = all;
    this.choices.forEach((button, index) => button.setAttribute("aria-pressed", String((index === 1) === all)));
    this.rows.forEach((node, at) => (node.hidden = !all && !differs(this.document.rows[at])));
    const shown = this.rows.filter((node) => !node.hidden).length;
    this.count.textContent = `${shown} of ${plural(this.rows.length, "pair")} of events`;
  }

  /** Selects a pair, in both timelines too. */
  choose(at, by) {
    this.at = at;
    const row = this.document.rows[at];
    this.rows.forEach((node, index) => node.classList.toggle("picked", index === at));
    this.views.forEach((view, index) => {
      const frame = row[SIDES[index]];
      view.call.select(frame == null ? {} : { frame }, "rows");
      if (frame != null) view.player.seek(view.call.item?.start_s ?? view.call.frames[frame]?.at_s ?? 0);
    });
    if (by !== "rows") this.rows[at].scrollIntoView({ block: "nearest" });
    this.details();
  }

  /** Something was selected in one timeline: its pair is selected in both. */
  selected(index, by) {
    if (by === "rows") return;
    const { call, player } = this.views[index];
    const item = call.item;
    const numbers = item ? call.frames.flatMap((_, number) => (call.itemOf(number)?.id === item.id ? [number] : [])) : [call.selected.frame];
    const at = this.document.rows.findIndex((row) => numbers.includes(row[SIDES[index]]));
    if (at < 0) return;
    const time = player.time;
    this.choose(at, "timeline");
    player.seek(time);
  }

  details() {
    const row = this.document.rows[this.at];
    if (!row) return this.detail.replaceChildren(el("p", { class: "none" }, "Select a pair of events to read both."));
    const shown = SIDES.map((side, index) => {
      const frame = this.views[index].call.frames[row[side]];
      const text = frame ? JSON.stringify(frame.body, null, 2) : "";
      return el("div", { role: "region", tabindex: "0", "aria-label": `Event of ${LETTERS[index]}` }, frame ? coloured(text) : el("p", { class: "none" }, `${LETTERS[index]} has no such event.`));
    });
    this.detail.replaceChildren(...shown);
  }

  step(by, wanted = () => true) {
    let at = this.at ?? (by > 0 ? -1 : this.rows.length);
    do at += by;
    while (at >= 0 && at < this.rows.length && (this.rows[at].hidden || !wanted(this.document.rows[at])));
    if (this.rows[at]) this.choose(at, "keyboard");
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if ((event.key === " " || event.key === "Enter") && event.target.closest?.("button")) return;
    const acts = { j: () => this.step(1), k: () => this.step(-1), d: () => this.step(1, differs), " ": () => this.player.toggle() };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }
}

function differs(row) {
  return row.left == null || row.right == null || row.moved || row.differences.length > 0;
}

const read = (id) => JSON.parse(document.getElementById(id).textContent);
document.body.append(new Comparison(read("comparison"), read("sounds")).node);
