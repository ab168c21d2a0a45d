// The loudspeaker: plays what it is given as it comes, and stops at once.

export class Loudspeaker {
  /** `onPeak(amplitude)` tells each 40 ms what was played. The context has the server's rate, so the browser resamples. */
  static async open(rateHz, onPeak) {
    const context = new AudioContext({ sampleRate: rateHz, latencyHint: "interactive" });
    await Promise.all([context.resume(), context.audioWorklet.addModule(new URL("player.js", import.meta.url))]);
    const player = new AudioWorkletNode(context, "player", { numberOfInputs: 0, outputChannelCount: [1] });
    player.port.onmessage = ({ data }) => onPeak(data);
    player.connect(context.destination);
    return new Loudspeaker(context, player);
  }

  constructor(context, player) {
    Object.assign(this, { context, player });
  }

  /** `pcm`: an Int16Array, which is given away. */
  play(pcm) {
    this.player.port.postMessage(pcm, [pcm.buffer]);
  }

  /** "hold": silence for now; "release": on from there; "flush": what is not played yet is dropped. */
  tell(order) {
    this.player.port.postMessage(order);
  }

  close() {
    this.context.close();
  }
}
