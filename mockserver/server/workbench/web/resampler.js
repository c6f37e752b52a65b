// Resamples audio piece by piece without gaps: a windowed-sinc filter with one kernel per phase.

const WIDTH = 16; // zero crossings on either side of the kernel's middle

export class Resampler {
  constructor(from, to) {
    this.from = from;
    this.to = to;
    this.cutoff = 0.94 * Math.min(1, to / from);
    this.half = Math.ceil(WIDTH / this.cutoff);
    this.kernels = new Map();
    this.kept = new Float32Array(this.half); // the end of the last piece, for the next one; silence before the first
    this.next = 0; // the next sample out, in units of 1/to samples in, counted from the end of `kept`'s first half
  }

  // Takes Float32 samples; returns the output samples that they determine. The rest follows with the next piece.
  feed(piece) {
    const heard = new Float32Array(this.kept.length + piece.length);
    heard.set(this.kept);
    heard.set(piece, this.kept.length);
    const settled = heard.length - 2 * this.half; // samples whose neighbours on both sides are known
    const out = [];
    while (Math.floor(this.next / this.to) < settled) {
      out.push(this.sample(heard, Math.floor(this.next / this.to), this.next % this.to));
      this.next += this.from;
    }
    const done = Math.max(0, settled);
    this.kept = heard.slice(done);
    this.next -= done * this.to;
    return Float32Array.from(out);
  }

  sample(heard, first, phase) {
    const kernel = this.kernel(phase);
    let sum = 0;
    for (let tap = 0; tap < kernel.length; tap += 1) sum += kernel[tap] * heard[first + tap];
    return sum;
  }

  kernel(phase) {
    if (!this.kernels.has(phase)) {
      const kernel = new Float32Array(2 * this.half);
      let sum = 0;
      for (let tap = 0; tap < kernel.length; tap += 1) {
        const from = tap - this.half - phase / this.to;
        const at = from * this.cutoff;
        const window = Math.abs(from) < this.half ? 0.5 + 0.5 * Math.cos((Math.PI * from) / this.half) : 0;
        kernel[tap] = (at === 0 ? 1 : Math.sin(Math.PI * at) / (Math.PI * at)) * window;
        sum += kernel[tap];
      }
      this.kernels.set(phase, kernel.map((value) => value / sum)); // each phase has the same gain
    }
    return this.kernels.get(phase);
  }
}
