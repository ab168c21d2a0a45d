// AudioWorklet: plays 16-bit PCM from a ring, silence when it is empty. "hold" pauses, "release" goes on, "flush" empties it; each at
// once. Tells the peak of each 40 ms played.

const SECONDS = 5; // the server is at most .3 s ahead; of more than this the oldest goes

class Player extends AudioWorkletProcessor {
  constructor() {
    super();
    this.ring = new Float32Array(SECONDS * sampleRate);
    this.read = this.waiting = this.played = this.peak = 0;
    this.held = false;
    this.port.onmessage = ({ data }) => (typeof data === "string" ? this[data]() : this.take(data));
  }

  hold() {
    this.held = true;
  }

  release() {
    this.held = false;
  }

  flush() {
    this.waiting = 0;
    this.held = false;
  }

  take(pcm) {
    if (this.held && pcm.every((x) => x === 0)) return; // the server holds too: its silence is no part of the reply
    for (const integer of pcm) {
      this.ring[(this.read + this.waiting) % this.ring.length] = integer / 32768;
      if (this.waiting < this.ring.length) this.waiting++;
      else this.read = (this.read + 1) % this.ring.length;
    }
  }

  process(_, [[out]]) {
    for (let i = 0; i < out.length; i++) {
      if (this.waiting && !this.held) {
        out[i] = this.ring[this.read];
        this.read = (this.read + 1) % this.ring.length;
        this.waiting--;
      }
      this.peak = Math.max(this.peak, Math.abs(out[i]));
      if (++this.played >= 0.04 * sampleRate) this.tell();
    }
    return true;
  }

  tell() {
    this.port.postMessage(this.peak);
    this.played = this.peak = 0;
  }
}

registerProcessor("player", Player);
