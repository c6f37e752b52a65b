// Opening a recorded call: a file, or a session of this server. Its turns are shown, and any can be taken up.

import { control, controlBytes, post } from "./api.js";
import { attempts, dialog } from "./dialogs.js";
import { clock, el } from "./dom.js";

const CONTROL = "/_mock";
const MOST_SESSIONS = 50; // that are listed

// `take({description, turns, history}, turn)` continues with the call from that turn. `wanted`: {session, namespace} of
// a session to show at once.
export async function open(take, wanted = {}) {
  const base = wanted.namespace ? `${CONTROL}/namespaces/${encodeURIComponent(wanted.namespace)}` : CONTROL;
  const { problem, attempt } = attempts();
  const place = el("div", { class: "opened" });
  const file = el("input", { type: "file", id: "open-file", hidden: true, onchange: () => file.files[0] && shown(file.files[0], "") });
  const list = el("ol", { class: "sessions", "aria-label": "Sessions of this server" });
  const box = dialog("Open a call", [
    problem,
    el("div", { class: "row" }, file,
      el("button", { type: "button", class: "primary", onclick: () => file.click() }, "Choose a file"),
      el("small", null, "A tape, a HAR or JSON lines.")),
    el("h3", null, "Sessions of this server"),
    list, place,
  ]);

  const shown = (content, dialect) => attempt(async () => {
    const query = dialect ? `&dialect=${encodeURIComponent(dialect)}` : "";
    const { turns } = await post(`/open?turn=0${query}`, content);
    place.replaceChildren(
      el("h3", null, `${turns.length} ${turns.length === 1 ? "turn" : "turns"}`),
      el("ol", { class: "turns" }, turns.map((turn, at) => el("li", null,
        el("div", null,
          el("p", null, turn.user || "(the assistant speaks first)"),
          el("small", null, [turn.calls.join(", "), turn.said].filter(Boolean).join(" → "))),
        el("button", { type: "button", class: "quiet", "aria-label": `Take up from turn ${at + 1}`, onclick: () => attempt(async () => {
          take(await post(`/open?turn=${at}${query}`, content), at);
          box.close();
        }) }, at ? "Take up here" : "From the start")))));
    place.scrollIntoView({ block: "nearest" });
  });

  const tape = (id) => controlBytes(`${base}/sessions/${encodeURIComponent(id)}/tape`);

  await attempt(async () => {
    const sessions = (await control(`${base}/sessions`)).slice(-MOST_SESSIONS).reverse();
    list.replaceChildren(...(sessions.length ? sessions.map((session) => el("li", null,
      el("button", { type: "button", onclick: () => attempt(async () => {
        await shown(await tape(session.id), session.dialect);
      }) },
      el("b", null, session.id.slice(0, 18)), el("span", null, session.dialect),
      el("time", null, new Date(session.opened * 1000).toLocaleTimeString()),
      el("span", null, session.open ? "open" : clock(session.closed_s))))) : [el("li", { class: "empty" }, "None yet. Calls of the workbench are in namespaces of their own.")]));
  });
  if (wanted.session) await attempt(async () => shown(await tape(wanted.session), ""));
}
