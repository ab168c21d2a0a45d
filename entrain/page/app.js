// The page: what a person does goes to the session, what the session tells is shown.

import { drawAttention } from "./attention.js";
import { drawCharts } from "./charts.js";
import { download, forget, namedId, newId, recall } from "./kept.js";
import { drawOutcome } from "./outcome.js";
import { Press } from "./press.js";
import { Session } from "./session.js";
import { Transcript } from "./transcript.js";
import { Waveform } from "./waveform.js";
import { token } from "./wire.js";

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

const returning = namedId() !== null;
let id = namedId() ?? newId();
let session = null;
let state = "off";
let turns = [];
let planned = null; // targets of a reply that is not said yet
let looked = null;

// --- What is shown ---------------------------------------------------------------------------------------------------

function show(newState) {
  state = newState;
  const heard = transcript.unfinished.user || press.down;
  const shown = state === "listening" && !handsFree() && !heard ? "ready" : state; // a talk rests in "listening"
  const [name, hint] = STATES[shown];
  document.body.dataset.state = shown;
  if (by("state").textContent !== name) by("state").textContent = name; // told once to a screen reader
  by("hint").textContent = heard ? "The agent hears you." : hint;
  by("press-label").textContent = label();
  by("press").setAttribute("aria-disabled", String(!canTalk() && state !== "off")); // disabled, it would lose the focus
  by("interrupt").disabled = state !== "speaking";
  by("stop").disabled = !session;
}

function label() {
  if (state === "off") return "Start";
  if (state === "connecting") return "Connecting…";
  if (state === "gone") return "Waiting…";
  if (press.down) return "Let go to send";
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
  transcript.hush();
  if (withTurns.length !== turns.length) transcript.draw(withTurns); // or a screen reader would read all of them again
  [turns, planned] = [withTurns, null];
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
    press.hold(false);
    alert(`${why} Trying again in ${waitS} s.`);
    show("gone");
  },
  refused: (code, message) => stop(code, message),
  unplugged: () => stop("", "The microphone was unplugged. Plug it in, then press Start."),
};

// --- What the person does ----------------------------------------------------------------------------------------------

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
  press.hold(false);
  session?.close();
  session = null;
  transcript.hush();
  show("off");
  complain(code, message);
}

function complain(code, message) {
  alert(message);
  if (code !== "unauthorized") return;
  by("token-form").hidden = false;
  by("token").focus();
}

const canTalk = () => session !== null && state !== "connecting" && state !== "gone";
const press = new Press(by("press"), canTalk, (down) => {
  if (down) session?.press();
  else session?.release();
  show(state);
});
by("press").addEventListener("click", () => state === "off" && start());
document.addEventListener("keydown", ({ key }) => key === "Escape" && state === "speaking" && !by("confirm").open && session.interrupt());
by("stop").addEventListener("click", () => { stop(); by("press").focus(); });
by("interrupt").addEventListener("click", () => { session?.interrupt(); by("press").focus(); });
by("hands-free").addEventListener("change", () => { session?.connect(); show(session ? "connecting" : state); });
by("own-units").addEventListener("change", draw);
by("strength").addEventListener("input", () => { showStrength(); session?.strengthen(options().strength); });
const showStrength = () => { by("strength-value").textContent = options().strength.toFixed(2); };

by("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token.set(by("token").value.trim());
  by("token-form").hidden = true;
  alert("");
  resume();
});

// --- What is kept ------------------------------------------------------------------------------------------------------

async function attempt(action) {
  try {
    alert("");
    await action();
  } catch (error) {
    complain(error.code, error.message);
  }
}

const resume = () => attempt(async () => {
  const kept = await recall(id);
  looked = kept.looked;
  begin(kept.turns);
});

by("report").addEventListener("click", () => attempt(() => download(id, "/report", "entrain-report.html")));
by("history").addEventListener("click", () => attempt(() => download(id, "", "entrain-history.json")));
by("delete").addEventListener("click", () => {
  by("confirm").returnValue = ""; // the last answer would stand when this one is escaped from
  by("confirm").showModal();
});
by("confirm").addEventListener("close", () => by("confirm").returnValue === "delete" && attempt(async () => {
  if (session) stop();
  await forget(id);
  id = newId();
  looked = null;
  begin([]);
  by("press").focus();
  notice("Your data is deleted. A new conversation can begin.");
}));
window.addEventListener("hashchange", () => location.reload());

show("off");
showStrength(); // a browser may keep what was chosen before a reload
draw();
if (returning) resume();
