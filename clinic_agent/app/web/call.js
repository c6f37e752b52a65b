// One call: gets a client secret from this site's server, connects to the service with it, and joins microphone, socket,
// loudspeaker and tools. The server's API key is not sent to the page.

import { Conversation } from "./conversation.js";
import { Frames } from "./frames.js";
import { Microphone, RATE, Speaker, fromBase64, toBase64 } from "./sound.js";

const OPEN_TIMEOUT_MS = 15_000;
const LOST = [1006, 1011, 1012, 1013, 1014]; // close codes of a connection that nobody meant to close
const MAX_RESUMPTIONS = 3;
const REPORT_MS = 3000; // for the last frames to reach the clinic's server
const SETTLE_MS = 1500; // earlier, the service may have an older state of the conversation
const QUIET_SAMPLES = 2 * RATE; // of silence that are kept, for the beginning of a word
const MAX_KEPT_SAMPLES = 60 * RATE;
const ENDED = "The call ended before the service answered.";

export class Trouble extends Error {}

export class Call {
  // `show(what, details)` updates the page; `transcript()` gives the transcript that it shows: [{role, text}].
  constructor(show, transcript) {
    this.show = show;
    this.transcript = transcript;
    this.sent = 0; // samples
    this.received = 0;
    this.texts = 0;
    this.over = false;
    this.online = false;
    this.resumptions = 0;
    this.kept = new Kept(); // audio that the service may not have understood yet
  }

  // The cost so far in USD; null if the price of the model is not known.
  get usd() {
    const { usd_per_minute = {}, usd_per_text_item } = this.session?.price ?? {};
    const perMinute = usd_per_minute[this.model];
    if (perMinute === undefined) return null;
    return ((this.sent + this.received) / RATE / 60) * perMinute + this.texts * usd_per_text_item;
  }

  // Resolves after `session.updated`. Throws Trouble, whose message says what to do; the call has then ended.
  async begin({ microphone }) {
    try {
      this.session = await this.post("session", {});
      if (this.over) this.reportEnd();
      this.goOn();
      const report = (frames) => this.post("session/frames", frames, this.token);
      this.frames = new Frames({ keepsAudio: this.session.keeps_audio, post: report });
      this.model = this.session.model;
      this.show("session", this.session);
      this.speaker = await Speaker.open(() => this.conversation.drained());
      this.conversation = new Conversation({
        send: (event) => this.send(event),
        speaker: this.speaker,
        decode: fromBase64,
        runTool: (call) => this.runTool(call),
        show: this.show,
        end: (failure) => this.end(failure),
      });
      if (microphone) this.microphone = await Microphone.open((pcm) => this.hear(pcm));
      this.goOn(); // the person may have taken a while to allow the microphone
      await this.connect(this.session);
      this.goOn();
      this.began = Date.now();
      this.online = true;
      this.show("state", { state: "listening" });
    } catch (error) {
      this.end();
      this.release(); // resources that were opened after the end
      throw error instanceof Trouble ? error : new Trouble(explained(error));
    }
  }

  type(text) {
    this.texts += 1;
    this.conversation.type(text);
  }

  goOn() {
    if (this.over) throw new Trouble(ENDED);
  }

  release() {
    this.socket?.close(1000);
    this.microphone?.close();
    this.speaker?.close();
    this.socket = this.microphone = this.speaker = null;
  }

  // Ends the call; `failure` says why, unless the caller hung up. `leaving`: the page is being left, and may send one
  // message more.
  end(failure, { leaving = false } = {}) {
    if (this.over) return leaving ? this.leave?.() : undefined;
    this.over = true;
    this.began = null;
    this.release();
    this.show("ended", { failure });
    if (this.session) this.reportEnd(leaving);
  }

  // The clinic's server keeps transcript and frames, as the notice says.
  async reportEnd(leaving = true) {
    const told = { conversation_id: this.conversationId, transcript: this.transcript(), usd: this.usd?.toFixed(4) };
    this.frames?.close();
    const hurried = new Promise((resolve) => {
      this.leave = resolve; // the page is left meanwhile
      setTimeout(resolve, REPORT_MS);
    });
    if (!leaving) await Promise.race([this.frames?.flush(), hurried]);
    const record = { ...told, ...this.frames?.last() };
    this.post("session/end", record, this.token, { keepalive: true }).catch(() => {}); // the call has ended in any case
  }

  // Continues the call on a new connection. The caller may go on speaking meanwhile.
  async resume(closed) {
    this.online = false;
    this.show("state", { state: "resuming" });
    this.show("lost", {});
    while (this.resumptions < MAX_RESUMPTIONS && !this.over) {
      this.resumptions += 1;
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      if (this.over) return;
      const known = this.conversationId;
      try {
        const secret = await this.post("session/secret", {}, this.token);
        const url = new URL(secret.url);
        url.searchParams.set("conversation_id", known);
        await this.connect({ url, subprotocol: secret.subprotocol });
      } catch (error) {
        closed = error.message;
        continue;
      }
      if (this.over) return;
      if (this.conversationId !== known) return this.end("The service no longer knows the conversation. Call again.");
      this.online = true;
      this.conversation.resumed();
      for (const pcm of this.kept.pieces) this.sendAudio(pcm);
      this.show("resumed", {});
      return;
    }
    this.end(`The connection was lost (${closed}) and could not be replaced. Call again.`);
  }

  connect({ url, subprotocol }) {
    const { session } = this.session;
    const socket = new WebSocket(url, subprotocol);
    this.socket = socket;
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Trouble("The service did not answer in 15 s. Call again.")), OPEN_TIMEOUT_MS);
      socket.addEventListener("message", ({ data }) => {
        if (typeof data !== "string" || this.over) return;
        const event = JSON.parse(data);
        this.frames.add("received", event);
        this.kept.take(event);
        if (event.type === "session.created") this.send({ type: "session.update", session });
        if (event.type === "session.updated") resolve(clearTimeout(late));
        if (event.type === "conversation.created") this.conversationId = event.conversation.id;
        this.model = event.session?.model ?? this.model; // the service replaces an unknown model; it bills this one
        if (event.type === "error") reject(new Trouble(`The service reports: ${event.error?.message}`));
        this.received += this.conversation.take(event);
      });
      socket.addEventListener("close", ({ code, reason }) => {
        clearTimeout(late);
        const opened = this.online && socket === this.socket;
        const refused =
          "The service refused the call: the secret has expired, the service is busy, or it cannot be reached. " +
          "Wait a minute and call again.";
        reject(new Trouble(this.over ? ENDED : refused));
        if (!opened || this.over) return;
        const closed = [code, reason].join(" ").trim();
        if (LOST.includes(code) && this.conversationId) this.resume(closed);
        else this.end(`The service closed the connection (${closed}). Call again.`);
      });
    });
  }

  send(event) {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    this.socket.send(JSON.stringify(event));
    this.frames.add("sent", event);
  }

  hear(pcm) {
    this.show("level", { level: loudness(pcm) });
    if (!this.began || this.over) return;
    this.kept.add(pcm, this.conversation.callerSpeaks || !this.online);
    if (this.online) this.sendAudio(pcm);
  }

  sendAudio(pcm) {
    this.sent += pcm.length;
    this.send({ type: "input_audio_buffer.append", audio: toBase64(pcm) });
  }

  // Resolves in any case: a failure is a result that the assistant can talk about.
  async runTool(call) {
    try {
      // The caller's words confirm what is booked; the server checks them.
      return await this.post("session/tools", { ...call, transcript: this.transcript() }, this.token);
    } catch {
      return { result: { error: "the clinic's server did not answer; apologise and offer to call back" } };
    }
  }

  get token() {
    return { Authorization: `Bearer ${this.session.token}` };
  }

  async post(path, body, headers = {}, options = {}) {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers },
      body: JSON.stringify(body),
      ...options,
    });
    const result = await answer.json();
    if (!answer.ok) throw new Trouble(result.detail ?? result.title ?? `The server answered ${answer.status}.`);
    return result;
  }
}

// The caller's audio from the end of the last turn that the service has transcribed.
class Kept {
  constructor() {
    this.pieces = [];
    this.committed = 0; // pieces of turns that the service has, but has not transcribed
  }

  add(pcm, speech) {
    this.pieces.push(pcm);
    const most = speech || this.committed ? MAX_KEPT_SAMPLES : QUIET_SAMPLES;
    let samples = this.pieces.reduce((sum, piece) => sum + piece.length, 0);
    while (samples > most) {
      samples -= this.pieces.shift().length;
      this.committed = Math.max(0, this.committed - 1);
    }
  }

  take({ type, status = "completed" }) {
    if (type === "input_audio_buffer.committed") this.committed = this.pieces.length;
    const transcribed = type === "conversation.item.input_audio_transcription.completed" && status === "completed";
    if (!transcribed && type !== "conversation.item.input_audio_transcription.failed") return;
    this.pieces.splice(0, this.committed);
    this.committed = 0;
  }
}

function loudness(pcm) {
  let sum = 0;
  for (const sample of pcm) sum += sample * sample;
  return Math.min(1, Math.sqrt(sum / pcm.length) / 6000);
}

const BY_NAME = {
  NotAllowedError: "The microphone is blocked. Allow it in the address bar and call again, or type below.",
  NotFoundError: "No microphone was found. Connect one and call again, or type below.",
  NotReadableError: "Another program uses the microphone. Close it and call again, or type below.",
  SecurityError: "The microphone needs https or localhost. Open this page at such an address, or type below.",
};

function explained(error) {
  if (error instanceof TypeError) return "The clinic's server cannot be reached. Is it running? Then call again.";
  return BY_NAME[error.name] ?? `The call failed: ${error.message}. Call again.`;
}
