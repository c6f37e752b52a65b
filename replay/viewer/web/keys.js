// The keyboard, and the dialog that explains it.
import { el } from "./dom.js";

const HELP = [
  ["Space", "play or pause"],
  ["← →", "1 s back or forward, with Shift 5 s"],
  ["1 2 3", "hear both sides, the caller, the service"],
  ["J K", "next or previous item of the conversation"],
  ["P", "play the selected item"],
  ["E", "next finding, fault or error, with Shift the previous one"],
  ["↓ ↑", "next or previous frame"],
  ["C", "copy the selected frame"],
  ["+ − 0", "zoom in, zoom out, show the whole call"],
  ["/", "search"],
  ["Esc", "clear the search, or the selection"],
  ["?", "this list"],
];

export class Keys {
  constructor(viewer, signal) {
    this.viewer = viewer;
    const close = el("button", { type: "button", class: "primary", onclick: () => this.dialog.close() }, "Close");
    const rows = HELP.map(([key, what]) => el("div", null, el("dt", null, ...key.split(" ").map((each) => el("kbd", null, each))), el("dd", null, what)));
    const mouse = el("p", { class: "small" }, "On the timeline: click or drag to move the playhead, Ctrl and wheel to zoom, Shift and wheel to move. A click on an item plays it.");
    this.dialog = el("dialog", { class: "help", "aria-label": "Keyboard" }, el("h2", null, "Keyboard"), el("dl", null, ...rows), mouse, close);
    addEventListener("keydown", (event) => this.pressed(event), { signal });
  }

  help() {
    if (this.dialog.open) this.dialog.close();
    else this.dialog.showModal();
  }

  pressed(event) {
    const { target } = event;
    const typing = target.matches?.("input, select, textarea");
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") return this.escape(event, target, typing);
    if (typing) return;
    if (this.dialog.open && event.key !== "?") return;
    if ((event.key === " " || event.key === "Enter") && target.closest?.("button, a, summary")) return;
    const act = this.act(event);
    if (!act) return;
    event.preventDefault();
    act();
  }

  act({ key, shiftKey }) {
    const { player, timeline, conversation, frames, filter } = this.viewer;
    const far = shiftKey ? 5 : 1;
    switch (key.length === 1 ? key.toLowerCase() : key) {
      case " ": return () => player.toggle();
      case "ArrowLeft": return () => player.seek(player.time - far);
      case "ArrowRight": return () => player.seek(player.time + far);
      case "1": return () => player.choose("both");
      case "2": return () => player.choose("caller");
      case "3": return () => player.choose("service");
      case "j": return () => conversation.step(1);
      case "k": return () => conversation.step(-1);
      case "p": return () => this.viewer.playSelected();
      case "e": return () => this.viewer.nextMark(shiftKey ? -1 : 1);
      case "ArrowDown": return () => frames.step(1);
      case "ArrowUp": return () => frames.step(-1);
      case "c": return () => frames.copy();
      case "+": case "=": return () => timeline.zoom(0.5);
      case "-": return () => timeline.zoom(2);
      case "0": return () => timeline.fit();
      case "/": return () => filter.text.focus();
      case "?": return () => this.help();
      default: return null;
    }
  }

  escape(event, target, typing) {
    if (this.dialog.open) return; // the dialog closes itself
    if (typing) target.blur();
    if (this.viewer.call.filtered) this.viewer.filter.reset();
    else if (!typing) this.viewer.call.select({}, "keyboard");
    event.preventDefault();
  }
}
