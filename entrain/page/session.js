// A live talk: the microphone's frames go out on the wire, the agent's come back to the loudspeaker.

import { Loudspeaker } from "./loudspeaker.js";
import { Microphone } from "./microphone.js";
import { Wire } from "./wire.js";

const TAIL_MS = 120; // people let go of the button on their last syllable
const SETTLE_MS = 50; // a slider that is dragged tells 60 values a second

export class Session {
  /**
   * `options()` gives {strength, hands_free} as they are now. `on`: ready, event, lost and refused as the wire's, peak(speaker, amplitude),
   * unplugged(). Raises an Error in plain words when there is no microphone.
   */
  static async open(id, options, on) {
    const session = new Session(id, options, on);
    session.microphone = await Microphone.open((frame) => session.#hear(frame), on.unplugged);
    session.connect();
    return session;
  }

  constructor(id, options, on) {
    Object.assign(this, { id, options, on, talking: false });
  }

  /** Make the line, or make it anew with the options of now. */
  connect() {
    this.wire?.close();
    this.play("flush");
    const { ready, event, lost, refused } = this.on;
    this.wire = new Wire(this.id, () => ({ rate_hz: this.microphone.rateHz, ...this.options() }), {
      ready: (message) => { this.#playAt(message.rate_hz); ready(message); },
      sound: (pcm) => this.loudspeaker.then((speaker) => speaker.play(pcm)), // in their order, also while it is being opened
      event,
      lost: (...why) => { this.play("flush"); lost(...why); },
      refused,
    });
  }

  press() {
    if (!this.tail) this.wire.send({ type: "begin" });
    clearTimeout(this.tail);
    this.tail = null;
    this.talking = true;
  }

  release() {
    this.tail = setTimeout(() => {
      this.tail = null;
      this.talking = false;
      this.wire.send({ type: "end" });
    }, TAIL_MS);
  }

  strengthen(value) {
    clearTimeout(this.settled);
    this.settled = setTimeout(() => this.wire.send({ type: "strength", value }), SETTLE_MS);
  }

  interrupt() {
    this.wire.send({ type: "interrupt" });
    this.play("flush");
  }

  /** "hold": the agent falls silent for now; "release": it goes on from there; "flush": it does not. */
  play(order) {
    this.loudspeaker?.then((speaker) => speaker.tell(order));
  }

  close() {
    clearTimeout(this.tail);
    this.wire.close();
    this.microphone.close();
    this.loudspeaker?.then((speaker) => speaker.close());
  }

  /** The server's clock is the sound it gets, so a frame goes out always; but silence unless the person wants to be heard. */
  #hear({ pcm, peak }) {
    const heard = this.talking || this.options().hands_free;
    this.on.peak("user", heard ? peak : 0);
    this.wire?.sendSound(heard ? pcm : pcm.fill(0));
  }

  #playAt(rateHz) {
    if (this.rateHz === rateHz) return;
    this.loudspeaker?.then((speaker) => speaker.close());
    this.rateHz = rateHz;
    this.loudspeaker = Loudspeaker.open(rateHz, (peak) => this.on.peak("agent", peak));
  }
}
