// Runs on the audio thread: plays the queued audio in order of arrival, and counts the samples played.

class Speaker extends AudioWorkletProcessor {
  constructor() {
    super();
    this.queue = []; // {item, samples}
    this.at = 0; // samples of the first piece that were played
    this.added = 0; // pieces received
    this.played = new Map(); // item -> samples
    this.port.onmessage = ({ data }) => (data.cut ? this.cut(data.cut) : this.add(data));
  }

  add({ item, samples }) {
    this.added += 1;
    this.queue.push({ item, samples });
  }

  // Stops playback; answers with the samples played of each unfinished item.
  cut(ticket) {
    const items = [...new Set(this.queue.map(({ item }) => item))];
    this.queue = [];
    this.at = 0;
    this.port.postMessage({ ticket, cuts: items.map((item) => ({ item, played: this.played.get(item) ?? 0 })) });
  }

  process(_, [[channel]]) {
    let filled = 0;
    while (this.queue.length && filled < channel.length) {
      const { item, samples } = this.queue[0];
      const part = samples.subarray(this.at, this.at + channel.length - filled);
      channel.set(part, filled);
      filled += part.length;
      this.at += part.length;
      this.played.set(item, (this.played.get(item) ?? 0) + part.length);
      if (this.at === samples.length) {
        this.queue.shift();
        this.at = 0;
        if (!this.queue.length) this.port.postMessage({ drained: this.added });
      }
    }
    return true;
  }
}

registerProcessor("speaker", Speaker);
