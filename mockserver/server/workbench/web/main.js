// The workbench: the description at the left, the call in the middle, the events at the right.

import { get, tokenFrom } from "./api.js";
import { Call } from "./call.js";
import { Conversation } from "./conversation.js";
import { askToken } from "./dialogs.js";
import { Draft, fresh } from "./draft.js";
import { ICONS, byId, clock, el, icon, milliseconds } from "./dom.js";
import { Events } from "./events.js";
import { showDocuments, showPreview, showSession, showTools } from "./form.js";
import { keep } from "./keep.js";
import { open } from "./open.js";
import { ScenarioTab } from "./scenario.js";
import { Unready, sessionOf } from "./session.js";

const STATES = {
  idle: "Not in a call", connecting: "Connecting…", listening: "Listening", hearing: "Hears you", speaking: "Speaks",
  tools: "Runs a tool", ended: "The call has ended",
};
const HINT = "Press Call and speak, or type. With the scenario at the left, try: Where is order 1043?";

class Workbench {
  constructor(choices) {
    this.choices = choices;
    this.draft = new Draft();
    if (!choices.services.some(({ name }) => this.draft.value.dialect.startsWith(name))) this.draft.value.dialect = choices.dialect;
    this.conversation = new Conversation();
    this.conversation.clear(HINT);
    this.events = new Events();
    this.call = null;
    this.checking = false; // whether a call waits for the check of its scenario
    this.history = []; // items of a recorded call with which the next call begins
    this.scenario = new ScenarioTab(this.draft);
    this.showForms();
    this.draft.onChange((what) => what === "all" ? this.showForms() : showPreview(this.draft.value));
    byId("server").textContent = [
      `${location.host}`,
      { recognised: "speech is recognised", clips: "known clips are recognised", scripted: "spoken words come from the scenario" }[choices.words],
    ].join(" · ");
    this.listen();
    this.showButton();
  }

  showForms() {
    showSession(this.draft, this.choices);
    showTools(this.draft, this.choices);
    showDocuments(this.draft);
    if (this.scenario.editor.text !== this.draft.value.scenario) this.scenario.take(this.draft.value.scenario);
  }

  listen() {
    byId("call").addEventListener("click", () => (this.inCall ? this.call.end() : this.begin({ microphone: true })));
    byId("send").append(icon(ICONS.send));
    byId("typed").addEventListener("submit", (event) => {
      event.preventDefault();
      this.type(byId("words").value.trim());
    });
    byId("turn").addEventListener("click", () => {
      const speaking = !this.call?.speaking;
      this.call?.hold(speaking);
      byId("turn").textContent = speaking ? "End the turn" : "Speak";
      byId("turn").setAttribute("aria-pressed", String(speaking));
    });
    byId("keep").addEventListener("click", () => this.keep());
    byId("open").addEventListener("click", () => open((opened, turn) => this.takeUp(opened, turn)));
    byId("afresh").addEventListener("click", () => {
      this.call?.forget();
      this.call = null;
      this.history = [];
      this.draft.replace(fresh());
      this.conversation.clear(HINT);
      this.events.clear();
      this.showButton();
    });
    for (const button of document.querySelectorAll("#views button")) button.addEventListener("click", () => view(button.dataset.view));
    tabs();
    addEventListener("pagehide", () => this.call?.forget());
    setInterval(() => this.tick(), 250);
  }

  get inCall() {
    return this.call !== null && !this.call.over;
  }

  async type(text) {
    if (!text) return;
    if (!this.inCall && !(await this.begin({ microphone: false }))) return;
    if (this.call.began === null) return; // it connects: the words stay in the field
    if (byId("words").value.trim() === text) byId("words").value = "";
    this.call.type(text);
  }

  // Resolves to whether the call began.
  async begin({ microphone }) {
    if (this.checking) return false;
    byId("alert").hidden = true;
    let session;
    try {
      session = sessionOf(this.draft.value);
    } catch (problem) {
      if (!(problem instanceof Unready)) throw problem;
      pick(byId(`tab-${problem.part}`));
      return this.alarm(problem.message);
    }
    this.checking = true;
    const right = await this.scenario.check().finally(() => { this.checking = false; });
    if (!right) {
      pick(byId("tab-scenario"));
      return this.alarm("The scenario has mistakes; mend them first.");
    }
    this.call?.forget();
    byId("viewer").hidden = true;
    this.conversation.clear();
    this.showHistory();
    this.events.clear();
    byId("first").textContent = "–";
    const tell = (what, details) => { if (call === this.call) this.told(what, details); }; // an earlier call tells no more
    const call = new Call({ draft: structuredClone(this.draft.value), session, history: this.history, tell });
    this.call = call;
    this.told("state", { state: "connecting" });
    if (matchMedia("(max-width: 47.9rem)").matches) view("talk");
    try {
      await call.begin({ microphone });
    } catch (problem) {
      if (call !== this.call) return false; // another call, or none, took its place
      return this.alarm(problem.message);
    }
    byId("viewer").href = `/_mock/#namespace=${encodeURIComponent(call.place.id)}`;
    byId("viewer").hidden = false;
    byId("turn").hidden = !(microphone && call.manual);
    byId("words").focus({ preventScroll: true });
    return true;
  }

  // The next call goes on from a turn of a recorded one.
  takeUp({ description, turns, history }, turn) {
    this.call?.forget();
    this.call = null;
    this.history = history;
    this.draft.replace(description);
    this.events.clear();
    this.conversation.clear(history.length ? null : "Press Call and speak, or type. The scenario answers as it was recorded.");
    this.showHistory();
    byId("words").value = turns[turn]?.user ?? "";
    this.state("idle");
    if (matchMedia("(max-width: 47.9rem)").matches) view("talk");
    byId("words").focus();
  }

  showHistory() {
    for (const { role, content } of this.history) this.conversation.past(role, content[0].text);
    if (this.history.length) this.conversation.note("The call goes on from here.");
  }

  // Of the last call, as it was described then; without one, of the description.
  async keep() {
    const draft = this.call?.draft ?? this.draft.value;
    try {
      await keep(draft, this.call?.session ?? sessionOf(draft), this.call, (text) => this.scenario.take(text));
    } catch (problem) {
      this.alarm(problem.message);
    }
  }

  alarm(text) {
    byId("alert").textContent = text;
    byId("alert").hidden = false;
    if (!this.inCall) this.state("idle");
    return false;
  }

  told(what, details) {
    switch (what) {
      case "state": return this.state(details.state);
      case "frame": return this.events.frame(details);
      case "level": byId("level").value = details.level; return;
      case "cost":
        if (this.call) this.call.usd = details.ledger.usd;
        byId("cost").textContent = `$${Number(details.ledger.usd).toFixed(4)}`;
        return;
      case "findings": return this.events.advise({ findings: details.findings });
      case "unused": return this.events.advise({ lines: details.lines });
      case "latency":
        this.events.latency(details);
        this.conversation.latency(details);
        if (details.kind === "answer") byId("first").textContent = milliseconds(median(this.events.answers));
        return;
      case "problem": return this.conversation.note(details.text, "problem");
      case "ended":
        if (details.failure) this.conversation.note(details.failure, "problem");
        byId("level").value = 0;
        byId("turn").hidden = true;
        return this.state("ended");
      default: return this.conversation[what](details);
    }
  }

  state(state) {
    byId("status").dataset.state = state;
    byId("state").textContent = STATES[state];
    this.showButton();
  }

  showButton() {
    const on = this.inCall;
    const button = byId("call");
    if (button.dataset.on === String(on)) return;
    button.dataset.on = String(on);
    button.replaceChildren(icon(ICONS.call), el("span", null, on ? "Hang up" : "Call"));
  }

  tick() {
    if (this.call?.opened === undefined) return;
    byId("time").textContent = clock(this.call.over ? this.call.ended : this.call.seconds);
  }
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

function view(name) {
  document.body.dataset.view = name;
  for (const button of document.querySelectorAll("#views button")) button.setAttribute("aria-pressed", String(button.dataset.view === name));
}

// --- Tabs, as the ARIA practices describe them ---

function pick(tab, focus = false) {
  for (const each of byId("tabs").children) {
    const on = each === tab;
    each.setAttribute("aria-selected", String(on));
    each.tabIndex = on ? 0 : -1;
    byId(each.getAttribute("aria-controls")).hidden = !on;
  }
  if (focus) tab.focus();
}

function tabs() {
  const all = [...byId("tabs").children];
  all.forEach((tab, at) => {
    tab.addEventListener("click", () => pick(tab));
    tab.addEventListener("keydown", ({ key }) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
      if (step) pick(all[(at + step + all.length) % all.length], true);
    });
  });
  pick(all[0]);
}

tokenFrom(askToken);
const choices = await get("/choices").catch((problem) => {
  byId("alert").textContent = problem.message;
  byId("alert").hidden = false;
  throw problem;
});
const workbench = new Workbench(choices);
globalThis.workbench = workbench; // for the console
const wanted = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
if (wanted.session) open((opened, turn) => workbench.takeUp(opened, turn), wanted);
document.body.dataset.ready = "true";
