// The dialogs of the page.

import { byId, el } from "./dom.js";

// A modal dialog with a title. Returns {dialog, close}. `closed()` is called once it is gone.
export function dialog(title, content, closed = () => {}) {
  const name = `dialog-${title.toLowerCase().replace(/\W+/g, "-")}`;
  const made = el("dialog", { "aria-labelledby": name, onclose: () => {
    made.remove();
    closed();
  } },
  el("div", { class: "head" }, el("h2", { id: name }, title), el("button", { type: "button", class: "quiet", onclick: () => made.close() }, "Close")),
  ...content);
  byId("dialogs").append(made);
  made.showModal();
  return made;
}

// An alert line for a dialog, and `attempt(work)`, which shows in it why the work failed.
export function attempts() {
  const problem = el("p", { class: "alert", role: "alert", hidden: true });
  const attempt = async (work) => {
    problem.hidden = true;
    try {
      await work();
    } catch (failed) {
      problem.textContent = failed.message;
      problem.hidden = false;
    }
  };
  return { problem, attempt };
}

// Resolves to the admin token that the user types, or to "" if the user closes the dialog.
export function askToken() {
  return new Promise((resolve) => {
    const word = el("input", { type: "password", autocomplete: "off", id: "admin-token", required: true });
    const form = el("form", { class: "row", onsubmit: (event) => {
      event.preventDefault();
      resolve(word.value);
      shown.close();
    } }, el("label", { for: "admin-token" }, "This server was started with --admin-token."), word, el("button", { type: "submit" }, "Use it"));
    const shown = dialog("Admin token", [form], () => resolve(""));
    word.focus();
  });
}
