// The common conversation over any WebSocket of the standard interface: `ws` in Node, or a browser's own.
// Gives {steps: {name: "ok" or what went wrong}, usage: [...], problems: [...]}; it never throws.

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
const LIMIT_MS = 15_000;

function session(dialect) {
  const vad = { type: "server_vad", silence_duration_ms: 500 };
  const pcm = { format: { type: "audio/pcm", rate: 24000 } };
  const both = { instructions: "You book appointments.", tools: [TOOL] };
  if (dialect === "xai") return { ...both, voice: "eve", turn_detection: vad, audio: { input: pcm, output: pcm } };
  const input = { ...pcm, turn_detection: vad, transcription: { model: "gpt-4o-mini-transcribe" } };
  return { ...both, type: "realtime", audio: { input, output: { ...pcm, voice: "marin" } } };
}

class Line {
  constructor(socket, report) {
    this.socket = socket;
    this.report = report;
    this.unread = [];
    this.wake = () => {};
    this.closed = new Promise((resolve) => socket.addEventListener("close", (event) => {
      this.over = `closed with ${event.code} ${event.reason}`;
      resolve(event.code);
      this.wake();
    }));
    socket.addEventListener("message", ({ data }) => this.read(data));
  }

  read(data) {
    const event = JSON.parse(data);
    if (event.type === "error") this.report.problems.push(event.error.message);
    if (event.type === "response.done") this.report.usage.push(event.usage ?? event.response.usage);
    this.unread.push(event);
    this.wake();
  }

  send(event) {
    this.socket.send(JSON.stringify(event));
  }

  ask(text) {
    this.send({
      type: "conversation.item.create",
      item: { type: "message", role: "user", content: [{ type: "input_text", text }] },
    });
    this.send({ type: "response.create" });
  }

  async until(type) {
    const events = [];
    const limit = setTimeout(() => { this.over = `no ${type} within ${LIMIT_MS} ms`; this.wake(); }, LIMIT_MS);
    try {
      while (events.at(-1)?.type !== type) {
        while (!this.unread.length) {
          if (this.over) throw new Error(`waiting for ${type}: ${this.over}`);
          await new Promise((resolve) => { this.wake = resolve; });
        }
        events.push(this.unread.shift());
      }
      return events;
    } finally {
      clearTimeout(limit);
    }
  }
}

function check(truth, found) {
  if (!truth) throw new Error(`found ${JSON.stringify(found)}`);
}

const said = (events) =>
  events.filter((event) => event.type === "response.output_audio_transcript.delta").map((event) => event.delta).join("");

function base64(bytes) {
  return btoa(String.fromCharCode(...bytes));
}

function script(open, dialect, speech, report) {
  let line, call;
  return {
    configure: async () => {
      line = new Line(open(), report);
      await line.until("session.created");
      line.send({ type: "session.update", session: session(dialect) });
      const updated = (await line.until("session.updated")).at(-1);
      check(JSON.stringify(updated.session.tools).includes(TOOL.name), updated.session.tools);
    },
    "typed turn": async () => {
      line.ask("A cleaning on 2026-12-01, please");
      call = (await line.until("response.done")).find((event) => event.type === "response.function_call_arguments.done");
      check(JSON.parse(call.arguments).date === "2026-12-01", call);
    },
    "tool round": async () => {
      const output = JSON.stringify({ slots: ["10:00", "14:30"] });
      line.send({ type: "conversation.item.create", item: { type: "function_call_output", call_id: call.call_id, output } });
      line.send({ type: "response.create" });
      const words = said(await line.until("response.done"));
      check(words === "I have 10:00 and 14:30.", words);
    },
    "spoken turn": async () => {
      for (let at = 0; at < speech.length; at += 4800)
        line.send({ type: "input_audio_buffer.append", audio: base64(speech.subarray(at, at + 4800)) });
      const events = await line.until("response.done");
      const turn = events.filter((event) => /speech_started|speech_stopped|committed/.test(event.type));
      check(turn.length === 3 && new Set(turn.map((event) => event.item_id)).size === 1, turn);
      check(said(events) === "July sixth is free.", said(events));
    },
    interruption: async () => {
      line.ask("Tell me everything");
      await line.until("response.output_audio.delta");
      line.send({ type: "response.cancel" });
      const { response } = (await line.until("response.done")).at(-1);
      check(response.status === "cancelled", response.status);
    },
    reconnect: async () => {
      line.socket.close(1000);
      check((await line.closed) === 1000, line.over);
      line = new Line(open(), report);
      await line.until("session.created");
    },
    close: async () => {
      line.socket.close(1000);
      check((await line.closed) === 1000, line.over);
    },
  };
}

export async function converse(open, dialect, speech) {
  const report = { steps: {}, usage: [], problems: [] };
  for (const [name, step] of Object.entries(script(open, dialect, speech, report))) {
    try {
      await step();
      report.steps[name] = "ok";
    } catch (error) {
      report.steps[name] = String(error);
      break;
    }
  }
  return report;
}
