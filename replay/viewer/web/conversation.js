// What was said and done, as a list. A click on an item plays it where it stands.
import { clock, el } from "./dom.js";

const KINDS = { finding: "finding", fault: "fault", error: "error" };

export class Conversation {
  constructor(call, player) {
    this.call = call;
    this.player = player;
    this.nodes = new Map();
    this.list = el("ol", { class: "talk" });
    this.none = el("p", { class: "none", hidden: true }, "Nothing here fits the filter.");
    this.node = el("div", { class: "talk-pane", tabindex: "-1" }, this.list, this.none);
    this.list.addEventListener("click", (event) => this.clicked(event));
    call.addEventListener("change", () => this.changed());
    call.addEventListener("filter", () => this.filter());
    call.addEventListener("select", (event) => this.shown(event.detail));
    player.addEventListener("time", () => this.sounding());
    player.addEventListener("state", () => this.sounding());
    this.changed();
  }

  changed() {
    const kept = new Map();
    const nodes = this.call.items.map((item) => {
      const text = JSON.stringify([item, this.call.waits.get(item.id)?.label]);
      const old = this.nodes.get(item.id);
      const made = old?.text === text ? old : { text, node: this.made(item) };
      kept.set(item.id, made);
      return made.node;
    });
    const end = this.node.scrollHeight - this.node.scrollTop - this.node.clientHeight < 40;
    const live = this.nodes.size > 0;
    this.nodes = kept;
    nodes.forEach((node, at) => {
      if (this.list.children[at] !== node) this.list.insertBefore(node, this.list.children[at] ?? null);
    });
    while (this.list.children.length > nodes.length) this.list.lastChild.remove();
    this.filter();
    if (live && end) this.node.scrollTop = this.node.scrollHeight;
  }

  made(item) {
    const time = el("time", null, clock(item.at_s));
    const classes = ["item", item.kind, item.side, item.alarm ? "alarm" : ""].filter(Boolean).join(" ");
    return el("li", { class: classes, "data-item": item.id }, time, this.content(item));
  }

  content(item) {
    if (item.kind === "said") return this.said(item);
    if (item.kind === "tool") return this.tool(item);
    if (item.kind === "note") return el("div", { class: "bubble" }, this.pick(item, item.text));
    const label = item.rule ?? KINDS[item.kind];
    const parts = [el("b", { class: "label" }, label), this.pick(item, item.text)];
    if (item.fix) parts.push(el("p", { class: "fix" }, item.fix));
    return el("div", { class: "bubble" }, ...parts);
  }

  said(item) {
    const marks = [item.typed && "typed", item.cut && "interrupted", item.heard_by && `heard by ${item.heard_by}`].filter(Boolean);
    const wait = this.call.waits.get(item.id);
    const text = item.text || "(no transcript)";
    const chips = marks.map((mark) => el("span", { class: "chip" }, mark));
    if (wait) chips.push(el("span", { class: "chip wait", title: wait.detail }, `first audio after ${wait.label}`));
    const sound = item.end_s > item.start_s;
    const play = el("button", { class: "play", type: "button", "data-play": "", disabled: !sound, "aria-label": `Play turn ${item.turn}, ${item.side}` });
    if (!sound) play.title = "This item has no audio.";
    const words = el("p", null, text);
    return el("div", { class: "bubble" }, play, el("div", null, el("span", { class: "unseen" }, `${item.side}: `), words, chips.length ? el("div", { class: "chips" }, ...chips) : ""));
  }

  tool(item) {
    const parts = [
      el("div", { class: "head" }, el("b", null, item.text), item.ms == null ? "" : el("span", { class: "chip" }, `${item.ms.toFixed(0)} ms`)),
      el("pre", null, item.arguments),
    ];
    if (item.result == null) parts.push(el("p", { class: "missing" }, "no result was sent"));
    else parts.push(el("pre", { class: item.alarm ? "result failed" : "result" }, item.result));
    const show = el("button", { class: "link", type: "button", "aria-label": `Show the frame of ${item.text}` }, "frame");
    parts[0].append(show);
    return el("div", { class: "bubble" }, ...parts);
  }

  /** A text that selects its item; a button, so that the keyboard gets there. */
  pick(item, text) {
    if (item.frame == null) return el("p", null, text);
    return el("button", { class: "text", type: "button" }, text);
  }

  clicked(event) {
    const row = event.target.closest("[data-item]");
    if (!row || (!event.target.closest("button") && String(getSelection()))) return; // who selects text wants to copy it
    this.choose(this.call.items[Number(row.dataset.item)], true);
  }

  /** Selects an item; `play` plays it too, and stops it if it is playing. */
  choose(item, play) {
    const sounds = this.player.playing && this.sounds === item.id && this.player.end != null;
    this.call.select({ item: item.id }, "conversation");
    if (!play) return;
    if (sounds) this.player.pause();
    else if (item.kind === "said" && item.end_s > item.start_s) this.player.play(item.start_s, item.end_s);
    else this.player.seek(item.start_s ?? item.at_s);
  }

  shown(by) {
    const { item } = this.call.selected;
    for (const [id, { node }] of this.nodes) {
      node.classList.toggle("picked", id === item);
      if (id === item) node.setAttribute("aria-current", "true");
      else node.removeAttribute("aria-current");
    }
    const node = item == null ? null : this.nodes.get(item)?.node;
    if (node && by !== "conversation" && this.node.offsetParent) into(this.node, node);
  }

  filter() {
    let left = 0;
    for (const item of this.call.items) {
      const wanted = !this.call.filtered || this.call.wantsItem(item);
      this.nodes.get(item.id).node.hidden = !wanted;
      left += wanted;
    }
    this.none.hidden = left > 0;
    this.none.textContent = this.call.items.length ? "Nothing here fits the filter." : "Nothing has been said yet.";
  }

  /** Marks what is to be heard now. */
  sounding() {
    const at = this.player.time;
    const item = this.player.playing
      ? this.call.items.findLast((each) => each.kind === "said" && each.start_s <= at && at < each.end_s && (this.player.mode === "both" || each.side === this.player.mode))
      : null;
    if (item?.id === this.sounds) return;
    this.nodes.get(this.sounds)?.node.classList.remove("sounds");
    this.sounds = item?.id ?? null;
    if (item) {
      const { node } = this.nodes.get(item.id);
      node.classList.add("sounds");
      if (this.node.offsetParent) into(this.node, node);
    }
  }

  /** The item before or after the one that is selected, among those that are shown. */
  step(by) {
    const shown = this.call.items.filter((item) => item.kind !== "note" && !this.nodes.get(item.id).node.hidden);
    const at = shown.findIndex((item) => item.id === this.call.selected.item);
    const next = shown[at < 0 ? (by > 0 ? 0 : shown.length - 1) : at + by];
    if (next) this.call.select({ item: next.id }, "keyboard");
  }
}

/** Scrolls a pane so that a node in it is to be seen. The page itself stays. */
export function into(pane, node) {
  const [outer, inner] = [pane.getBoundingClientRect(), node.getBoundingClientRect()];
  if (inner.top < outer.top) pane.scrollTop -= outer.top - inner.top + 8;
  else if (inner.bottom > outer.bottom) pane.scrollTop += Math.min(inner.bottom - outer.bottom + 8, inner.top - outer.top - 8);
}
