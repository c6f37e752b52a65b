// The events of a call in both directions, the latencies that they show, and the advice of the server.

import { byId, el, milliseconds } from "./dom.js";

const MOST_ROWS = 1_500;
const MOST_BARS = 12;
const FULL_MS = 2_000; // the length of a whole bar
const LONGEST_TEXT = 600; // characters of one value that a row shows when it is opened
const IN_A_ROW = /^(response\.output_audio\.delta|input_audio_buffer\.append)$/;

export class Events {
  constructor() {
    this.log = byId("log");
    this.bars = byId("latency");
    this.advice = byId("advice");
    byId("filter").addEventListener("input", () => this.filter());
    this.clear();
  }

  clear() {
    this.log.replaceChildren(el("li", { class: "empty" }, "What crosses the wire appears here."));
    this.bars.replaceChildren();
    this.advice.replaceChildren();
    this.run = null; // the last row, if it counts events of one type
    this.answers = [];
    this.told = "";
  }

  frame({ at, way, event }) {
    this.log.querySelector(".empty")?.remove();
    const type = event.type ?? "(no type)";
    if (this.run?.type === type && IN_A_ROW.test(type)) {
      this.run.count += 1;
      this.run.note.textContent = `×${this.run.count}`;
      return;
    }
    const row = el("li", { class: `${way}${type === "error" ? " error" : ""}` },
      el("details", { ontoggle: ({ target }) => target.open && !target.querySelector("pre") && target.append(body(event)) },
        el("summary", null,
          el("time", null, at.toFixed(2)),
          el("i", { role: "img", "aria-label": way === "sent" ? "from the client" : "from the server" }, way === "sent" ? "↑" : "↓"),
          el("b", null, type), el("small", null, brief(event)))));
    this.run = { type, count: 1, note: row.querySelector("small") };
    row.hidden = !this.matches(row);
    const follows = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 60;
    this.log.append(row);
    if (this.log.children.length > MOST_ROWS) this.log.firstChild.remove();
    if (follows) this.log.scrollTop = this.log.scrollHeight;
  }

  latency({ kind, ms, after }) {
    const bar = el("span", { class: "bar" });
    bar.style.width = `${Math.min(100, (ms / FULL_MS) * 100)}%`;
    const what = kind === "tool" ? `tool ${after}` : "first audio";
    this.bars.append(el("div", { class: kind }, el("span", { class: "what" }, what), el("span", { class: "track" }, bar), el("b", null, milliseconds(ms))));
    if (this.bars.children.length > MOST_BARS) this.bars.firstChild.remove();
    if (kind === "answer") this.answers.push(ms);
  }

  // Mistakes of the client that the server found, and turns without a rule.
  advise({ findings = this.findings ?? [], lines = this.lines ?? [] }) {
    Object.assign(this, { findings, lines });
    const missing = lines.filter((line) => /no rule|no answer|unmatched|without/i.test(line));
    const shown = JSON.stringify([findings, missing]);
    if (shown === this.told) return;
    this.told = shown;
    this.advice.replaceChildren(
      ...missing.map((line) => el("p", { class: "warn" }, line)),
      ...findings.map(({ rule, message, fix }) => el("p", null, el("b", null, rule), ` ${message}`, fix ? el("small", null, fix) : null)),
    );
  }

  matches(row) {
    const wanted = byId("filter").value.trim().toLowerCase();
    return !wanted || row.textContent.toLowerCase().includes(wanted);
  }

  filter() {
    for (const row of this.log.children) row.hidden = !row.classList.contains("empty") && !this.matches(row);
  }
}

// What a row says besides the type.
function brief(event) {
  const found = event.transcript ?? event.text ?? event.error?.message ?? event.name ?? event.item?.name
    ?? event.item?.content?.[0]?.text ?? event.item?.output ?? (typeof event.delta === "string" && !IN_A_ROW.test(event.type) ? event.delta : null)
    ?? event.response?.status ?? event.session?.voice ?? "";
  return String(found).slice(0, 160);
}

function body(event) {
  const short = (key, value) =>
    typeof value === "string" && value.length > LONGEST_TEXT ? `${value.slice(0, LONGEST_TEXT)}… (${value.length} characters)` : value;
  return el("pre", null, JSON.stringify(event, short, 2));
}
