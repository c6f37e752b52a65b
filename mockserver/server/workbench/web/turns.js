// The turns of a call: server events in, client events and loudspeaker commands out; without socket and DOM.
//
// Plays the answers, stops playback when the user speaks and reports how much was heard, runs the tools, and asks for the
// answer to their results after the speech before them was played. Measures what the user waits for.

const MOST_TOOL_ROUNDS = 8; // more in one turn are taken for a loop

export const typed = (text) => ({ type: "message", role: "user", content: [{ type: "input_text", text }] });

export class Turns {
  // `send(event)`; `speaker` as in sound.js; `decode(base64)` gives samples; `runTool({name, arguments})` resolves to the
  // result's text; `tell(what, details)`; `interrupts`: whether the user's speech ends an answer;
  // `now()` is seconds since the call began.
  constructor({ send, speaker, decode, runTool, tell, interrupts, now }) {
    Object.assign(this, { send, speaker, decode, runTool, tell, interrupts, now });
    this.audible = null; // the response that may be played
    this.responding = false;
    this.userSpeaks = false;
    this.rounds = 0;
    this.epoch = 0; // counts what makes a request for an answer obsolete
    this.then = null; // runs after playback
    this.words = new Map(); // item -> transcript
    this.pending = new Map(); // response -> function calls
    this.asks = null; // what to ask an answer to, once the one in progress is over
    this.waiting = null; // {since, what, response}: the user waits for the first audio of that response
  }

  take(event) {
    this[`on ${event.type}`]?.(event);
  }

  async type(text) {
    this.rounds = 0;
    this.tell("user", { item: `typed-${this.now()}`, text, typed: true, final: true });
    await this.interrupt(); // what was heard is reported before the answer is cancelled
    this.send({ type: "conversation.item.create", item: typed(text) });
    if (!this.responding) return this.ask("the message");
    this.asks = "the message"; // once the cancelled answer is over
    this.send({ type: "response.cancel" });
  }

  ask(after) {
    this.waiting = { since: this.now(), what: after };
    this.send({ type: "response.create" });
  }

  beginsTurn() {
    this.rounds = 0;
    if (this.responding && this.interrupts) this.send({ type: "response.cancel" });
    if (this.interrupts) this.interrupt();
    this.userSpeaks = true;
    this.tell("state", { state: "hearing" });
  }

  // `asks`: whether the service wants a `response.create` after the commit.
  endsTurn(asks) {
    this.userSpeaks = false;
    this.send({ type: "input_audio_buffer.commit" });
    this.waiting = { since: this.now(), what: "the end of the turn" };
    if (asks) this.send({ type: "response.create" });
    this.tell("state", { state: "listening" });
  }

  // The loudspeaker has played all queued audio.
  drained() {
    const { then } = this;
    this.then = null;
    if (then) then();
    else if (!this.responding) this.tell("state", { state: "listening" });
  }

  async interrupt() {
    this.audible = null;
    this.then = null;
    this.epoch += 1;
    if (!this.speaker.busy) return;
    for (const { item, heardMs } of await this.speaker.cut()) {
      this.tell("interrupted", { item, heardMs });
      this.send({ type: "conversation.item.truncate", item_id: item, content_index: 0, audio_end_ms: heardMs });
    }
  }

  "on input_audio_buffer.speech_started"({ item_id }) {
    this.userSpeaks = true;
    this.rounds = 0;
    if (this.interrupts) this.interrupt();
    this.tell("user", { item: item_id, text: "…", final: false });
    this.tell("state", { state: "hearing" });
  }

  "on input_audio_buffer.speech_stopped"() {
    this.userSpeaks = false;
    this.waiting = { since: this.now(), what: "the end of the turn" };
    this.tell("state", { state: "listening" });
  }

  "on input_audio_buffer.committed"({ item_id }) {
    this.tell("user", { item: item_id, text: null, final: false });
  }

  "on conversation.item.input_audio_transcription.delta"({ item_id, delta }) {
    this.words.set(item_id, (this.words.get(item_id) ?? "") + delta);
    this.tell("user", { item: item_id, text: this.words.get(item_id), final: false });
  }

  "on conversation.item.input_audio_transcription.updated"({ item_id, transcript }) {
    this.tell("user", { item: item_id, text: transcript, final: false });
  }

  "on conversation.item.input_audio_transcription.completed"({ item_id, transcript, status = "completed" }) {
    this.tell("user", { item: item_id, text: transcript, final: status === "completed" });
  }

  "on conversation.item.input_audio_transcription.failed"({ item_id, error }) {
    this.tell("user", { item: item_id, text: `(no transcript: ${error?.message ?? "it failed"})`, final: true });
  }

  "on response.created"({ response }) {
    this.responding = true;
    this.then = null;
    this.epoch += 1;
    if (this.waiting) this.waiting.response = response.id;
    this.audible = this.userSpeaks && this.interrupts ? null : response.id;
  }

  "on response.output_audio.delta"({ response_id, item_id, delta }) {
    if (this.waiting?.response === response_id) {
      this.tell("latency", { kind: "answer", ms: (this.now() - this.waiting.since) * 1000, after: this.waiting.what, at: this.now() });
      this.waiting = null;
    }
    if (response_id !== this.audible) return;
    this.speaker.play(item_id, this.decode(delta));
    this.tell("state", { state: "speaking" });
  }

  "on response.output_audio_transcript.delta"({ item_id, delta }) {
    this.words.set(item_id, (this.words.get(item_id) ?? "") + delta);
    this.tell("assistant", { item: item_id, text: this.words.get(item_id) });
  }

  "on response.output_text.delta"(event) {
    this["on response.output_audio_transcript.delta"](event);
  }

  "on response.function_call_arguments.done"({ response_id, call_id, name, arguments: args }) {
    const calls = this.pending.get(response_id) ?? [];
    this.pending.set(response_id, [...calls, { call_id, name, arguments: args, at: this.now() }]);
    this.tell("tool", { call_id, name, arguments: args, result: null });
  }

  "on response.mcp_call_arguments.done"({ item_id, arguments: args }) {
    this.tell("tool", { call_id: item_id, name: "MCP", arguments: args, result: null });
  }

  "on response.done"({ response }) {
    this.responding = false;
    const calls = this.pending.get(response.id) ?? [];
    this.pending.delete(response.id);
    if (this.asks) {
      const after = this.asks;
      this.asks = null;
      return this.ask(after);
    }
    if (response.status === "failed") {
      this.tell("problem", { text: `The answer failed: ${response.status_details?.error?.message ?? "without a reason"}` });
    }
    if (response.status !== "completed") return; // tools of an answer that was cut off are not run
    if (calls.length) this.runTools(calls);
    else if (!this.speaker.busy) this.tell("state", { state: "listening" });
  }

  "on error"({ error }) {
    const text = String(error?.message ?? "an error without a message");
    // The answer had ended by itself, or the service dropped a message that was cancelled.
    if (/truncat|no active response|cancellation failed/i.test(text)) return;
    this.tell("problem", { text });
  }

  async runTools(calls) {
    this.rounds += 1;
    if (this.rounds > MOST_TOOL_ROUNDS) {
      this.tell("problem", { text: `${MOST_TOOL_ROUNDS} rounds of tool calls in one turn: a loop. Mend the scenario.` });
      return;
    }
    const begun = this.epoch;
    this.tell("state", { state: "tools" });
    for (const call of calls) {
      const from = performance.now();
      const output = await this.runTool(call);
      const ms = performance.now() - from;
      this.tell("tool", { ...call, result: output, ms });
      this.tell("latency", { kind: "tool", ms, after: call.name, at: this.now() });
      this.send({ type: "conversation.item.create", item: { type: "function_call_output", call_id: call.call_id, output } });
    }
    // If the user spoke meanwhile, the service answers that turn and the results together.
    if (begun !== this.epoch || this.userSpeaks) return;
    this.then = () => this.ask("the tool's result");
    if (!this.speaker.busy) this.drained();
  }
}
