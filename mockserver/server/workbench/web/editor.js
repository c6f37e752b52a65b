// A text editor with line numbers, colours and marks at mistakes: CodeMirror in a shadow root, whose style sheets it may
// add without the page's policy allowing inline styles.

import {
  EditorState, EditorView, HighlightStyle, bracketMatching, defaultKeymap, drawSelection, highlightActiveLine, history,
  historyKeymap, indentOnInput, indentWithTab, json, keymap, lineNumbers, lintGutter, setDiagnostics, syntaxHighlighting,
  tags, yaml,
} from "./vendor/codemirror.js";

const COLOURS = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--key)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--text)" },
  { tag: [tags.number, tags.bool, tags.null, tags.keyword], color: "var(--value)" },
  { tag: tags.comment, color: "var(--soft)", fontStyle: "italic" },
  { tag: [tags.punctuation, tags.separator, tags.bracket], color: "var(--soft)" },
]);

const LOOK = EditorView.theme({
  "&": { height: "100%", fontSize: "13px", color: "var(--ink)", backgroundColor: "transparent" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55" },
  ".cm-content": { caretColor: "var(--accent)", padding: "10px 0" },
  ".cm-cursor": { borderLeftColor: "var(--accent)" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--soft)", border: "none" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--accent) 7%, transparent)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "color-mix(in srgb, var(--accent) 24%, transparent)",
  },
  ".cm-matchingBracket": { backgroundColor: "color-mix(in srgb, var(--accent) 22%, transparent)" },
  ".cm-tooltip": { backgroundColor: "var(--sheet)", color: "var(--ink)", border: "1px solid var(--line)", borderRadius: "8px", overflow: "hidden" },
  ".cm-diagnostic": { padding: "6px 10px", whiteSpace: "pre-wrap", fontFamily: "var(--mono)", maxWidth: "34rem" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--danger)" },
  ".cm-diagnostic-warning": { borderLeftColor: "var(--warn-ink)" },
});

export class Editor {
  // `language`: "yaml" or "json". `label`: what a screen reader calls it. `changed(text)` after each change by the user.
  constructor(place, { text, language, label, changed, wraps = false }) {
    const root = place.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(":host { display: block; overflow: hidden; }");
    root.adoptedStyleSheets = [sheet];
    this.silent = false;
    this.view = new EditorView({
      parent: root,
      root,
      state: EditorState.create({
        doc: text,
        extensions: [
          lineNumbers(), history(), drawSelection(), indentOnInput(), bracketMatching(), highlightActiveLine(), lintGutter(),
          language === "yaml" ? yaml() : json(),
          syntaxHighlighting(COLOURS),
          LOOK,
          wraps ? EditorView.lineWrapping : [],
          keymap.of([...defaultKeymap, ...historyKeymap, indentWithTab]),
          EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0" }),
          EditorView.updateListener.of((update) => update.docChanged && !this.silent && changed(update.state.doc.toString())),
        ],
      }),
    });
  }

  get text() {
    return this.view.state.doc.toString();
  }

  set text(text) {
    if (text === this.text) return;
    this.silent = true;
    this.view.dispatch({ changes: { from: 0, to: this.view.state.doc.length, insert: text } });
    this.silent = false;
  }

  // `problems`: [{line, column, message, fix, severity}], counted from 1; line 0 is the whole text.
  mark(problems) {
    const { doc } = this.view.state;
    const marks = problems.map(({ line, column, message, fix = [], severity = "error" }) => {
      const at = doc.line(Math.min(Math.max(line, 1), doc.lines));
      const from = Math.min(at.from + Math.max(column - 1, 0), at.to);
      const word = /^[^\s:,{}[\]]+/.exec(doc.sliceString(from, at.to));
      const to = Math.min(from + Math.max(word?.[0].length ?? 1, 1), at.to);
      const text = fix.length ? `${message}\nWrite:\n${fix.map((each) => `  ${each}`).join("\n")}` : message;
      return { from, to: Math.max(from, to), severity, message: text };
    });
    this.view.dispatch(setDiagnostics(this.view.state, marks));
  }

  goTo(line, column) {
    const at = this.view.state.doc.line(Math.min(Math.max(line, 1), this.view.state.doc.lines));
    const anchor = Math.min(at.from + Math.max(column - 1, 0), at.to);
    this.view.dispatch({ selection: { anchor }, effects: EditorView.scrollIntoView(anchor, { y: "center" }) });
    this.view.focus();
  }
}
