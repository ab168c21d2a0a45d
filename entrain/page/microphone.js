// The microphone: opened on request, its frames handed on.

const SOUND = {
  channelCount: 1,
  echoCancellation: true, // or the agent hears itself
  noiseSuppression: false, // it moves pitch and level,
  autoGainControl: false, // and this would level out how loud a person speaks: a feature that the agent follows
};

const REASONS = {
  NotAllowedError: "The browser may not use the microphone. Allow it beside the page’s address, then press Start again.",
  NotFoundError: "No microphone was found. Plug one in, then press Start again.",
  NotReadableError: "The microphone is in use by another program. Close that, then press Start again.",
};

export class Microphone {
  /** Raises an Error that says in plain words why there is no microphone. `onFrame({pcm, peak})` comes each 40 ms; `onEnd()` when it is unplugged. */
  static async open(onFrame, onEnd) {
    if (!navigator.mediaDevices) throw new Error("Browsers give the microphone only to https pages and to localhost. Open this page that way.");
    const stream = await navigator.mediaDevices.getUserMedia({ audio: SOUND }).catch((error) => {
      throw new Error(REASONS[error.name] ?? `The microphone could not be opened: ${error.message}`);
    });
    const microphone = new Microphone(stream, new AudioContext());
    stream.getAudioTracks()[0].onended = onEnd;
    await microphone.#start(onFrame).catch(() => {
      microphone.close();
      throw new Error("The page could not load all of itself. Is the server still running?");
    });
    return microphone;
  }

  constructor(stream, context) {
    Object.assign(this, { stream, context });
  }

  async #start(onFrame) {
    await Promise.all([this.context.resume(), this.context.audioWorklet.addModule(new URL("capture.js", import.meta.url))]);
    const capture = new AudioWorkletNode(this.context, "capture", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    capture.port.onmessage = ({ data }) => onFrame(data);
    this.context.createMediaStreamSource(this.stream).connect(capture);
  }

  get rateHz() {
    return this.context.sampleRate;
  }

  close() {
    for (const track of this.stream.getTracks()) {
      track.onended = null;
      track.stop();
    }
    this.context.close();
  }
}
