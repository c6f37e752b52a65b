// Runs on the audio thread: takes the microphone at the device's rate, posts PCM16 mono 24 kHz in pieces of 100 ms.

import { Resampler } from "./resampler.js";

const RATE = 24_000;
const PIECE = RATE / 10;

class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE);
    this.piece = new Int16Array(PIECE);
    this.filled = 0;
  }

  process([input]) {
    const [samples] = input;
    if (!samples) return true; // nothing is connected yet
    for (const sample of this.resampler.feed(samples)) {
      this.piece[this.filled] = Math.round(Math.max(-1, Math.min(1, sample)) * 32767);
      this.filled += 1;
      if (this.filled === PIECE) {
        this.port.postMessage(this.piece.buffer, [this.piece.buffer]);
        this.piece = new Int16Array(PIECE);
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("microphone", Microphone);
