// The description of a call: what the form edits, kept in this browser. It holds no key.

const PLACE = "realtape-workbench";

const SCENARIO = `# The first rule that matches responds.
name: orders
turns:
  # A named group of a pattern is a variable.
  - when: {says: '(?P<number>\\d{4})'}
    reply:
      - say: "One moment."
      - call:
          name: look_up
          arguments: {number: "{{ number }}"}

  # The result of the tool has come.
  - when: {tool: look_up}
    reply:
      - say: "It is {{ result.state }}."

  - when: {says: 'bye|thank'}
    reply:
      - say: "You are welcome. Goodbye!"

  # Anything else.
  - reply:
      - say: "Which order do you mean?"
`;

const SCHEMA = `{
  "type": "object",
  "properties": {
    "number": {"type": "string", "description": "Four digits."}
  },
  "required": ["number"]
}`;

export function fresh() {
  return {
    dialect: "xai",
    model: "",
    instructions: "You answer questions about orders. Be brief.",
    voice: "",
    language: "",
    greets: false,
    turns: { type: "server_vad", threshold: "", silence_ms: "", padding_ms: "", idle_ms: "", eagerness: "auto", interrupt: true },
    tools: [
      {
        kind: "function",
        name: "look_up",
        description: "The state of an order.",
        parameters: SCHEMA,
        answer: "script",
        result: '{"state": "being packed"}',
        url: "",
        label: "",
      },
    ],
    documents: [],
    scenario: SCENARIO,
  };
}

export class Draft {
  constructor() {
    this.value = fresh();
    this.listeners = [];
    try {
      const kept = JSON.parse(localStorage.getItem(PLACE) ?? "null");
      if (kept && typeof kept.scenario === "string") this.value = { ...this.value, ...kept, turns: { ...this.value.turns, ...kept.turns } };
    } catch {
      // What another version kept, or a browser that keeps nothing: the fresh one is used.
    }
  }

  onChange(listener) {
    this.listeners.push(listener);
  }

  // `what`: the part that changed, such as "scenario".
  changed(what) {
    try {
      localStorage.setItem(PLACE, JSON.stringify(this.value));
    } catch {
      // Full, or not allowed: the description lives as long as the page.
    }
    for (const listener of this.listeners) listener(what);
  }

  replace(value) {
    this.value = { ...fresh(), ...value };
    this.changed("all");
  }
}

export const service = (dialect) => dialect.split("@")[0];

// A new tool, function or MCP server.
export function freshTool(kind, number) {
  return {
    kind,
    name: kind === "function" ? `tool_${number}` : "",
    description: "",
    parameters: '{\n  "type": "object",\n  "properties": {}\n}',
    answer: "script",
    result: '{"ok": true}',
    url: "",
    label: kind === "mcp" ? `server_${number}` : "",
  };
}
