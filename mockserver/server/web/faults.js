// The faults that are on, and the kinds that can be switched on.
import { clock, el, plural } from "./dom.js";

export class FaultsPane {
  /** `ask` asks the control plane; `session` gives the id of the session that is looked at. */
  constructor(ask, session) {
    this.ask = ask;
    this.session = session;
    this.on = el("ul", { class: "faults" });
    this.kind = el("select", { id: "fault-kind", onchange: () => this.choose() });
    this.about = el("p", { class: "small", id: "fault-about" });
    this.text = el("textarea", { id: "fault-text", rows: "2", spellcheck: "false", "aria-describedby": "fault-about" });
    this.problem = el("p", { class: "problem", role: "alert" });
    this.form = el(
      "form",
      { class: "fault-form", onsubmit: (event) => this.add(event) },
      el("h3", null, "Switch a fault on"),
      el("label", { for: "fault-kind" }, "Kind"),
      this.kind,
      this.about,
      el("label", { for: "fault-text" }, "Fault, as in a fault file"),
      this.text,
      el("button", { type: "submit", class: "primary" }, "Switch on"),
      this.problem,
    );
    this.node = el("div", { class: "faults-pane", tabindex: "0", role: "region", "aria-label": "Faults" }, el("h3", null, "On"), this.on, this.form);
  }

  take({ faults }) {
    if (!this.kinds) this.load();
    const id = this.session();
    const told = JSON.stringify([faults, id]);
    if (told === this.told) return;
    this.told = told;
    this.on.replaceChildren(...(faults.length ? faults.map((each) => this.row(each, id)) : [el("li", { class: "small" }, "No fault is on.")]));
  }

  row(each, id) {
    const here = each.where.filter((where) => where.session === id).map((where) => `${clock(where.at)} at ${where.event}`);
    const told = `triggered ${plural(each.fired, "time")}${here.length ? `, in this session ${here.join(", ")}` : ""}`;
    const off = el("button", { type: "button", "aria-label": `Switch off ${JSON.stringify(each.fault)}`, onclick: () => this.change(`/faults/${each.id}`, { method: "DELETE" }) }, "Switch off");
    return el("li", null, el("code", null, JSON.stringify(each.fault)), el("span", { class: "small" }, told), off);
  }

  async load() {
    this.kinds = await this.ask("/faults/kinds").catch(() => null);
    if (!this.kinds) return;
    this.kind.replaceChildren(...this.kinds.map((each) => el("option", { value: each.kind }, each.kind)));
    this.kind.value = "delay";
    this.choose();
  }

  choose() {
    const chosen = this.kinds.find((each) => each.kind === this.kind.value);
    this.about.textContent = chosen.about;
    this.text.value = chosen.example;
  }

  async add(event) {
    event.preventDefault();
    await this.change("/faults", { method: "POST", body: this.text.value });
  }

  async change(path, options) {
    try {
      this.take(await this.ask(path, options));
      this.problem.textContent = "";
    } catch (problem) {
      this.problem.textContent = problem.message;
    }
  }
}
