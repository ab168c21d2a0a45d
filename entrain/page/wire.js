// The line to the server: one WebSocket for the live talk, which comes back by itself, and REST for what is kept.

const BASE = new URL("v1/conversations/", document.baseURI);
const FIRST_WAIT_S = 0.5, LONGEST_WAIT_S = 8;
const SILENT_S = 10; // the server tells levels ten times a second: after so long without a word the line is dead
const BEHIND_BYTES = 200_000; // two seconds at 48 kHz; more is a line too slow for speech, so frames are dropped
const LATER = new Set(["closing", "full", "busy", "store", "rate"]); // errors that pass: worth another try

/** Kept in this tab only: not on disk, not for other tabs. */
export const token = {
  get: () => sessionStorage.getItem("entrain-token"),
  set: (value) => sessionStorage.setItem("entrain-token", value),
};

export class Refused extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

const address = (id, what) => new URL(encodeURIComponent(id) + what, BASE);

/** A request about a conversation, as in ask("GET", id, "/report"); raises Refused with a plain sentence. */
export async function ask(method, id, what = "") {
  const headers = token.get() ? { Authorization: `Bearer ${token.get()}` } : {};
  const answer = await fetch(address(id, what), { method, headers }).catch(() => {
    throw new Refused("gone", "The server can’t be reached. Is it still running?");
  });
  if (answer.ok) return answer;
  const { error = {} } = await answer.json().catch(() => ({}));
  throw new Refused(answer.status === 401 ? "unauthorized" : error.code, error.message ?? `The server answered ${answer.status}.`);
}

export class Wire {
  /**
   * `hello()` gives the first message, anew each time the line is made. `on`: ready(message), event(message), sound(Int16Array),
   * lost(seconds until the next try, message), refused(code, message): the server said why it closes, and is not asked again.
   */
  constructor(id, hello, on) {
    Object.assign(this, { id, hello, on, tries: 0, ready: false });
    this.#open();
  }

  send(message) {
    if (this.ready) this.socket.send(JSON.stringify(message));
  }

  sendSound(pcm) {
    if (this.ready && this.socket.bufferedAmount < BEHIND_BYTES) this.socket.send(pcm);
  }

  close() {
    this.send({ type: "bye" });
    this.#drop();
    clearTimeout(this.retry);
  }

  #open() {
    const url = address(this.id, "/live");
    url.protocol = url.protocol.replace("http", "ws");
    const socket = (this.socket = new WebSocket(url));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => socket.send(JSON.stringify({ type: "hello", token: token.get(), ...this.hello() }));
    socket.onmessage = ({ data }) => this.#take(data);
    socket.onclose = () => this.#lost();
    this.#watch();
  }

  #take(data) {
    this.#watch();
    if (typeof data !== "string") return this.on.sound(new Int16Array(data));
    const message = JSON.parse(data);
    if (message.type === "ready") {
      this.ready = true;
      this.tries = 0;
      return this.on.ready(message);
    }
    if (message.type !== "error") return this.on.event(message);
    if (LATER.has(message.code)) return this.#lost(message.message);
    this.#drop();
    return this.on.refused(message.code, message.message);
  }

  #watch() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.#lost(), SILENT_S * 1000);
  }

  #lost(why = "The server can’t be reached.") {
    this.#drop();
    const waitS = Math.min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** this.tries++);
    this.retry = setTimeout(() => this.#open(), waitS * 1000);
    this.on.lost(waitS, why);
  }

  #drop() {
    clearTimeout(this.silence);
    this.ready = false;
    this.socket.onclose = this.socket.onmessage = null;
    this.socket.close();
  }
}
