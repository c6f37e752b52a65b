// The tabs of the description that are forms: the session, the tools, the documents.

import { freshTool, service } from "./draft.js";
import { ICONS, byId, el, icon } from "./dom.js";
import { Editor } from "./editor.js";
import { Unready, sessionOf } from "./session.js";

const LANGUAGES = ["en", "de", "es", "fr", "it", "pt", "nl", "pl", "ja", "ko", "zh", "hi", "ar", "tr"];
const MOST_DOCUMENT = 200_000; // characters of one document

let counted = 0;

// A label with its control. `note` explains it.
function field(title, control, note) {
  counted += 1;
  control.id = `field-${counted}`;
  const explained = note ? el("small", { id: `note-${counted}` }, note) : null;
  if (explained) control.setAttribute("aria-describedby", explained.id);
  return el("div", { class: "field" }, el("label", { for: control.id }, title), control, explained);
}

function select(options, value, changed) {
  const made = el("select", { onchange: () => changed(made.value) });
  for (const [each, title] of options) made.append(el("option", { value: each, selected: each === value }, title));
  return made;
}

function input(value, changed, attributes = {}) {
  const made = el("input", { autocomplete: "off", ...attributes, oninput: () => changed(made.value) });
  made.value = value;
  return made;
}

function area(value, changed, attributes = {}) {
  const made = el("textarea", { spellcheck: "false", ...attributes, oninput: () => changed(made.value) });
  made.value = value;
  return made;
}

function check(title, on, changed) {
  counted += 1;
  const box = el("input", { type: "checkbox", id: `field-${counted}`, onchange: () => changed(box.checked) });
  box.checked = on;
  return el("div", { class: "check" }, box, el("label", { for: box.id }, title));
}

function suggestions(id, values) {
  return el("datalist", { id }, values.map((value) => el("option", { value })));
}

// --- The session ---

export function showSession(draft, choices) {
  const { value } = draft;
  const set = (name, again = false) => (given) => {
    value[name] = given;
    draft.changed(name);
    if (again) showSession(draft, choices);
  };
  const own = choices.services.find(({ name }) => name === service(value.dialect)) ?? choices.services[0];
  const dialects = choices.services.flatMap(({ name, title, dialects: dated }) => [
    [name, `${title}, newest`],
    ...dated.map((each) => [each, `${title}, ${each.split("@")[1]}`]),
  ]);
  const preview = el("pre", { id: "session-json", tabindex: "0", "aria-label": "session.update" });
  byId("part-call").replaceChildren(
    suggestions("models", own.models),
    suggestions("voices", own.voices),
    suggestions("languages", LANGUAGES),
    el("div", { class: "pair" },
      field("Service", select(dialects, value.dialect, (given) => {
        if (service(given) !== service(value.dialect)) Object.assign(value, { model: "", voice: "" });
        set("dialect", true)(given);
      })),
      field("Model", input(value.model, set("model"), { list: "models", placeholder: own.models[0] })),
    ),
    field("Instructions", area(value.instructions, set("instructions"), { rows: 6, spellcheck: "true" }),
      "The mock answers by the scenario. Its rules can look at the instructions."),
    el("div", { class: "pair" },
      field("Voice", input(value.voice, set("voice"), { list: "voices", placeholder: own.voices[0] })),
      field("Language of the user", input(value.language, set("language"), { list: "languages", placeholder: "not given" })),
    ),
    ...turnFields(draft, choices),
    el("details", { class: "json" }, el("summary", null, "session.update"), preview),
  );
  showPreview(value);
}

function turnFields(draft, choices) {
  const { turns, dialect } = draft.value;
  const set = (name, again = false) => (given) => {
    turns[name] = given;
    draft.changed("turns");
    if (again) showSession(draft, choices);
  };
  const ways = [["server_vad", "The server, by silence"], ["none", "The user, with a button"]];
  if (service(dialect) === "openai") ways.splice(1, 0, ["semantic_vad", "The server, by meaning"]);
  else if (turns.type === "semantic_vad") turns.type = "server_vad";
  const number = (title, name, placeholder) => field(title, input(turns[name], set(name), { inputmode: "decimal", placeholder }));
  const more = {
    server_vad: () => [
      el("div", { class: "pair four" },
        number("Threshold", "threshold", "default"),
        number("Silence, ms", "silence_ms", "default"),
        number("Padding, ms", "padding_ms", "default"),
        number("Idle, ms", "idle_ms", "none"),
      ),
    ],
    semantic_vad: () => [field("Eagerness", select(["auto", "low", "medium", "high"].map((each) => [each, each]), turns.eagerness, set("eagerness")))],
    none: () => [],
  };
  return [
    field("Who ends a spoken turn", select(ways, turns.type, set("type", true))),
    ...more[turns.type](),
    check("The user's speech interrupts an answer", turns.interrupt, set("interrupt")),
    check("The assistant speaks first", draft.value.greets, (on) => {
      draft.value.greets = on;
      draft.changed("greets");
    }),
  ];
}

export function showPreview(value) {
  const place = byId("session-json");
  if (!place) return;
  try {
    place.textContent = JSON.stringify({ type: "session.update", session: sessionOf(value) }, null, 2);
  } catch (problem) {
    if (!(problem instanceof Unready)) throw problem;
    place.textContent = problem.message;
  }
}

// --- Tools ---

export function showTools(draft, choices) {
  const { tools } = draft.value;
  const again = () => {
    draft.changed("tools");
    showTools(draft, choices);
  };
  const add = (kind) => () => {
    tools.push(freshTool(kind, tools.length + 1));
    again();
  };
  const cards = tools.map((tool, at) => card(draft, choices, tool, () => {
    tools.splice(at, 1);
    again();
  }));
  byId("part-tools").replaceChildren(
    ...(tools.length ? cards : [el("p", { class: "empty" }, "No tool. The scenario calls functions; the workbench answers them.")]),
    el("div", { class: "row" },
      el("button", { type: "button", class: "quiet", onclick: add("function") }, "Add a function"),
      el("button", { type: "button", class: "quiet", onclick: add("mcp") }, "Add an MCP server"),
    ),
  );
  byId("count-tools").textContent = tools.length || "";
}

function card(draft, choices, tool, remove) {
  const set = (name, again = false) => (given) => {
    tool[name] = given;
    draft.changed("tools");
    if (again) showTools(draft, choices);
  };
  const title = tool.kind === "mcp" ? tool.label : tool.name;
  const gone = el("button", { type: "button", class: "bare", "aria-label": `Remove ${title}`, onclick: remove }, icon(ICONS.remove));
  const head = el("div", { class: "head" }, el("strong", null, tool.kind === "mcp" ? "MCP server" : "Function"), gone);
  if (tool.kind === "mcp") {
    const live = choices.mcp === "live"
      ? "The server asks it: it was started with --mcp live."
      : "The server lists its tools without asking it. Start it with --mcp live to ask for real; the scenario calls with hosted steps.";
    return el("article", { class: "card" }, head,
      el("div", { class: "pair" },
        field("Label", input(tool.label, set("label"))),
        field("Address", input(tool.url, set("url"), { type: "url", placeholder: "https://…/mcp" }))),
      el("small", null, live));
  }
  const place = el("div", { class: "editor small" });
  const made = el("article", { class: "card" }, head,
    el("div", { class: "pair" },
      field("Name", input(tool.name, set("name"))),
      field("Description", input(tool.description, set("description")))),
    el("div", { class: "field" }, el("span", { class: "label" }, "Parameters, a JSON schema"), place),
    el("div", { class: "pair" },
      field("Answered by", select([["script", "A result written here"], ["http", "An HTTP address"]], tool.answer, set("answer", true))),
      tool.answer === "http"
        ? field("Address", input(tool.url, set("url"), { type: "url", placeholder: "http://127.0.0.1:8000/look_up" }))
        : null),
    tool.answer === "http"
      ? el("small", null, "This server sends {name, call_id, arguments} with POST. The body of the answer is the result.")
      : field("Result", area(tool.result, set("result"), { rows: 2, class: "code" }), "Sent as it is, usually JSON."));
  const editor = new Editor(place, {
    text: tool.parameters, language: "json", label: `Parameters of ${title}`,
    changed: (text) => {
      set("parameters")(text);
      editor.mark(jsonProblems(text));
    },
  });
  editor.mark(jsonProblems(tool.parameters));
  return made;
}

function jsonProblems(text) {
  try {
    JSON.parse(text);
    return [];
  } catch (problem) {
    const [, position] = /position (\d+)/.exec(problem.message) ?? [];
    const before = text.slice(0, position === undefined ? text.length : Number(position)).split("\n");
    return [{ line: before.length, column: before.at(-1).length + 1, message: problem.message }];
  }
}

// --- Documents ---

export function showDocuments(draft) {
  const { documents } = draft.value;
  const again = () => {
    draft.changed("documents");
    showDocuments(draft);
  };
  const problem = el("p", { class: "alert", role: "alert", hidden: true });
  const files = el("input", { type: "file", multiple: true, hidden: true, onchange: async () => {
    for (const file of files.files) {
      const text = await file.text();
      if (text.includes("\u0000") || text.length > MOST_DOCUMENT) {
        problem.textContent = `${file.name} is no text of at most ${MOST_DOCUMENT.toLocaleString("en")} characters. Give its text.`;
        problem.hidden = false;
      } else documents.push({ name: file.name, text });
    }
    if (problem.hidden) again();
    else byId("part-documents").prepend(problem);
  } });
  byId("part-documents").replaceChildren(
    el("p", { class: "lead" }, "The text of each document follows the instructions of the session."),
    ...documents.map((document, at) => el("article", { class: "card" },
      el("div", { class: "head" },
        el("strong", null, document.name), el("small", null, `${document.text.length.toLocaleString("en")} characters`),
        el("button", { type: "button", class: "bare", "aria-label": `Remove ${document.name}`, onclick: () => {
          documents.splice(at, 1);
          again();
        } }, icon(ICONS.remove))),
      field("Name", input(document.name, (given) => { document.name = given; draft.changed("documents"); })),
      field("Text", area(document.text, (given) => { document.text = given; draft.changed("documents"); }, { rows: 5, maxlength: MOST_DOCUMENT })))),
    el("div", { class: "row" }, files,
      el("button", { type: "button", class: "quiet", onclick: () => files.click() }, "Add text files"),
      el("button", { type: "button", class: "quiet", onclick: () => {
        documents.push({ name: `document ${documents.length + 1}`, text: "" });
        again();
      } }, "Write one")),
  );
  byId("count-documents").textContent = documents.length || "";
}
