// The page: what a person does goes to the session, what the session tells is shown.

import { drawAttention } from "./attention.js";
import { drawCharts } from "./charts.js";
import { drawOutcome } from "./outcome.js";
import { Session } from "./session.js";
import { Transcript } from "./transcript.js";
import { Waveform } from "./waveform.js";
import { ask, token } from "./wire.js";

const by = (id) => document.getElementById(id);
const transcript = new Transcript(by("log"), by("turns"), by("now"));
const waveform = new Waveform(by("waveform"));

const STATES = {
  off: ["Not started", "Start asks for the microphone and connects to the server."],
  connecting: ["Connecting", "One moment."],
  gone: ["Server gone", "Nothing is lost: the talk goes on when it is back."],
  idle: ["Idle", "Say the wake word."],
  woken: ["Woken", "Go on, the agent listens."],
  listening: ["Listening", "Just speak."],
  ready: ["Ready", "Hold the button or the space bar while you speak; otherwise no sound of you is sent."],
  thinking: ["Thinking", "The agent looks for its words."],
  speaking: ["Speaking", "You may interrupt at any time."],
};

const returning = location.hash.length > 1;
let id = conversationId();
let session = null;
let state = "off";
let turns = [];
let planned = null; // targets of a reply that is not said yet
let looked = null;

// --- What is shown ---------------------------------------------------------------------------------------------------

function show(newState) {
  state = newState;
  const heard = transcript.unfinished.user || held();
  const shown = state === "listening" && !handsFree() && !heard ? "ready" : state; // a talk rests in "listening"
  const [name, hint] = STATES[shown];
  document.body.dataset.state = shown;
  if (by("state").textContent !== name) by("state").textContent = name; // told once to a screen reader
  by("hint").textContent = heard ? "The agent hears you." : hint;
  by("press-label").textContent = label();
  by("press").disabled = state === "connecting" || state === "gone";
  by("interrupt").disabled = state !== "speaking";
  by("stop").disabled = !session;
}

function label() {
  if (state === "off") return "Start";
  if (state === "connecting") return "Connecting…";
  if (state === "gone") return "Waiting…";
  if (held()) return "Let go to send";
  return handsFree() ? "Just speak" : "Hold to talk";
}

function draw() {
  const ownUnits = by("own-units").checked;
  document.querySelector(".own-only").hidden = !ownUnits;
  by("units-note").textContent = ownUnits
    ? "A gap is a turn that could not be measured. The microphone’s gain is in the level: compare speakers by z."
    : "As z: relative to what was known of each speaker at the time. A gap is a turn that could not be measured.";
  drawCharts(by("charts"), turns, ownUnits);
  drawOutcome(by("outcome"), turns, planned);
  drawAttention(by("attention"), looked, turns);
  for (const kept of ["report", "history", "delete"]) by(kept).disabled = !turns.length;
}

function begin(withTurns) {
  [turns, planned] = [withTurns, null];
  transcript.draw(turns);
  draw();
}

function add(turn, interrupted) {
  turns.push(turn);
  transcript.add(turn, turns.length, interrupted);
  draw();
}

const alert = (text) => { by("alert").textContent = text; };
const notice = (text) => { by("notice").textContent = text; };

// --- What the server tells ---------------------------------------------------------------------------------------------

// The server is up to .3 s ahead of the loudspeaker. Who begins to speak makes it silent at once; whether for good is known later.
const PLAY = { speaking: "release", thinking: "flush" };

const events = {
  state: (event) => {
    if (PLAY[event.state]) session.play(PLAY[event.state]);
    show(event.state);
  },
  wake: ({ word }) => notice(`Woken by “${word}”.`),
  start: () => { session.play("hold"); notice(""); transcript.saying("user", "…"); show(state); },
  partial: ({ text }) => transcript.saying("user", text || "…"),
  heard: ({ turn }) => { add(turn); show(state); },
  plan: ({ targets }) => { planned = targets; transcript.saying("agent", null); draw(); },
  saying: ({ text }) => transcript.saying("agent", [transcript.unfinished.agent?.text, text].filter(Boolean).join(" ")),
  interrupted({ said }) {
    session.play("flush");
    transcript.saying("agent", said || null, true);
    if (said) return; // it will be measured, and told as "said"
    planned = null;
    draw();
  },
  said: ({ turn, interrupted }) => { planned = null; add(turn, interrupted); },
  looked: (event) => { looked = event; draw(); },
  noise: () => { session.play("release"); notice("That was a sound without words."); transcript.saying("user", null); show(state); },
  fault: ({ message }) => notice(message),
};

const on = {
  ready(message) {
    alert("");
    begin(message.turns);
    show(message.state ?? "listening");
  },
  event: (event) => events[event.type]?.(event),
  peak: (speaker, amplitude) => waveform.push(speaker, amplitude),
  lost(waitS, why) {
    hold(false);
    alert(`${why} Trying again in ${waitS} s.`);
    show("gone");
  },
  refused: (code, message) => stop(code, message),
  unplugged: () => stop("", "The microphone was unplugged. Plug it in, then press Start."),
};

// --- What the person does ----------------------------------------------------------------------------------------------

const held = () => by("press").getAttribute("aria-pressed") === "true";
const handsFree = () => by("hands-free").checked;
const options = () => ({ strength: Number(by("strength").value), hands_free: handsFree() });

async function start() {
  alert("");
  show("connecting");
  try {
    session = await Session.open(id, options, on);
    show(state); // there is something to stop now
  } catch (error) {
    stop("", error.message);
  }
}

function stop(code = "", message = "") {
  hold(false);
  session?.close();
  session = null;
  transcript.draw(turns);
  show("off");
  complain(code, message);
}

function complain(code, message) {
  alert(message);
  if (code !== "unauthorized") return;
  by("token-form").hidden = false;
  by("token").focus();
}

/** The button or the space bar goes down or up. */
function hold(down) {
  if (!session || held() === down) return;
  by("press").setAttribute("aria-pressed", String(down));
  if (down) session.press();
  else session.release();
  show(state);
}

const press = by("press");
const canTalk = () => session && !press.disabled;
press.addEventListener("click", (event) => {
  if (state === "off") start();
  else if (event.detail === 0 && canTalk()) hold(!held()); // assistive technology can't hold
});
press.addEventListener("pointerdown", (event) => {
  if (!canTalk() || event.button) return;
  press.setPointerCapture(event.pointerId); // letting go beside the button counts
  hold(true);
});
for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) press.addEventListener(end, () => hold(false));
press.addEventListener("contextmenu", (event) => event.preventDefault()); // a long press on a phone
window.addEventListener("blur", () => hold(false));

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && state === "speaking") session.interrupt();
  if (event.code !== "Space" || !canTalk() || usesSpace(event.target)) return;
  event.preventDefault(); // no scrolling, no click
  if (!event.repeat) hold(true);
});
document.addEventListener("keyup", (event) => {
  if (event.code !== "Space" || !canTalk() || usesSpace(event.target)) return;
  event.preventDefault();
  hold(false);
});
const usesSpace = (target) => target !== press && target.closest("button, input, dialog") !== null;

by("stop").addEventListener("click", () => stop());
by("interrupt").addEventListener("click", () => session?.interrupt());
by("hands-free").addEventListener("change", () => { session?.connect(); show(session ? "connecting" : state); });
by("own-units").addEventListener("change", draw);
by("strength").addEventListener("input", () => {
  by("strength-value").textContent = Number(by("strength").value).toFixed(2);
  session?.strengthen(Number(by("strength").value));
});

by("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token.set(by("token").value.trim());
  by("token-form").hidden = true;
  alert("");
  resume();
});

// --- What is kept ------------------------------------------------------------------------------------------------------

/** Of the address, so that a reload goes on with it; else a new one that nobody can guess. */
function conversationId() {
  const named = location.hash.slice(1);
  if (named) return decodeURIComponent(named);
  const random = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  history.replaceState(null, "", `#${random}`);
  return random;
}

/** `harmless`: codes of errors that nobody need know. */
async function attempt(action, harmless = []) {
  try {
    alert("");
    await action();
  } catch (error) {
    if (!harmless.includes(error.code)) complain(error.code, error.message);
  }
}

/** Show what was said before. */
const resume = () => attempt(async () => {
  const kept = await (await ask("GET", id, "?looked=true")).json();
  looked = Object.values(kept.looked ?? {}).at(-1) ?? null; // by place, in order
  begin(kept.turns);
}, ["no_conversation"]);

const download = (what, name) => attempt(async () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await (await ask("GET", id, what)).blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
});

by("report").addEventListener("click", () => download("/report", "entrain-report.html"));
by("history").addEventListener("click", () => download("", "entrain-history.json"));
by("delete").addEventListener("click", () => by("confirm").showModal());
by("confirm").addEventListener("close", () => {
  if (by("confirm").returnValue !== "delete") return;
  attempt(async () => {
    if (session) stop();
    await ask("DELETE", id);
    history.replaceState(null, "", " "); // without the old name
    id = conversationId();
    looked = null;
    begin([]);
    notice("Your data is deleted. A new conversation can begin.");
  });
});
window.addEventListener("hashchange", () => location.reload());

show("off");
draw();
if (returning) resume();
