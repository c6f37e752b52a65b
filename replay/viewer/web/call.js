// One call: its document, what is selected, and what the reader looks for. Views listen to its events:
// "change" (more of a live call), "select" (detail: who chose), "filter".
import { bytesOf } from "./dom.js";

export class Call extends EventTarget {
  constructor(document) {
    super();
    this.frames = [];
    this.selected = { item: null, frame: null };
    this.filter = { text: "", type: "", rule: "", errors: false };
    this.texts = [];
    this.take(document);
  }

  /** Takes a document. Of a live call it may begin with a later frame; all else replaces what was known. */
  take(document) {
    const chosen = this.document && this.item;
    this.frames.length = Math.min(this.frames.length, document.since);
    this.texts.length = this.frames.length;
    for (const frame of document.frames) this.frames.push(frame);
    this.document = document;
    this.seconds = document.seconds;
    this.items = document.items;
    this.spans = document.spans;
    this.brackets = document.brackets;
    this.channels = document.channels.map((each) => ({ ...each, columns: bytesOf(each.columns) }));
    this.byKey = new Map();
    this.byFrame = new Map();
    for (const item of this.items) {
      if (item.key) this.byKey.set(item.key, item);
      if (item.frame != null) this.byFrame.set(item.frame, item);
      if (item.result_frame != null) this.byFrame.set(item.result_frame, item);
    }
    this.waits = new Map();
    for (const bracket of this.brackets) {
      if (bracket.lane !== "first audio") continue;
      const item = this.itemOf(bracket.frame);
      if (item) this.waits.set(item.id, bracket);
    }
    if (chosen) this.selected.item = this.items.find((item) => same(item, chosen))?.id ?? null;
    this.dispatchEvent(new Event("change"));
  }

  /** The item that a frame belongs to, or undefined. */
  itemOf(number) {
    const frame = this.frames[number];
    return this.byFrame.get(number) ?? (frame?.key ? this.byKey.get(frame.key) : undefined);
  }

  /** Selects an item, a frame, or both; each brings the other along where it has one. */
  select({ item = null, frame = null }, by = "") {
    let chosen = item;
    let number = frame;
    if (chosen == null && number != null) chosen = this.itemOf(number)?.id ?? null;
    if (number == null && chosen != null) number = this.items[chosen].frame ?? null;
    this.selected = { item: chosen, frame: number };
    this.dispatchEvent(new CustomEvent("select", { detail: by }));
  }

  get item() {
    return this.selected.item == null ? null : this.items[this.selected.item];
  }

  look(change) {
    Object.assign(this.filter, change);
    this.dispatchEvent(new Event("filter"));
  }

  get filtered() {
    const { text, type, rule, errors } = this.filter;
    return Boolean(text || type || rule || errors);
  }

  /** Whether the reader looks for this frame. */
  wantsFrame(number) {
    const { text, type, rule, errors } = this.filter;
    const frame = this.frames[number];
    if (type && frame.type !== type) return false;
    if (errors && !this.isBad(number)) return false;
    if (rule && !this.marksOf(number).some((item) => item.rule === rule)) return false;
    return !text || this.textOf(number).includes(text);
  }

  /** Whether the reader looks for this item. A type of frame takes the items that have such frames. */
  wantsItem(item) {
    const { text, type, rule, errors } = this.filter;
    if (rule && item.rule !== rule) return false;
    if (errors && !(item.alarm || item.kind === "finding")) return false;
    if (type && !this.typesOf(item).has(type)) return false;
    return !text || this.textOfItem(item).includes(text);
  }

  typesOf(item) {
    if (!this.types || this.types.count !== this.frames.length) {
      this.types = { count: this.frames.length, of: new Map() };
      this.frames.forEach((frame, number) => {
        const owner = this.itemOf(number);
        if (!owner) return;
        if (!this.types.of.has(owner.id)) this.types.of.set(owner.id, new Set());
        this.types.of.get(owner.id).add(frame.type);
      });
    }
    return this.types.of.get(item.id) ?? new Set();
  }

  textOf(number) {
    const frame = this.frames[number];
    this.texts[number] ??= `${frame.type} ${JSON.stringify(frame.body) ?? ""}`.toLowerCase();
    return this.texts[number];
  }

  textOfItem(item) {
    const parts = [item.text, item.rule, item.fix, item.arguments, item.result, item.kind, item.side];
    return parts.filter(Boolean).join(" ").toLowerCase();
  }

  /** Findings, faults and errors that point to a frame. */
  marksOf(number) {
    if (!this.marks || this.marks.items !== this.items) {
      this.marks = { items: this.items, of: new Map() };
      for (const item of this.items) {
        if (item.frame == null || !isMark(item)) continue;
        if (!this.marks.of.has(item.frame)) this.marks.of.set(item.frame, []);
        this.marks.of.get(item.frame).push(item);
      }
    }
    return this.marks.of.get(number) ?? [];
  }

  isBad(number) {
    return this.frames[number].type === "error" || this.marksOf(number).length > 0;
  }

  /** The items that were said, in order. */
  get turns() {
    return this.items.filter((item) => item.kind === "said");
  }
}

/** Whether an item of a newer document is the one of an older. */
function same(item, other) {
  return item.kind === other.kind && (item.key ? item.key === other.key : item.frame === other.frame && item.text === other.text);
}

export function isMark(item) {
  return item.kind === "finding" || item.kind === "fault" || item.kind === "error";
}
