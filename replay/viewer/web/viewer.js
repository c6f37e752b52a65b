// The viewer of one call: head, timeline, conversation, frames, cost. Its homes give it the document and the audio.
import { FilterBar, PlayBar } from "./bar.js";
import { Call, isMark } from "./call.js";
import { Conversation } from "./conversation.js";
import { bytesOf, download, el, highlight } from "./dom.js";
import { Frames } from "./frames.js";
import { Keys } from "./keys.js";
import { Player, wav } from "./sound.js";
import { Timeline } from "./timeline.js";

export class Viewer {
  /**
   * `alerts`: sentences above the call. `actions`: [{label, address, post}], links and buttons of forms.
   * `document`: the call. `sound`: gives its pieces of audio. `downloads`: [{label, name, type, text or base64 or url}].
   * `level`: that of the title's heading. `panes`: [name, node] of more views beside the frames.
   */
  constructor({ document, sound, downloads = [], alerts = [], actions = [], level = 1, panes = [] }) {
    this.call = new Call(document);
    this.player = new Player(sound, document.seconds);
    this.timeline = new Timeline(this.call, this.player);
    this.bar = new PlayBar(this.call, this.player, this.timeline);
    this.conversation = new Conversation(this.call, this.player);
    this.frames = new Frames(this.call);
    this.filter = new FilterBar(this.call, () => this.frames.summary);
    this.gone = new AbortController();
    this.keys = new Keys(this, this.gone.signal);
    this.head = el("header", { class: "call-head" });
    this.figures = el("dl", { class: "figures" });
    this.cost = el("div", { class: "cost-pane", tabindex: "0", role: "region", "aria-label": "Cost" });
    this.level = level;
    this.downloads = downloads;
    this.actions = actions;
    this.tabs = this.tabbed(panes);
    this.node = el(
      "main",
      { class: "viewer" },
      this.head,
      ...alerts.map((text) => el("p", { class: "alert", role: "alert" }, text)),
      this.figures,
      el("section", { class: "card", "aria-label": "Timeline" }, this.bar.node, this.timeline.node),
      this.filter.node,
      this.tabs.node,
      this.keys.dialog,
    );
    this.call.addEventListener("change", () => this.changed());
    this.call.addEventListener("select", () => this.link());
    for (const name of ["change", "filter", "select"]) this.call.addEventListener(name, () => this.found());
    addEventListener("hashchange", () => this.follow(), { signal: this.gone.signal });
    this.changed();
  }

  /** Takes a newer document of the same call. */
  take(document) {
    this.call.take(document);
    this.player.lengthened(document.seconds);
  }

  /** Stops what it does; another call takes its place. */
  close() {
    this.gone.abort();
    this.player.pause();
  }

  changed() {
    const { title, facts, figures, cost, notes } = this.call.document;
    const heading = el(`h${this.level}`, null, title, facts.origin ? el("span", { class: `origin ${facts.origin}` }, facts.origin) : "");
    const told = Object.entries(facts).filter(([name]) => name !== "origin");
    const about = el("p", { class: "facts" }, ...told.map(([name, value]) => el("span", { title: name }, value)));
    const actions = this.downloads.map((each) => el("button", { type: "button", title: each.title, onclick: () => this.save(each) }, each.label));
    const help = el("button", { type: "button", "aria-label": "Keyboard help", title: "Keyboard (?)", onclick: () => this.keys.help() }, "?");
    const shown = JSON.stringify([title, facts, figures, cost, notes, this.downloads.map((each) => each.label)]);
    if (shown === this.told) return;
    this.told = shown;
    this.head.replaceChildren(el("div", null, heading, about), el("div", { class: "actions" }, ...this.actions.map(action), ...actions, help));
    this.figures.replaceChildren(...figures.map(({ name, value }) => el("div", null, el("dt", null, name), el("dd", null, value))));
    this.cost.replaceChildren(...bill(cost), ...notes.map((note) => el("p", { class: "small" }, note)));
  }

  tabbed(more) {
    const panes = [
      ["Conversation", this.conversation.node],
      ["Frames", this.frames.node],
      ["Cost", this.cost],
      ...more,
    ];
    const buttons = panes.map(([name], at) =>
      el("button", { type: "button", role: "tab", id: `tab-${at}`, "aria-controls": `pane-${at}`, onclick: () => choose(at) }, name),
    );
    const nodes = panes.map(([name, pane], at) => el("div", { class: `pane pane-${at}`, role: "tabpanel", id: `pane-${at}`, "aria-labelledby": `tab-${at}` }, pane));
    const list = el("div", { class: "tabs", role: "tablist", "aria-label": "Views of the call" }, ...buttons);
    const node = el("div", { class: "panes" }, list, ...nodes);
    const choose = (at) => {
      node.dataset.tab = at;
      buttons.forEach((button, index) => {
        button.setAttribute("aria-selected", String(index === at));
        button.tabIndex = index === at ? 0 : -1;
      });
      if (at === 1) this.frames.shown("tab");
    };
    list.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      const seen = buttons.filter((button) => button.offsetParent);
      const next = seen[(seen.indexOf(document.activeElement) + by + seen.length) % seen.length];
      choose(buttons.indexOf(next));
      next.focus();
      event.preventDefault();
      event.stopPropagation();
    });
    choose(matchMedia("(min-width: 860px)").matches ? 1 : 0);
    return { node, choose };
  }

  /** Marks what is looked for in the conversation and in the frame that is read. */
  found() {
    highlight([this.conversation.list, this.frames.detail], this.call.filter.text);
  }

  playSelected() {
    const { item } = this.call;
    if (item?.end_s > item?.start_s) this.player.play(item.start_s, item.end_s);
    else this.player.toggle();
  }

  nextMark(by) {
    const marks = this.call.items.filter(isMark);
    const at = marks.findIndex((item) => item.id === this.call.selected.item);
    const next = marks[at < 0 ? (by > 0 ? 0 : marks.length - 1) : (at + by + marks.length) % marks.length];
    if (next) this.call.select({ item: next.id }, "keyboard");
  }

  // --- The address: #turn=3, #frame=120, with session=ID before it where there is more than one call ---

  link() {
    const { item, frame } = this.call.selected;
    const parts = new URLSearchParams(location.hash.slice(1));
    for (const name of ["turn", "frame"]) parts.delete(name);
    const turn = item == null ? null : this.call.items[item].turn;
    if (turn != null && this.call.items[item].frame === frame) parts.set("turn", turn);
    else if (frame != null) parts.set("frame", frame);
    const text = parts.toString();
    if (text !== location.hash.slice(1)) history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  }

  /** Selects what the address names. */
  follow() {
    const parts = new URLSearchParams(location.hash.slice(1));
    const [turn, frame] = ["turn", "frame"].map((name) => (parts.has(name) ? Number(parts.get(name)) : null));
    const item = turn == null ? null : this.call.turns.find((each) => each.turn === turn);
    if (item && this.call.selected.item !== item.id) this.call.select({ item: item.id }, "address");
    else if (frame != null && this.call.frames[frame] && this.call.selected.frame !== frame) this.call.select({ frame }, "address");
    const at = item?.start_s ?? item?.at_s ?? this.call.frames[frame]?.at_s;
    if (at != null) this.player.seek(at);
  }

  async save(each) {
    try {
      if (each.make) await each.make();
      else download(each.name, new Blob([each.text ?? bytesOf(each.base64)], { type: each.type }));
    } catch (problem) {
      this.player.failed(problem);
    }
  }

  /** Saves the call as a WAV, left the caller and right the service. */
  async saveWav(name) {
    const pieces = await this.player.pieces();
    if (pieces.length) download(name, wav(pieces, "both", this.call.seconds));
    else this.player.failed(new Error("There is no audio to save."));
  }
}

/** A link, or a form of one button. */
function action({ label, address, post }) {
  if (!post) return el("a", { class: "button", href: address }, label);
  return el("form", { method: "post", action: address }, el("button", { type: "submit" }, label));
}

function bill(cost) {
  if (!cost) return [];
  const rows = cost.rows.map((row) => el("tr", null, el("td", null, row.what), el("td", null, row.quantity), el("td", null, row.usd)));
  const head = el("tr", null, ...["item", "quantity", "USD"].map((name) => el("th", { scope: "col" }, name)));
  const total = cost.total == null ? "" : el("tfoot", null, el("tr", null, el("td", null, "total"), el("td"), el("td", null, cost.total)));
  const table = rows.length ? el("table", null, el("thead", null, head), el("tbody", null, ...rows), total) : "";
  return [table, el("p", { class: "small" }, cost.note)].filter(Boolean);
}
