// One call: makes its namespace, connects, and joins socket, microphone, loudspeaker and tools. It keeps every frame.
//
// Turns and answers are in turns.js. What happens is told to the page: `tell(what, details)`.

import { control, post } from "./api.js";
import { Microphone, Speaker, fromBase64, toBase64 } from "./sound.js";
import { answerTool } from "./tool-answers.js";
import { Turns } from "./turns.js";

const OPEN_TIMEOUT_MS = 15_000;
const SPEAKER_TIMEOUT_MS = 3_000;
const LOOK_MS = 700; // between two looks at cost and findings
const ENDED = "The call was ended before it began.";
const MOST_KEPT = 120 << 20; // characters of frames; the server takes 128 MiB

export class Call {
  // `draft`: the description; `session`: the service's form of it; `history`: items to begin with.
  constructor({ draft, session, history = [], tell }) {
    Object.assign(this, { draft, session, history, tell });
    this.frames = []; // [seconds since the socket opened, "sent" or "received", text]
    this.size = 0; // characters of all frames
    this.over = false;
    this.began = null;
    this.forgotten = false;
    this.speaking = false; // whether the user holds a turn open, if the server detects none
    this.manual = draft.turns.type === "none";
  }

  // Resolves after `session.updated`. Rejects with an Error whose message says what to do; the call has then ended.
  async begin({ microphone }) {
    try {
      this.place = await post("/calls", { scenario: this.draft.scenario, dialect: this.draft.dialect });
      this.goOn();
      this.speaker = await speaker(() => this.turns.drained());
      this.goOn();
      this.turns = new Turns({
        send: (event) => this.send(event),
        speaker: this.speaker,
        decode: fromBase64,
        runTool: (tool) => answerTool(this.draft.tools, tool),
        tell: this.tell,
        interrupts: this.draft.turns.interrupt,
        now: () => this.seconds,
      });
      if (microphone) this.microphone = await Microphone.open((pcm) => this.hear(pcm));
      this.goOn();
      await this.connect();
      this.goOn();
      for (const item of this.history) this.send({ type: "conversation.item.create", item });
      this.began = performance.now();
      this.tell("state", { state: "listening" });
      if (this.draft.greets && !this.history.length) this.turns.ask("the beginning");
      this.looking = setInterval(() => this.look(), LOOK_MS);
    } catch (problem) {
      this.end();
      this.release(); // what was opened after the end
      if (this.forgotten) this.endNamespace();
      throw problem instanceof DOMException ? new Error(MICROPHONE[problem.name] ?? problem.message) : problem;
    }
  }

  goOn() {
    if (this.over) throw new Error(ENDED);
  }

  get seconds() {
    return this.opened === undefined ? 0 : (performance.now() - this.opened) / 1000;
  }

  connect() {
    const url = new URL(this.place.ws);
    if (this.draft.model) url.searchParams.set("model", this.draft.model);
    const socket = new WebSocket(url, this.place.subprotocols);
    this.socket = socket;
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error("The session was not ready within 15 s. Call again.")), OPEN_TIMEOUT_MS);
      let ready = false;
      socket.addEventListener("open", () => { this.opened = performance.now(); });
      socket.addEventListener("message", ({ data }) => {
        if (typeof data !== "string") return;
        const event = JSON.parse(data);
        this.crossed("received", data, event);
        if (event.type === "session.created") {
          this.id = event.session?.id;
          this.send({ type: "session.update", session: this.session });
        }
        if (event.type === "session.updated" && !ready) {
          ready = true;
          clearTimeout(late);
          resolve();
        }
        if (event.type === "error" && !ready) reject(new Error(`The service refuses the session: ${event.error?.message}`));
        if (ready && !this.over) this.turns.take(event);
      });
      socket.addEventListener("close", ({ code, reason }) => {
        clearTimeout(late);
        const failure = `The service closed the connection (${[code, reason].join(" ").trim()}).`;
        reject(new Error(this.over ? ENDED : failure));
        if (!this.over) this.end(failure);
      });
    });
  }

  crossed(way, text, event) {
    const at = this.seconds;
    this.size += text.length;
    if (this.size <= MOST_KEPT) this.frames.push([at, way, text]);
    else if (!this.full) {
      this.full = true;
      this.tell("problem", { text: "The call is too long to be kept whole: what follows is not kept. `serve --record` records without a limit." });
    }
    this.tell("frame", { at, way, event, size: text.length });
  }

  send(event) {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    const text = JSON.stringify(event);
    this.socket.send(text);
    this.crossed("sent", text, event);
  }

  type(text) {
    this.turns.type(text);
  }

  hear(pcm) {
    if (this.over) return;
    this.tell("level", { level: loudness(pcm) });
    if (this.began === null || (this.manual && !this.speaking)) return;
    this.send({ type: "input_audio_buffer.append", audio: toBase64(pcm) });
  }

  // Begins or ends a spoken turn, if the server detects none.
  hold(speaking) {
    if (!this.manual || this.over || this.speaking === speaking) return;
    this.speaking = speaking;
    if (speaking) return this.turns.beginsTurn();
    const answers = this.place.dialect.startsWith("openai");
    this.turns.endsTurn(answers);
  }

  // Cost and findings so far.
  async look() {
    if (this.looks || !this.place) return;
    this.looks = true;
    const { control: plane } = this.place;
    try {
      const [ledger, findings, unused] = await Promise.all(["ledger", "findings", "unused"].map((part) => control(`${plane}/${part}`)));
      this.tell("cost", { ledger });
      this.tell("findings", { findings });
      this.tell("unused", { lines: unused });
    } catch {
      // The namespace has ended, or the server has: the socket tells.
    } finally {
      this.looks = false;
    }
  }

  // Ends the call; `failure` says why, unless the user hung up.
  end(failure) {
    if (this.over) return;
    this.over = true;
    clearInterval(this.looking);
    this.ended = this.seconds;
    this.release();
    this.tell("ended", { failure, seconds: this.ended });
    this.look();
  }

  release() {
    this.socket?.close(1000);
    this.microphone?.close();
    this.speaker?.close();
    this.socket = this.microphone = this.speaker = null;
  }

  // Ends the call and its namespace, when the page no longer needs them. A namespace that is still being made ends in `begin`.
  forget() {
    this.forgotten = true;
    this.end();
    this.endNamespace();
  }

  endNamespace() {
    if (this.place) control(this.place.control, { method: "DELETE", keepalive: true }).catch(() => {});
    this.place = null;
  }
}

// A machine without sound output plays nothing; the call goes on.
async function speaker(drained) {
  const mute = new Promise((resolve) => setTimeout(resolve, SPEAKER_TIMEOUT_MS, null));
  const opening = Speaker.open(drained).catch(() => null);
  const found = await Promise.race([opening, mute]);
  if (!found) opening.then((late) => late?.close());
  return found ?? { busy: false, play() {}, async cut() { return []; }, close() {} };
}

function loudness(pcm) {
  let sum = 0;
  for (const sample of pcm) sum += sample * sample;
  return Math.min(1, Math.sqrt(sum / pcm.length) / 6000);
}

const MICROPHONE = {
  NotAllowedError: "The microphone is blocked. Allow it in the address bar and call again, or type.",
  NotFoundError: "No microphone was found. Connect one and call again, or type.",
  NotReadableError: "Another program uses the microphone. Close it and call again, or type.",
  SecurityError: "The microphone needs https or localhost. Open this page there, or type.",
};
