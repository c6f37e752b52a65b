// One call: asks this site's server for a short-lived secret, dials the service with it, and joins microphone, socket,
// loudspeaker and tools. The server's key never comes here.

import { Conversation } from "./conversation.js";
import { Microphone, RATE, Speaker, fromBase64, toBase64 } from "./sound.js";

const OPEN_TIMEOUT_MS = 15_000;
const ENDED = "The call was ended before it was answered.";

export class Trouble extends Error {}

export class Call {
  // `show(what, details)` tells the page what happens; `transcript()` gives what it has shown: [{role, text}].
  constructor(show, transcript) {
    this.show = show;
    this.transcript = transcript;
    this.sent = 0; // samples
    this.received = 0;
    this.texts = 0;
    this.over = false;
  }

  // So far, as the price list has it; null where the model has no known price.
  get usd() {
    const { usd_per_minute = {}, usd_per_text_item } = this.session?.price ?? {};
    const perMinute = usd_per_minute[this.model];
    if (perMinute === undefined) return null;
    return ((this.sent + this.received) / RATE / 60) * perMinute + this.texts * usd_per_text_item;
  }

  // Resolves once the session is in force. Throws Trouble, whose message says what to do; the call is then over.
  async begin({ microphone }) {
    try {
      this.session = await this.ask("session", {});
      if (this.over) this.tellEnd();
      this.goOn();
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
      this.goOn(); // however long somebody thought about lending it
      await this.dial();
      this.goOn();
      this.began = Date.now();
      this.show("state", { state: "listening" });
    } catch (error) {
      this.end();
      this.release(); // what came after the end
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

  // Hangs up; `failure` says why, if it was not the caller's wish.
  end(failure) {
    if (this.over) return;
    this.over = true;
    this.began = null;
    this.release();
    this.show("ended", { failure });
    if (this.session) this.tellEnd();
  }

  // What was said is kept by the clinic's server, as the notice says.
  tellEnd() {
    const told = { conversation_id: this.conversationId, transcript: this.transcript(), usd: this.usd?.toFixed(4) };
    this.ask("session/end", told, this.token, { keepalive: true }).catch(() => {}); // the call is over all the same
  }

  dial() {
    const { url, subprotocol, session } = this.session;
    this.socket = new WebSocket(url, subprotocol);
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Trouble("The service did not answer in 15 s. Call again.")), OPEN_TIMEOUT_MS);
      this.socket.addEventListener("message", ({ data }) => {
        if (typeof data !== "string" || this.over) return;
        const event = JSON.parse(data);
        if (event.type === "session.created") this.send({ type: "session.update", session });
        if (event.type === "session.updated") resolve(clearTimeout(late));
        if (event.type === "conversation.created") this.conversationId = event.conversation.id;
        this.model = event.session?.model ?? this.model; // unknown names are replaced in silence; this one is billed
        if (event.type === "error") reject(new Trouble(`The service reports: ${event.error?.message}`));
        this.received += this.conversation.take(event);
      });
      this.socket.addEventListener("close", ({ code, reason }) => {
        clearTimeout(late);
        const opened = this.began !== undefined;
        const refused =
          "The service refused the call: the secret has expired, it takes no more calls, or it cannot be reached. " +
          "Wait a minute and call again.";
        reject(new Trouble(this.over ? ENDED : refused));
        if (opened) this.end(`The connection was lost (${[code, reason].join(" ").trim()}). Call again.`);
      });
    });
  }

  send(event) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(event));
  }

  hear(pcm) {
    this.show("level", { level: loudness(pcm) });
    if (!this.began || this.over) return;
    this.sent += pcm.length;
    this.send({ type: "input_audio_buffer.append", audio: toBase64(pcm) });
  }

  // A result in any case: what cannot be reached is an error that the assistant can speak of.
  async runTool(call) {
    try {
      return await this.ask("session/tools", call, this.token);
    } catch {
      return { result: { error: "the clinic's server did not answer; apologise and offer to call back" } };
    }
  }

  get token() {
    return { Authorization: `Bearer ${this.session.token}` };
  }

  async ask(path, body, headers = {}, options = {}) {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers },
      body: JSON.stringify(body),
      ...options,
    });
    const told = await answer.json();
    if (!answer.ok) throw new Trouble(told.detail ?? told.title ?? `The server answered ${answer.status}.`);
    return told;
  }
}

function loudness(pcm) {
  let sum = 0;
  for (const sample of pcm) sum += sample * sample;
  return Math.min(1, Math.sqrt(sum / pcm.length) / 6000);
}

const BY_NAME = {
  NotAllowedError: "The browser may not use the microphone. Allow it beside the address, and call again; or type below.",
  NotFoundError: "There is no microphone. Plug one in, and call again; or type below.",
  NotReadableError: "Another program holds the microphone. Close it, and call again; or type below.",
  SecurityError: "Browsers lend a microphone to https pages and to localhost only. Open this page there; or type below.",
};

function explained(error) {
  if (error instanceof TypeError) return "The clinic's server cannot be reached. Is it running? Then call again.";
  return BY_NAME[error.name] ?? `This did not work: ${error.message}. Call again.`;
}
