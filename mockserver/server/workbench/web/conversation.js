// The conversation as a list: what was said, what the tools did, how long the user waited.

import { byId, el, milliseconds } from "./dom.js";

const SLOW_MS = 1500; // an answer that begins later is marked

export class Conversation {
  constructor() {
    this.place = byId("conversation");
    this.clear();
  }

  clear(hint) {
    this.lines = new Map(); // item or call -> element
    this.place.replaceChildren(hint ? el("li", { class: "hint" }, hint) : "");
  }

  add(element, key) {
    this.place.querySelector(".hint")?.remove();
    const follows = this.place.scrollHeight - this.place.scrollTop - this.place.clientHeight < 80;
    this.place.append(element);
    if (key !== undefined) this.lines.set(key, element);
    if (follows) this.place.scrollTop = this.place.scrollHeight;
    return element;
  }

  line(key, made) {
    return this.lines.get(key) ?? this.add(made(), key);
  }

  user({ item, text, typed, final }) {
    if (text === null && this.lines.has(item)) return;
    const line = this.line(item, () => el("li", { class: "user" }, el("small", null, typed ? "You, typed" : "You"), el("p")));
    line.classList.toggle("open", !final);
    line.querySelector("p").textContent = text || "…";
    this.follow();
  }

  assistant({ item, text }) {
    const line = this.line(item, () => el("li", { class: "assistant" }, el("small", null, "Assistant"), el("p")));
    line.querySelector("p").textContent = text.trim();
    this.follow();
  }

  interrupted({ item, heardMs }) {
    this.lines.get(item)?.append(el("small", { class: "cut" }, `interrupted after ${milliseconds(heardMs)}`));
  }

  tool({ call_id, name, arguments: args, result, ms }) {
    const line = this.line(call_id, () => el("li", { class: "tool" }, el("p", null, el("b", null, name), " ", el("code", null, args))));
    if (result === null || line.querySelector(".result")) return;
    line.append(el("p", { class: "result" }, "→ ", el("code", null, result), ms === undefined ? null : el("small", null, milliseconds(ms))));
    this.follow();
  }

  latency({ kind, ms, after }) {
    if (kind !== "answer") return;
    const slow = ms > SLOW_MS ? " slow" : "";
    const last = this.place.lastElementChild;
    const bracket = this.add(el("li", { class: `bracket${slow}` }, el("span", null, `${milliseconds(ms)} to first audio`), el("small", null, `after ${after}`)));
    if (last?.classList.contains("assistant")) last.before(bracket); // its first words came before its sound
  }

  // What was said before this call.
  past(role, text) {
    this.add(el("li", { class: `${role} past` }, el("small", null, role === "user" ? "You, before" : "Assistant, before"), el("p", null, text)));
  }

  note(text, kind = "note") {
    this.add(el("li", { class: kind }, text));
  }

  follow() {
    const left = this.place.scrollHeight - this.place.scrollTop - this.place.clientHeight;
    if (left < 160) this.place.scrollTop = this.place.scrollHeight;
  }

  // [{role, text}] of what was said.
  get transcript() {
    return [...this.place.querySelectorAll(".user, .assistant")].map((line) => ({
      role: line.classList.contains("user") ? "user" : "assistant",
      text: line.querySelector("p").textContent,
    }));
  }
}
