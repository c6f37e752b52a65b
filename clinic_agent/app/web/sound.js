// The microphone and the loudspeaker of a call: PCM16 mono 24 kHz on this side, the device's rate on the other.

export const RATE = 24_000;

// Gives PCM16 in pieces of 100 ms until it is closed. Throws the browser's error if there is no microphone.
export class Microphone {
  static async open(hand) {
    if (!navigator.mediaDevices) throw new DOMException("no secure page", "SecurityError");
    const wanted = { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    const stream = await navigator.mediaDevices.getUserMedia({ audio: wanted });
    const microphone = new Microphone(stream, new AudioContext());
    try {
      await microphone.start(hand);
    } catch (problem) {
      microphone.close();
      throw problem;
    }
    return microphone;
  }

  constructor(stream, context) {
    this.stream = stream;
    this.context = context;
  }

  async start(hand) {
    await this.context.audioWorklet.addModule(new URL("microphone-worklet.js", import.meta.url));
    const tap = new AudioWorkletNode(this.context, "microphone", { numberOfOutputs: 0 });
    tap.port.onmessage = ({ data }) => hand(new Int16Array(data));
    this.context.createMediaStreamSource(this.stream).connect(tap);
    await this.context.resume();
  }

  close() {
    this.stream.getTracks().forEach((track) => track.stop());
    return this.context.close();
  }
}

// Plays items in order, calls back when all has been played, and can stop at once.
export class Speaker {
  static async open(drained) {
    const context = new AudioContext({ sampleRate: RATE });
    await context.audioWorklet.addModule(new URL("speaker-worklet.js", import.meta.url));
    await context.resume();
    return new Speaker(context, drained);
  }

  constructor(context, drained) {
    this.context = context;
    this.drained = drained;
    this.busy = false;
    this.waiting = new Map();
    this.tickets = 0;
    this.handed = 0;
    this.node = new AudioWorkletNode(context, "speaker", { numberOfInputs: 0, outputChannelCount: [1] });
    this.node.port.onmessage = ({ data }) => this.receive(data);
    this.node.connect(context.destination);
  }

  play(item, pcm) {
    this.busy = true;
    this.handed += 1;
    this.node.port.postMessage({ item, samples: Float32Array.from(pcm, (sample) => sample / 32768) });
  }

  // Resolves to [{item, heardMs}] of the items that were not played to their end. Audio in the output buffer counts as
  // not heard.
  cut() {
    this.busy = false;
    this.tickets += 1;
    this.node.port.postMessage({ cut: this.tickets });
    return new Promise((resolve) => this.waiting.set(this.tickets, resolve));
  }

  receive({ ticket, cuts, drained }) {
    if (drained !== undefined) {
      if (drained !== this.handed || !this.busy) return; // more audio was queued meanwhile
      this.busy = false;
      this.drained();
      return;
    }
    const late = (this.context.outputLatency || this.context.baseLatency || 0) * RATE;
    const heard = cuts.map(({ item, played }) => ({
      item,
      heardMs: Math.floor((Math.max(0, played - late) * 1000) / RATE),
    }));
    this.waiting.get(ticket)(heard);
    this.waiting.delete(ticket);
  }

  close() {
    return this.context.close();
  }
}

export function fromBase64(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Int16Array(bytes.buffer, 0, bytes.length >> 1);
}

export function toBase64(pcm) {
  const bytes = new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.byteLength);
  return btoa(String.fromCharCode(...bytes));
}
