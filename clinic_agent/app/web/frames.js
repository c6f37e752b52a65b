// The frames of a call on their way to the clinic's server, which keeps them with the call's record.

const EVERY_MS = 1000;
const MOST_CHARS = 32_000; // of JSON that wait
const MOST_LAST_BYTES = 40_000; // of the last message: a page that is left may send 64 KiB, its transcript among them
const MOST_FRAMES = 1000;
const AUDIO = { "input_audio_buffer.append": "audio", "response.output_audio.delta": "delta" };

export class Frames {
  // `post({frames, left_out})` sends some of them to the server, and resolves when they are there.
  constructor({ keepsAudio, post }) {
    this.keepsAudio = keepsAudio;
    this.post = post;
    this.began = performance.now();
    this.sending = Promise.resolve();
    this.underWay = 0;
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
    const { waiting: frames, lost: left_out } = this;
    const count = frames.length + left_out;
    if (!count) return this.sending;
    this.clear();
    this.underWay += count;
    const send = async () => {
      try {
        await this.post({ frames, left_out });
      } catch {
        this.lost += count;
      }
      this.underWay -= count;
    };
    return (this.sending = this.sending.then(send));
  }

  // What waits, for the last message: after it the server takes no more, what is under way neither.
  last() {
    const fits = new Blob([JSON.stringify(this.waiting)]).size <= MOST_LAST_BYTES;
    const left = this.lost + this.underWay + (fits ? 0 : this.waiting.length);
    return { frames: fits ? this.waiting : [], frames_left_out: left };
  }

  close() {
    clearInterval(this.timer);
  }
}
