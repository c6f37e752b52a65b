// Keeping a call: as a test with its agent, as a session, as a scenario, as a cassette, as a page.

import { bytes, post } from "./api.js";
import { attempts, dialog } from "./dialogs.js";
import { download, el } from "./dom.js";

const CLIENTS = [["websockets", "Python: websockets"], ["openai-python", "Python: openai"], ["ws", "Node: ws"]];
const SHOWN = [
  ["test_call.py", "Test", "A pytest test in which the agent has this call again, typed. Run: python -m pytest"],
  ["agent.py", "Agent", "A program with this session and these tools, for the library above."],
  ["agent.mjs", "Agent", "A program with this session and these tools, for the library above. Before the test: npm install"],
  ["session.json", "session.update", "What the page sent."],
  ["scenario.yaml", "Scenario", "The text of the editor."],
  ["as-spoken.yaml", "As it was spoken", "A scenario that answers as this call was answered."],
];

// The call, or without one the description alone, as the body of a request.
export function bodyOf(draft, session, call) {
  const head = {
    dialect: draft.dialect, model: draft.model, scenario: draft.scenario, session, tools: draft.tools,
    history: call?.history ?? [], greets: draft.greets, usd: call?.usd ?? "",
  };
  const lines = (call?.frames ?? []).map(([t, dir, ev]) => JSON.stringify({ t, dir, ev }));
  return new Blob([JSON.stringify(head), "\n", lines.join("\n")]);
}

// `use(text)` puts a scenario into the editor.
export async function keep(draft, session, call, use) {
  const body = bodyOf(draft, session, call);
  let files = await post(`/keep?client=${CLIENTS[0][0]}`, body);
  const { problem, attempt } = attempts();
  let client = CLIENTS[0][0];
  const choice = el("select", { id: "keep-client", onchange: () => attempt(async () => {
    files = await post(`/keep?client=${choice.value}`, body).catch((failed) => {
      choice.value = client;
      throw failed;
    });
    client = choice.value;
    list();
    pick(picked in files ? picked : names[0][0]);
  }) }, CLIENTS.map(([value, title]) => el("option", { value }, title)));
  let names;
  const tabs = el("div", { class: "tabs", role: "group", "aria-label": "What is kept" });
  const note = el("p", { class: "lead" });
  const text = el("pre", { class: "kept", tabindex: "0", "aria-label": "The file" });
  const copied = el("button", { type: "button", class: "quiet", onclick: () => attempt(async () => {
    await navigator.clipboard.writeText(files[picked]);
    copied.textContent = "Copied";
  }) }, "Copy");
  const used = el("button", { type: "button", class: "quiet", onclick: () => {
    use(files[picked]);
    shown.close();
  } }, "Use in the editor");
  let picked;
  const pick = (name) => {
    picked = name;
    copied.textContent = "Copy";
    used.hidden = name !== "as-spoken.yaml";
    note.textContent = names.find(([each]) => each === name)[2];
    text.textContent = files[name];
    for (const tab of tabs.children) tab.setAttribute("aria-pressed", String(tab.dataset.name === name));
  };
  const list = () => {
    names = SHOWN.filter(([name]) => name in files);
    tabs.replaceChildren(...names.map(([name, title]) => el("button", { type: "button", dataset: { name }, onclick: () => pick(name) }, title)));
  };
  const saved = (form, name) => attempt(async () => download(name, await bytes(`/keep?as=${form}`, body), "application/octet-stream"));
  const shown = dialog("Keep the call", [
    problem,
    el("div", { class: "row" }, el("label", { for: "keep-client" }, "Client of the agent"), choice),
    tabs, note, text,
    el("div", { class: "row" }, copied, used,
      el("button", { type: "button", class: "quiet", onclick: () => download(picked, files[picked]) }, "Save this file"),
      el("button", { type: "button", class: "primary", id: "keep-all", onclick: () => attempt(async () => {
        download("call.zip", await bytes(`/keep?as=zip&client=${choice.value}`, body), "application/zip");
      }) }, "Save all as ZIP"),
      call ? el("button", { type: "button", class: "quiet", onclick: () => saved("tape", "call.tape") }, "Save the tape") : null,
      call ? el("button", { type: "button", class: "quiet", onclick: () => saved("html", "call.html") }, "Save the viewer's page") : null),
  ]);
  list();
  pick(names[0][0]);
}
