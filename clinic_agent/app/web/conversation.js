// A call over an open microphone: server events in, client events and loudspeaker commands out; without socket and DOM.
//
// The service detects the caller's turns and answers them. This module plays the answers, stops playback when the caller
// speaks and reports the length that was heard, runs the tools, and requests the answer to their results after the
// preamble has been played.

const MAX_TOOL_ROUNDS = 8; // more in one turn are taken for a loop

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
    this.send({
      type: "conversation.item.create",
      item: { type: "message", role: "user", content: [{ type: "input_text", text }] },
    });
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
      this.show("interrupted", { item, heardMs });
      this.send({ type: "conversation.item.truncate", item_id: item, content_index: 0, audio_end_ms: heardMs });
    }
  }

  "on input_audio_buffer.speech_started"({ item_id }) {
    // The service ends its response itself; a response.cancel from here could hit the next one.
    this.callerSpeaks = true;
    this.interrupt();
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
    this.show("heard", { item: item_id, text: transcript, final: status === "completed" });
  }

  "on response.created"({ response }) {
    this.responding = true;
    this.then = null;
    this.epoch += 1;
    // A response that begins while the caller speaks was requested before the service heard the caller.
    this.audible = this.callerSpeaks ? null : response.id;
  }

  "on response.output_audio.delta"({ response_id, item_id, delta }) {
    const pcm = this.decode(delta);
    if (response_id === this.audible) {
      this.speaker.play(item_id, pcm);
      this.show("state", { state: "speaking" });
    }
    return pcm.length;
  }

  "on response.output_audio_transcript.delta"({ item_id, delta }) {
    this.words.set(item_id, (this.words.get(item_id) ?? "") + delta);
    this.show("said", { item: item_id, text: this.words.get(item_id).trim() });
  }

  "on response.function_call_arguments.done"({ response_id, call_id, name, arguments: args }) {
    const calls = this.pending.get(response_id) ?? [];
    this.pending.set(response_id, [...calls, { call_id, name, arguments: args }]);
  }

  "on response.done"({ response }) {
    this.responding = false;
    const calls = this.pending.get(response.id) ?? [];
    this.pending.delete(response.id);
    if (response.status === "failed") this.end("The service failed to answer. Call again.");
    else if (response.status !== "completed") return; // tool calls of a response that was cut off are not run
    else if (calls.length) this.runTools(calls);
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
    for (const call of calls) {
      const { result } = await this.runTool(call);
      this.show("tool", { ...call, result });
      const output = { type: "function_call_output", call_id: call.call_id, output: JSON.stringify(result) };
      this.send({ type: "conversation.item.create", item: output });
    }
    // If the caller spoke meanwhile, the service answers the caller's turn and the results together.
    if (begun !== this.epoch || this.callerSpeaks) return;
    const over = calls.every(({ name }) => name === "end_call");
    // An answer requested now would interrupt its preamble, and the goodbye has to be played.
    this.then = over ? () => this.end() : () => this.send({ type: "response.create" });
    if (!this.speaker.busy) this.drained();
  }
}
