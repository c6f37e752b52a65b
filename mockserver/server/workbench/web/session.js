// The description of a call as the service's `session`.

import { service } from "./draft.js";

export class Unready extends Error {
  // `part`: the tab of the form where the mistake is.
  constructor(part, message) {
    super(message);
    this.part = part;
  }
}

const PCM = { type: "audio/pcm", rate: 24_000 };

// Throws Unready, whose message says what to change.
export function sessionOf(draft) {
  return service(draft.dialect) === "openai" ? openai(draft) : xai(draft);
}

function xai(draft) {
  const session = { instructions: instructions(draft) };
  if (draft.voice) session.voice = draft.voice;
  session.turn_detection = turns(draft, { type: null });
  session.audio = { input: { format: PCM }, output: { format: PCM } };
  if (draft.language) session.audio.input.transcription = { language_hint: draft.language };
  session.tools = tools(draft);
  return session;
}

function openai(draft) {
  const transcription = { model: "gpt-transcribe" };
  if (draft.language) transcription.language = draft.language;
  const output = { format: PCM };
  if (draft.voice) output.voice = draft.voice;
  return {
    type: "realtime",
    instructions: instructions(draft),
    audio: { input: { format: PCM, transcription, turn_detection: turns(draft, null) }, output },
    tools: tools(draft),
  };
}

function turns({ turns: wanted, dialect }, off) {
  if (wanted.type === "none") return off;
  if (wanted.type === "semantic_vad" && service(dialect) === "openai") {
    return { type: "semantic_vad", eagerness: wanted.eagerness, create_response: true, interrupt_response: wanted.interrupt };
  }
  const found = { type: "server_vad" };
  const numbers = { threshold: "threshold", silence_ms: "silence_duration_ms", padding_ms: "prefix_padding_ms", idle_ms: "idle_timeout_ms" };
  for (const [name, sent] of Object.entries(numbers)) {
    if (wanted[name] === "") continue;
    const value = Number(wanted[name]);
    if (!Number.isFinite(value)) throw new Unready("call", `${sent} is not a number: ${wanted[name]}`);
    found[sent] = value;
  }
  if (!wanted.interrupt) found.interrupt_response = false;
  return found;
}

// The services have no documents in a session: their text is part of the instructions.
function instructions({ instructions: own, documents }) {
  const texts = documents.map(({ name, text }) => `## ${name}\n\n${text.trim()}`);
  return texts.length ? `${own.trim()}\n\n# Documents\n\n${texts.join("\n\n")}\n` : own;
}

function tools({ tools: wanted }) {
  const names = wanted.map((tool) => (tool.kind === "mcp" ? tool.label : tool.name));
  return wanted.map((tool, at) => {
    const name = names[at];
    if (!/^[\w-]{1,64}$/.test(name)) {
      throw new Unready("tools", `Tool ${at + 1}: a name has 1 to 64 letters, digits, _ or -, not ${JSON.stringify(name)}.`);
    }
    if (names.indexOf(name) !== at) throw new Unready("tools", `Two tools are named ${name}; rename one.`);
    if (tool.kind === "mcp") {
      if (!/^https?:\/\//.test(tool.url)) throw new Unready("tools", `${name}: an MCP server needs an http or https address.`);
      return { type: "mcp", server_label: name, server_url: tool.url, require_approval: "never" };
    }
    if (tool.answer === "http" && !/^https?:\/\//.test(tool.url)) {
      throw new Unready("tools", `${name}: give the http or https address that answers it.`);
    }
    return { type: "function", name, description: tool.description, parameters: schema(tool) };
  });
}

function schema({ name, parameters }) {
  let found;
  try {
    found = JSON.parse(parameters);
  } catch (problem) {
    throw new Unready("tools", `${name}: its parameters are not JSON: ${problem.message}`);
  }
  if (typeof found !== "object" || found === null || Array.isArray(found)) {
    throw new Unready("tools", `${name}: its parameters are not a JSON schema, which is an object.`);
  }
  return found;
}
