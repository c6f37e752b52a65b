// A call over an open microphone: server events in, client events and loudspeaker commands out; without socket and DOM.
//
// The service detects the caller's turns and answers them. This module plays the answers, stops playback when the caller
// speaks and reports the length that was heard, runs the tools, and requests the answer to their results after the
// preamble has been played.

const MAX_TOOL_ROUNDS = 8; // more in one turn are taken for a loop

// What was received of a response.
class Answer {
  constructor() {
    this.items = [];
    this.text = "";
    this.samples = 0;
    this.over = false;
    this.held = []; // while the answer is repeated: [item, samples] that may have been played before
  }

  add(item, samples, text) {
    if (!this.items.includes(item)) this.items.push(item);
    this.samples += samples;
    this.text += text;
  }
}

// A text without the differences that a repeated answer may have in its spaces.
const bare = (text) => text.replace(/\s+/g, "");

const typed = (text) => ({
  type: "conversation.item.create",
  item: { type: "message", role: "user", content: [{ type: "input_text", text }] },
});

export class Conversation {
  // `send(event)`; `speaker` as in sound.js; `decode(base64)` gives samples; `runTool(call)` resolves to {result};
  // `show(what, details)` updates the page; `end(failure)` ends the call, with the reason if it failed.
  constructor({ send, speaker, decode, runTool, show, end }) {
    Object.assign(this, { send, speaker, decode, runTool, show, end });
    this.audible = null; // the response that may be played
    this.responding = false;
    this.callerSpeaks = false;
    this.callerItem = null;
    this.pending = new Map(); // response -> calls
    this.rounds = 0;
    this.epoch = 0; // counts the events that make a request for an answer obsolete
    this.then = null; // runs after playback: requests the answer to tool results, or hangs up
    this.words = new Map(); // item -> transcript of the assistant
    this.request = null; // the events that asked for the answer that has not ended
    this.owed = false; // whether the caller's last turn waits for its answer
    this.ran = false; // whether tools were run in this turn
    this.running = false; // whether they are being run
    this.answer = new Answer(); // the response in progress
    this.again = null; // the answer that a lost connection cut off, while it is given again
    this.skip = 0; // samples of a repeated answer that are still not to be played
    this.lines = new Map(); // item of a repeated answer -> item whose line of the transcript it continues
    this.skipped = new Map(); // item of a repeated answer -> samples that were not played again
    this.heardText = ""; // the final transcript of the caller's last turn
  }

  // Goes on after the conversation was resumed on a new connection. What was received of an answer plays on; the answer
  // is asked for again, and only the rest of it is played.
  resumed() {
    this.pending.clear();
    if (this.callerSpeaks || !this.heardText) {
      this.show("dropped", { item: this.callerItem }); // the caller's audio is sent again and gets another item
    }
    this.callerSpeaks = false;
    this.responding = false;
    if (this.running || !this.request) return;
    for (const event of this.request) this.send(event);
    this.again = this.answer.samples && !this.answer.over ? this.answer : null;
    this.then = () => this.send({ type: "response.create" });
    if (this.again || !this.speaker.busy) this.drained();
  }

  // Returns the number of samples received.
  take(event) {
    const act = this[`on ${event.type}`];
    return act ? act.call(this, event) ?? 0 : 0;
  }

  type(text) {
    this.rounds = 0;
    this.interrupt();
    if (this.responding) this.send({ type: "response.cancel" });
    this.request = [typed(text)];
    this.heardText = text;
    this.owed = true;
    this.ran = false;
    this.send(this.request[0]);
    this.send({ type: "response.create" });
  }

  // Called when the loudspeaker has played all queued audio.
  drained() {
    const { then } = this;
    this.then = null;
    if (then) then();
    else if (!this.responding) this.show("state", { state: "listening" });
  }

  async interrupt() {
    this.audible = null;
    this.then = null;
    this.epoch += 1;
    if (!this.speaker.busy) return;
    for (const { item, heardMs } of await this.speaker.cut()) {
      const sent = heardMs + Math.floor(((this.skipped.get(item) ?? 0) * 1000) / 24_000);
      this.show("interrupted", { item: this.lines.get(item) ?? item, heardMs: sent });
      this.send({ type: "conversation.item.truncate", item_id: item, content_index: 0, audio_end_ms: sent });
    }
  }

  "on input_audio_buffer.speech_started"({ item_id }) {
    // The service ends its response itself; a response.cancel from here could hit the next one.
    this.callerSpeaks = true;
    this.interrupt();
    this.request = this.again = null;
    this.answer.over = true; // what was received of it is no beginning of the next answer
    this.heardText = "";
    this.owed = true;
    this.ran = false;
    if (item_id !== this.callerItem) this.rounds = 0;
    this.callerItem = item_id;
    this.show("heard", { item: item_id, text: "…", final: false }); // keeps the place; the transcript may come later
    this.show("state", { state: "hearing" });
  }

  "on input_audio_buffer.speech_stopped"() {
    this.callerSpeaks = false;
    this.show("state", { state: "listening" });
  }

  "on conversation.item.input_audio_transcription.updated"({ item_id, transcript }) {
    this.show("heard", { item: item_id, text: transcript, final: false });
  }

  "on conversation.item.input_audio_transcription.completed"({ item_id, transcript, status = "completed" }) {
    // The service may send several for one turn, each with the text so far; only status "completed" is final.
    const final = status === "completed";
    this.show("heard", { item: item_id, text: transcript, final });
    if (!final || item_id !== this.callerItem) return;
    this.heardText = transcript;
    if (this.owed && !this.ran) this.request = [typed(transcript)];
  }

  "on response.created"({ response }) {
    this.responding = true;
    this.then = null;
    this.epoch += 1;
    this.answer = new Answer();
    this.skip = 0;
    // A response that begins while the caller speaks was requested before the service heard the caller.
    this.audible = this.callerSpeaks ? null : response.id;
  }

  "on response.output_audio.delta"({ response_id, item_id, delta }) {
    const pcm = this.decode(delta);
    this.answer.add(item_id, pcm.length, "");
    if (response_id === this.audible) {
      if (this.again) this.again.held.push([item_id, pcm]);
      else this.play(item_id, pcm);
    }
    return pcm.length;
  }

  play(item, pcm) {
    const cut = Math.min(this.skip, pcm.length);
    this.skip -= cut;
    if (cut) this.skipped.set(item, (this.skipped.get(item) ?? 0) + cut);
    if (cut === pcm.length) return;
    this.speaker.play(item, pcm.subarray(cut));
    this.show("state", { state: "speaking" });
  }

  // Compares a repeated answer with what was received of it, and plays what is new.
  compare(ended = false) {
    const { again, answer } = this;
    const [before, now] = [bare(again.text), bare(answer.text)];
    if (!ended && before.startsWith(now) && now.length < before.length) return;
    const same = now.startsWith(before);
    this.again = null;
    this.skip = same ? again.samples : 0;
    if (same) answer.items.forEach((item, at) => again.items[at] && this.lines.set(item, again.items[at]));
    for (const [item, pcm] of again.held) this.play(item, pcm);
  }

  "on response.output_audio_transcript.delta"({ item_id, delta }) {
    this.words.set(item_id, (this.words.get(item_id) ?? "") + delta);
    this.answer.add(item_id, 0, delta);
    if (this.again) this.compare();
    if (this.again) return; // the words are in the transcript already
    for (const item of this.answer.items) {
      const text = this.words.get(item)?.trim();
      if (text) this.show("said", { item: this.lines.get(item) ?? item, text });
    }
  }

  "on response.function_call_arguments.done"({ response_id, call_id, name, arguments: args }) {
    const calls = this.pending.get(response_id) ?? [];
    this.pending.set(response_id, [...calls, { call_id, name, arguments: args }]);
  }

  "on response.done"({ response }) {
    this.responding = false;
    if (this.again?.held.length) this.compare(true);
    this.again = null;
    const calls = this.pending.get(response.id) ?? [];
    this.pending.delete(response.id);
    if (response.status === "failed") return this.end("The service failed to answer. Call again.");
    if (response.status !== "completed") return; // tool calls of a response that was cut off are not run
    this.answer.over = true;
    this.request = null;
    this.owed = calls.length > 0;
    if (calls.length) this.runTools(calls);
    else if (!this.speaker.busy) this.show("state", { state: "listening" });
  }

  "on error"({ error }) {
    const text = String(error?.message ?? "an error without a message");
    // Older dates of the service may refuse a truncate or a late cancel; playback has stopped here in any case.
    if (/truncat|no active response|already has an active response/i.test(text)) return;
    this.end(`The service reports: ${text}`);
  }

  async runTools(calls) {
    this.rounds += 1;
    if (this.rounds > MAX_TOOL_ROUNDS) {
      this.end(`The service called tools ${MAX_TOOL_ROUNDS} times in one turn; the call was ended.`);
      return;
    }
    const begun = this.epoch;
    const outputs = [];
    this.ran = this.running = true;
    for (const call of calls) {
      const { result } = await this.runTool(call);
      this.show("tool", { ...call, result });
      const output = { type: "function_call_output", call_id: call.call_id, output: JSON.stringify(result) };
      outputs.push({ type: "conversation.item.create", item: output });
    }
    this.running = false;
    for (const output of outputs) this.send(output);
    // If the caller spoke meanwhile, the service answers the caller's turn and the results together.
    if (begun !== this.epoch || this.callerSpeaks) return;
    this.request = outputs;
    const over = calls.every(({ name }) => name === "end_call");
    // An answer requested now would interrupt its preamble, and the goodbye has to be played.
    this.then = over ? () => this.end() : () => this.send({ type: "response.create" });
    if (!this.speaker.busy) this.drained();
  }
}
