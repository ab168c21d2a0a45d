// AudioWorklet: the microphone's sound as frames of 40 ms, 16-bit PCM at the context's own rate, each with its peak.

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.frame = this.fresh();
  }

  fresh() {
    this.filled = this.peak = 0;
    return new Int16Array(Math.round(sampleRate * 0.04));
  }

  process([[samples]]) {
    for (const sample of samples ?? []) { // no channel while the track is muted by the system
      const x = Math.max(-1, Math.min(1, sample));
      this.peak = Math.max(this.peak, Math.abs(x));
      this.frame[this.filled++] = Math.min(32767, Math.round(x * 32768)); // the scale of Audio.from_pcm16
      if (this.filled === this.frame.length) this.send();
    }
    return true;
  }

  send() {
    this.port.postMessage({ pcm: this.frame, peak: this.peak }, [this.frame.buffer]);
    this.frame = this.fresh();
  }
}

registerProcessor("capture", Capture);
