// The page: buttons and their effects on the document. The call is in call.js.

import { Call } from "./call.js";

const element = (id) => document.getElementById(id);
const STATES = {
  idle: "Not connected",
  connecting: "Connecting …",
  listening: "Listening",
  hearing: "You are speaking",
  speaking: "Answering",
  resuming: "Connecting again …",
  failed: "Call failed",
};
const SAYS = {
  find_information: "looked it up",
  check_availability: "looked up free times",
  book_appointment: "booked",
  reschedule_appointment: "moved",
  cancel_appointment: "cancelled",
  transfer_to_human: "called a person",
  end_call: "said goodbye",
};
const lines = new Map(); // item -> its line of the transcript
let call = null;
let starting = null; // resolves when `call` is in progress or has failed

function show(what, details) {
  shown[what]?.(details);
}

const shown = {
  state: ({ state }) => {
    element("status").dataset.state = state;
    element("state").textContent = STATES[state];
  },
  session: ({ clinic, recording_notice }) => {
    element("clinic").textContent = clinic;
    element("notice").textContent = recording_notice;
  },
  level: ({ level }) => (element("level").value = level),
  heard: ({ item, text, final }) => write(item, "caller", text).classList.toggle("draft", !final),
  said: ({ item, text }) => write(item, "assistant", text),
  interrupted: ({ item, heardMs }) => {
    const line = lines.get(item);
    if (!line) return;
    line.classList.add("interrupted");
    small(line, "cut", `interrupted after ${(heardMs / 1000).toFixed(1)} s`);
  },
  dropped: ({ item }) => {
    lines.get(item)?.remove();
    lines.delete(item);
  },
  lost: () => complain("The connection was lost. A new one is being made; you can go on speaking."),
  resumed: () => {
    complain("The connection was lost for a moment. The call goes on where it was.");
    if (element("status").dataset.state === "resuming") shown.state({ state: "listening" });
  },
  tool: ({ name, arguments: args, result }) => {
    const line = add("tool", summary(name, result));
    line.title = args;
    line.classList.toggle("error", "error" in result);
    if (result.reference) book(result);
    if (result.cancelled) element("bookings").replaceChildren();
  },
  ended: ({ failure }) => {
    if (failure) complain(failure);
    shown.state({ state: failure ? "failed" : "idle" });
    element("level").value = 0;
    figures();
    dressed(false);
  },
};

function summary(name, result) {
  if (result.error) return `${name}: ${result.error}`;
  if (result.slots) return `${SAYS[name]}: ${result.slots.join(", ") || "none"} on ${result.date}`;
  const about = result.reference ?? result.cancelled?.reference ?? result.transferred_to;
  return [SAYS[name] ?? name, about].filter(Boolean).join(": ");
}

function book({ reference, service, date, time, name }) {
  const card = document.createElement("div");
  card.className = "booking";
  card.dataset.reference = reference;
  const when = new Date(`${date}T${time}`).toLocaleString([], { dateStyle: "full", timeStyle: "short" });
  for (const [tag, text] of [["b", service], ["span", when], ["span", `${name} · ${reference}`]]) {
    card.append(Object.assign(document.createElement(tag), { textContent: text }));
  }
  element("bookings").replaceChildren(card);
}

function write(item, who, text) {
  const line = lines.get(item) ?? add(who, "");
  lines.set(item, line);
  line.firstChild.textContent = text;
  follow();
  return line;
}

function add(kind, text) {
  element("hint")?.remove();
  const line = document.createElement("li");
  line.className = kind;
  line.append(document.createTextNode(text));
  element("transcript").append(line);
  follow();
  return line;
}

function small(line, kind, text) {
  const note = document.createElement("small");
  note.className = kind;
  note.textContent = text;
  line.append(note);
}

function transcript() {
  const said = [...element("transcript").querySelectorAll(".caller, .assistant")];
  return said.map((line) => ({ role: line.classList[0], text: line.firstChild.textContent }));
}

function follow() {
  element("transcript").scrollTop = element("transcript").scrollHeight;
}

function complain(message) {
  element("alert").textContent = message;
  element("alert").hidden = false;
}

function dressed(on) {
  const button = element("call");
  button.toggleAttribute("data-on", on);
  button.querySelector("span").textContent = on ? "Hang up" : "Call";
}

function figures() {
  if (!call) return;
  const seconds = (samples) => `${(samples / 24_000).toFixed(1)} s`;
  element("sent").textContent = seconds(call.sent);
  element("received").textContent = seconds(call.received);
  element("cost").textContent = call.usd === null ? "unknown" : `$${call.usd.toFixed(4)}`;
  if (!call.began) return;
  const passed = Math.floor((Date.now() - call.began) / 1000);
  element("time").textContent = `${Math.floor(passed / 60)}:${String(passed % 60).padStart(2, "0")}`;
}

function begin(microphone) {
  element("alert").hidden = true;
  shown.state({ state: "connecting" });
  dressed(true);
  lines.clear();
  element("transcript").replaceChildren();
  const begun = new Call((what, details) => begun === call && show(what, details), transcript);
  call = begun;
  starting = begun.begin({ microphone }).catch((trouble) => {
    if (begun !== call) return; // another call began meanwhile
    complain(trouble.message);
    shown.state({ state: "failed" });
  });
}

element("call").addEventListener("click", () => {
  if (call && !call.over) call.end();
  else begin(true);
});

element("typed").addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  const text = element("words").value.trim();
  if (!text) return;
  element("words").value = "";
  if (!call || call.over) begin(false);
  await starting;
  if (call.over) {
    element("words").value ||= text; // it was not sent
    return;
  }
  add("caller", text);
  call.type(text);
});

addEventListener("pagehide", () => call?.end(undefined, { leaving: true }));
setInterval(figures, 250);
