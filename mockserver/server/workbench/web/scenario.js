// The scenario tab: an editor, and below it the mistakes that the server's validator finds while one writes.

import { post } from "./api.js";
import { byId, download, el } from "./dom.js";
import { Editor } from "./editor.js";

const PAUSE_MS = 250; // of typing, before the text is checked

export class ScenarioTab {
  constructor(draft) {
    this.draft = draft;
    this.asked = 0;
    this.checked = Promise.resolve();
    const place = el("div", { class: "editor", id: "scenario-editor" });
    this.verdict = el("p", { class: "verdict", role: "status" });
    this.list = el("ol", { class: "problems", "aria-label": "Mistakes of the scenario" });
    const file = el("input", { type: "file", accept: ".yaml,.yml,.json", hidden: true, onchange: async () => {
      if (file.files[0]) this.take(await file.files[0].text());
      file.value = "";
    } });
    byId("part-scenario").replaceChildren(
      place,
      el("div", { class: "below" },
        el("div", { class: "row" }, this.verdict, file,
          el("button", { type: "button", class: "quiet", onclick: () => file.click() }, "Open"),
          el("button", { type: "button", class: "quiet", onclick: () => download("scenario.yaml", this.editor.text, "application/yaml") }, "Save")),
        this.list),
    );
    this.editor = new Editor(place, {
      text: draft.value.scenario, language: "yaml", label: "Scenario. Escape, then Tab leaves the editor.",
      changed: (text) => this.changed(text),
    });
    this.check();
  }

  // Replaces the text, as if the user had written it.
  take(text) {
    this.editor.text = text;
    this.changed(text);
  }

  changed(text) {
    this.draft.value.scenario = text;
    this.draft.changed("scenario");
    clearTimeout(this.later);
    this.later = setTimeout(() => this.check(), PAUSE_MS);
  }

  // Resolves to whether the scenario has no mistake.
  check() {
    clearTimeout(this.later);
    this.checked = this.look();
    return this.checked;
  }

  async look() {
    this.asked += 1;
    const asked = this.asked;
    let found;
    try {
      found = await post("/check", this.editor.text);
    } catch (problem) {
      found = { problems: [{ line: 0, column: 0, message: problem.message, fix: [] }], more: 0 };
    }
    if (asked === this.asked) this.show(found);
    return found.problems.length === 0;
  }

  show({ problems, more, rules = 0, unreachable = [] }) {
    const count = problems.length + more;
    const warnings = unreachable.map((line) => ({ line: Number(/:(\d+):\d+/.exec(line)?.[1] ?? 0), column: 1, message: line, severity: "warning" }));
    this.editor.mark([...problems, ...warnings]);
    this.verdict.dataset.verdict = count ? "bad" : warnings.length ? "warn" : "good";
    this.verdict.textContent = count
      ? `${count} ${count === 1 ? "mistake" : "mistakes"}`
      : `${rules} ${rules === 1 ? "rule" : "rules"}, no mistake`;
    byId("count-scenario").textContent = count ? String(count) : "";
    byId("count-scenario").dataset.verdict = this.verdict.dataset.verdict;
    this.list.replaceChildren(
      ...problems.map((problem) => this.row(problem)),
      ...warnings.map((warning) => this.row({ ...warning, fix: [] })),
      ...(more ? [el("li", null, `and ${more} more; mend these first`)] : []),
    );
  }

  row({ line, column, message, fix, severity = "error" }) {
    return el("li", { class: severity },
      el("button", { type: "button", onclick: () => this.editor.goTo(line, column) },
        el("b", null, line ? `${line}:${column}` : "–"), el("span", null, message)),
      fix.length ? el("pre", null, fix.join("\n")) : null);
  }
}
