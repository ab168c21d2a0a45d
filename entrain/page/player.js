// AudioWorklet: plays 16-bit PCM from a ring, silence when it is empty; "flush" empties it at once. Tells the peak of each 40 ms played.

const SECONDS = 5; // the server is at most .3 s ahead; of more than this the oldest goes

class Player extends AudioWorkletProcessor {
  constructor() {
    super();
    this.ring = new Float32Array(SECONDS * sampleRate);
    this.read = this.waiting = this.played = this.peak = 0;
    this.port.onmessage = ({ data }) => (data === "flush" ? (this.waiting = 0) : this.take(data));
  }

  take(pcm) {
    for (const integer of pcm) {
      this.ring[(this.read + this.waiting) % this.ring.length] = integer / 32768;
      if (this.waiting < this.ring.length) this.waiting++;
      else this.read = (this.read + 1) % this.ring.length;
    }
  }

  process(_, [[out]]) {
    for (let i = 0; i < out.length; i++) {
      if (this.waiting) {
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
