// Playing a call: its pieces of audio become one WAV on the time axis of the call, which an audio element plays.
import { bytesOf, el } from "./dom.js";

const MOST_SAMPLES = 60_000_000; // of one side; a longer call is played at a lower rate

function ulaw(code) {
  const c = ~code & 255;
  const magnitude = ((((c & 15) << 3) + 132) << ((c >> 4) & 7)) - 132;
  return c & 128 ? -magnitude : magnitude;
}

const ULAW = Int16Array.from({ length: 256 }, (_, code) => ulaw(code));

function samples(piece) {
  const bytes = typeof piece.data === "string" ? bytesOf(piece.data) : piece.data;
  if (piece.encoding !== "pcmu") return new Int16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 1);
  const decoded = new Int16Array(bytes.length);
  for (let at = 0; at < bytes.length; at += 1) decoded[at] = ULAW[bytes[at]];
  return decoded;
}

/** The samples at another rate, by linear interpolation. */
function resampled(sound, from, to) {
  if (from === to) return sound;
  const made = new Int16Array(Math.floor((sound.length * to) / from));
  const last = sound.length - 1;
  for (let at = 0; at < made.length; at += 1) {
    const place = (at * from) / to;
    const index = Math.floor(place);
    made[at] = sound[index] + (sound[Math.min(index + 1, last)] - sound[index]) * (place - index);
  }
  return made;
}

/** Lays the pieces of one side on the time axis, every `step` places from `offset` on. */
function lay(track, pieces, side, rate, step, offset) {
  for (const piece of pieces) {
    if (piece.side !== side) continue;
    const sound = resampled(samples(piece), piece.rate, rate);
    let place = Math.round(piece.start_s * rate) * step + offset;
    for (let at = 0; at < sound.length && place < track.length; at += 1, place += step) track[place] = sound[at];
  }
}

/** A WAV of the call. `mode`: both sides in stereo, or one of them. */
export function wav(pieces, mode, seconds) {
  const wanted = Math.max(8000, ...pieces.map((piece) => piece.rate));
  const rate = Math.max(4000, Math.min(wanted, Math.floor(MOST_SAMPLES / Math.max(1, seconds))));
  const sides = mode === "both" ? ["caller", "service"] : [mode];
  const track = new Int16Array(Math.ceil(seconds * rate) * sides.length);
  sides.forEach((side, offset) => lay(track, pieces, side, rate, sides.length, offset));
  const head = new DataView(new ArrayBuffer(44));
  const letters = (at, text) => [...text].forEach((letter, index) => head.setUint8(at + index, letter.charCodeAt(0)));
  letters(0, "RIFF");
  head.setUint32(4, 36 + track.byteLength, true);
  letters(8, "WAVEfmt ");
  head.setUint32(16, 16, true);
  head.setUint16(20, 1, true);
  head.setUint16(22, sides.length, true);
  head.setUint32(24, rate, true);
  head.setUint32(28, rate * sides.length * 2, true);
  head.setUint16(32, sides.length * 2, true);
  head.setUint16(34, 16, true);
  letters(36, "data");
  head.setUint32(40, track.byteLength, true);
  return new Blob([head, track], { type: "audio/wav" });
}

/** Plays a call. Its events: "state" (playing, paused, mode, problem) and "time", once a frame of the screen. */
export class Player extends EventTarget {
  /** `source` gives the pieces of audio; it is asked when they are first needed. */
  constructor(source, seconds) {
    super();
    this.source = source;
    this.seconds = seconds;
    this.mode = "both";
    this.problem = "";
    this.end = null;
    this.wanted = 0;
    this.urls = new Map();
    this.audio = el("audio", { preload: "auto", "aria-hidden": "true" });
    this.audio.addEventListener("ended", () => this.changed());
    this.audio.addEventListener("pause", () => this.changed());
    this.audio.addEventListener("play", () => this.beat());
  }

  get playing() {
    return !this.audio.paused && !this.audio.ended;
  }

  get time() {
    return this.audio.src ? this.audio.currentTime : this.wanted;
  }

  /** More of a live call came: what was made before is too short. */
  lengthened(seconds) {
    if (seconds === this.seconds) return;
    this.seconds = seconds;
    this.stale = true; // what plays goes on; the next load fetches the rest
  }

  async play(from = this.time, end = null) {
    this.end = end;
    this.wanted = from;
    if (!(await this.load())) return;
    this.audio.currentTime = from >= this.seconds - 0.02 ? 0 : from;
    await this.audio.play().catch((problem) => this.failed(problem));
    this.changed();
  }

  pause() {
    this.audio.pause();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  seek(at) {
    this.wanted = Math.max(0, Math.min(this.seconds, at));
    this.end = null;
    if (this.audio.src) this.audio.currentTime = this.wanted;
    this.dispatchEvent(new Event("time"));
  }

  async choose(mode) {
    const [at, was] = [this.time, this.playing];
    this.mode = mode;
    this.wanted = at;
    this.changed();
    if (!this.audio.src) return;
    if (!(await this.load())) return;
    this.audio.currentTime = at;
    if (was) await this.audio.play().catch((problem) => this.failed(problem));
  }

  /** The pieces of audio, fetched once for what is known of the call. */
  async pieces() {
    if (!this.known || this.stale) {
      this.stale = false;
      for (const url of this.urls.values()) if (url !== this.audio.src) URL.revokeObjectURL(url);
      this.urls.clear();
      this.known = this.source();
    }
    return this.known;
  }

  async load() {
    try {
      const pieces = await this.pieces();
      if (!pieces.length) throw new Error("There is no audio to play.");
      if (!this.urls.has(this.mode)) this.urls.set(this.mode, URL.createObjectURL(wav(pieces, this.mode, this.seconds)));
      const url = this.urls.get(this.mode);
      const last = this.audio.src;
      if (last !== url) {
        this.audio.src = url;
        if (last && ![...this.urls.values()].includes(last)) URL.revokeObjectURL(last);
        await new Promise((resolve, reject) => {
          this.audio.addEventListener("loadedmetadata", resolve, { once: true });
          this.audio.addEventListener("error", () => reject(new Error("The browser cannot play the audio.")), { once: true });
        });
      }
      this.problem = "";
      return true;
    } catch (problem) {
      this.failed(problem);
      return false;
    }
  }

  failed(problem) {
    if (problem.name === "AbortError") return; // another play came first
    this.known = null;
    this.problem = problem.message;
    this.changed();
  }

  changed() {
    this.dispatchEvent(new Event("state"));
    this.dispatchEvent(new Event("time"));
  }

  beat() {
    this.changed();
    const step = () => {
      if (!this.playing) return;
      if (this.end != null && this.audio.currentTime >= this.end) {
        this.end = null;
        this.pause();
        return;
      }
      this.dispatchEvent(new Event("time"));
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }
}
