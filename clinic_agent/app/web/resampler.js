// Sound at any rate to another, piece by piece, as if it were one: a windowed-sinc filter with one kernel per phase.

const WIDTH = 16; // zero crossings on either side of the kernel's middle

export class Resampler {
  constructor(from, to) {
    this.from = from;
    this.to = to;
    this.cutoff = 0.94 * Math.min(1, to / from);
    this.half = Math.ceil(WIDTH / this.cutoff);
    this.kernels = new Map();
    this.kept = new Float32Array(this.half); // what came last, for the next piece; silence before the first
    this.next = 0; // the next sample out, in units of 1/to samples in, counted from the end of `kept`'s first half
  }

  // Float32 samples in; as many out as are settled by them. The rest follows with the next piece.
  feed(piece) {
    const heard = new Float32Array(this.kept.length + piece.length);
    heard.set(this.kept);
    heard.set(piece, this.kept.length);
    const settled = heard.length - 2 * this.half; // samples whose neighbours on both sides are there
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
      this.kernels.set(phase, kernel.map((value) => value / sum)); // no phase louder than another
    }
    return this.kernels.get(phase);
  }
}
