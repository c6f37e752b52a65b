// The common conversation of clients that send plain JSON. It never throws; `report` says how it went.
import { Inbox, SLOTS, check, chunks, newReport, walk } from "./steps.js";

const TOOL = {
  type: "function",
  name: "check_availability",
  description: "Which slots are free.",
  parameters: {
    type: "object",
    properties: { service: { type: "string" }, date: { type: "string" } },
    required: ["service", "date"],
  },
};

function session(dialect) {
  const vad = { type: "server_vad", silence_duration_ms: 500 };
  const pcm = { format: { type: "audio/pcm", rate: 24000 } };
  const both = { instructions: "You book appointments.", tools: [TOOL] };
  if (dialect === "xai") return { ...both, voice: "eve", turn_detection: vad, audio: { input: pcm, output: pcm } };
  const input = { ...pcm, turn_detection: vad, transcription: { model: "gpt-4o-mini-transcribe" } };
  return { ...both, type: "realtime", audio: { input, output: { ...pcm, voice: "marin" } } };
}

/** One connection: `send(event)` and `close()` are the client's own, its events come to `inbox`. */
export class Line {
  constructor(report, send, close) {
    this.report = report;
    this.send = send;
    this.inbox = new Inbox();
    this.over = new Promise((resolve) => { this.closed = resolve; });
    this.close = close;
  }

  read(event) {
    if (event.type === "error") this.report.problems.push(event.error.message);
    if (event.type === "response.done") this.report.usage.push(event.usage ?? event.response.usage);
    this.inbox.put(event);
  }

  /** The socket was closed with that code. */
  lost(code) {
    this.inbox.end(`closed with ${code}`);
    this.closed(code);
  }

  ask(text) {
    this.create({ type: "message", role: "user", content: [{ type: "input_text", text }] });
  }

  create(item) {
    this.send({ type: "conversation.item.create", item });
    this.send({ type: "response.create" });
  }

  async hangUp() {
    this.close();
    const code = await this.over;
    check(code === 1000, code);
  }
}

const base64 = (bytes) => btoa(String.fromCharCode(...bytes));
const said = (events) =>
  events.filter((event) => event.type === "response.output_audio_transcript.delta").map((event) => event.delta).join("");

/** `dial(report)` gives a Line. */
export function converse(dial, dialect, speech) {
  const report = newReport();
  let line, call;
  return walk({
    configure: async () => {
      line = dial(report);
      await line.inbox.until("session.created");
      line.send({ type: "session.update", session: session(dialect) });
      const { tools } = (await line.inbox.until("session.updated")).at(-1).session;
      check(JSON.stringify(tools).includes(TOOL.name), tools);
    },
    "typed turn": async () => {
      line.ask("A cleaning on 2026-12-01, please");
      const events = await line.inbox.until("response.done");
      call = events.find((event) => event.type === "response.function_call_arguments.done");
      check(JSON.parse(call.arguments).date === "2026-12-01", call);
    },
    "tool round": async () => {
      line.create({ type: "function_call_output", call_id: call.call_id, output: JSON.stringify(SLOTS) });
      const words = said(await line.inbox.until("response.done"));
      check(words === "I have 10:00 and 14:30.", words);
    },
    "spoken turn": async () => {
      for (const chunk of chunks(speech)) line.send({ type: "input_audio_buffer.append", audio: base64(chunk) });
      const events = await line.inbox.until("response.done");
      const turn = events.filter((event) => /speech_started|speech_stopped|committed/.test(event.type));
      check(turn.length === 3 && new Set(turn.map((event) => event.item_id)).size === 1, turn);
      check(said(events) === "July sixth is free.", said(events));
    },
    interruption: async () => {
      line.ask("Tell me everything");
      const { response_id } = (await line.inbox.until("response.output_audio.delta")).at(-1);
      line.send({ type: "response.cancel", response_id });
      const { response } = (await line.inbox.until("response.done")).at(-1);
      check(response.status === "cancelled" && response.id === response_id, response);
    },
    reconnect: async () => {
      await line.hangUp();
      line = dial(report);
      await line.inbox.until("session.created");
    },
    close: () => line.hangUp(),
  }, report);
}

/** A Line over a WebSocket of the standard interface: `ws` in Node, or a browser's own. `open()` gives a socket. */
export const overSocket = (open) => (report) => {
  const socket = open();
  const line = new Line(report, (event) => socket.send(JSON.stringify(event)), () => socket.close(1000));
  socket.addEventListener("message", ({ data }) => line.read(JSON.parse(data)));
  socket.addEventListener("close", ({ code }) => line.lost(code));
  return line;
};
