// The frames of a call on their way to the clinic's server, which keeps them with the call's record.

const EVERY_MS = 1000;
const MOST_CHARS = 32_000; // of JSON that wait; the browser sends about twice as much of a page that is being left
const MOST_FRAMES = 1000;
const AUDIO = { "input_audio_buffer.append": "audio", "response.output_audio.delta": "delta" };

export class Frames {
  // `post({frames, left_out})` sends some of them to the server, and resolves when they are there.
  constructor({ keepsAudio, post }) {
    this.keepsAudio = keepsAudio;
    this.post = post;
    this.began = performance.now();
    this.sending = Promise.resolve();
    this.clear();
    this.timer = setInterval(() => this.flush(), EVERY_MS);
  }

  clear() {
    this.waiting = [];
    this.chars = 0;
    this.lost = 0;
  }

  add(way, event) {
    const name = AUDIO[event.type];
    const kept = name && !this.keepsAudio ? { ...event, [name]: "" } : event;
    this.waiting.push({ at_ms: performance.now() - this.began, way, event: kept });
    this.chars += name ? (kept[name]?.length ?? 0) + 200 : JSON.stringify(kept).length;
    if (this.chars > MOST_CHARS || this.waiting.length >= MOST_FRAMES) this.flush();
  }

  // Sends what waits, after what is on its way. What the server does not take is counted, and told with the next ones.
  flush() {
    const { frames, frames_left_out: left_out } = this.rest();
    if (!frames.length && !left_out) return this.sending;
    const send = () => this.post({ frames, left_out }).catch(() => (this.lost += frames.length + left_out));
    return (this.sending = this.sending.then(send));
  }

  // What waits, for a last message.
  rest() {
    const rest = { frames: this.waiting, frames_left_out: this.lost };
    this.clear();
    return rest;
  }

  close() {
    clearInterval(this.timer);
  }
}
