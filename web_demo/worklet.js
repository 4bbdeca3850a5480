// The audio thread: one processor plays an utterance as it comes, one listens to the microphone.
//
// Player   in:  {samples: Int16Array}   more sound
//               {textSent: true}        from now on, running dry is a gap (before, it waits for text)
//               {ended: true}           no more sound follows
//               {stopped: true}         fall silent at once
//          out: {played, gaps, drained} some twenty times a second, and once more at the end
//               {full: true}            samples were dropped: more than the buffer may hold
// Listener out: Float32Array            what was heard, about fifty times a second

const FIRST_CAPACITY = 10 * sampleRate;
/** More than the longest text the page takes. */
const MAX_CAPACITY = 900 * sampleRate;
const QUANTA_PER_REPORT = 9;
const QUANTA_PER_PIECE = 7;

class Player extends AudioWorkletProcessor {
  constructor() {
    super();
    this.ring = new Float32Array(FIRST_CAPACITY);
    this.written = 0;
    this.played = 0;
    this.gaps = 0;
    this.quanta = 0;
    this.textSent = false;
    this.ended = false;
    this.stopped = false;
    /** Nothing was there to play in the last quantum. */
    this.dry = false;
    this.dryIsGap = false;
    /** The last sound was faded out, so the next fades in. */
    this.faded = false;
    this.port.onmessage = ({ data }) => {
      if (data.samples) this.write(data.samples);
      if (data.textSent) this.textSent = true;
      if (data.ended) this.ended = true;
      if (data.stopped) this.stopped = true;
    };
  }

  write(samples) {
    const needed = this.written - this.played + samples.length;
    if (needed > MAX_CAPACITY) {
      this.port.postMessage({ full: true });
      return;
    }
    if (needed > this.ring.length) this.grow(needed);
    for (const sample of samples) {
      this.ring[this.written % this.ring.length] = sample / 32768;
      this.written += 1;
    }
  }

  grow(needed) {
    const larger = new Float32Array(Math.min(MAX_CAPACITY, Math.max(needed, 2 * this.ring.length)));
    for (let i = this.played; i < this.written; i += 1) {
      larger[i % larger.length] = this.ring[i % this.ring.length];
    }
    this.ring = larger;
  }

  process(_inputs, outputs) {
    if (this.stopped) return false;
    const channels = outputs[0];
    const out = channels[0];
    const count = Math.min(out.length, this.written - this.played);
    for (let i = 0; i < count; i += 1) {
      out[i] = this.ring[this.played % this.ring.length];
      this.played += 1;
    }
    // A wave cut off or begun in full swing clicks: fade at both sides of a hole.
    if (count > 0 && this.faded) {
      for (let i = 0; i < count; i += 1) out[i] *= i / count;
    }
    this.faded = count > 0 ? this.played === this.written && !this.ended : this.faded;
    if (count > 0 && this.faded) {
      for (let i = 0; i < count; i += 1) out[i] *= 1 - i / count;
    }
    for (const copy of channels.slice(1)) copy.set(out);

    // A gap is counted when sound comes back: silence after the last sound is none.
    if (count === 0 && this.played > 0 && !this.dry) {
      this.dry = true;
      this.dryIsGap = this.textSent;
    } else if (count > 0 && this.dry) {
      this.dry = false;
      if (this.dryIsGap) this.gaps += 1;
    }

    const drained = this.ended && this.played === this.written;
    this.quanta += 1;
    if (drained || this.quanta % QUANTA_PER_REPORT === 0) {
      this.port.postMessage({ played: this.played, gaps: this.gaps, drained });
    }
    return !drained;
  }
}

class Listener extends AudioWorkletProcessor {
  constructor() {
    super();
    this.piece = [];
    this.stopped = false;
    this.port.onmessage = () => (this.stopped = true);
  }

  process(inputs) {
    const heard = inputs[0][0];
    if (heard) this.piece.push(heard.slice());
    if (this.piece.length >= QUANTA_PER_PIECE) {
      const whole = new Float32Array(this.piece.length * heard.length);
      this.piece.forEach((part, i) => whole.set(part, i * part.length));
      this.port.postMessage(whole, [whole.buffer]);
      this.piece = [];
    }
    return !this.stopped;
  }
}

registerProcessor("player", Player);
registerProcessor("listener", Listener);
