// The turns as text: those that are over, and below them what is being said just now.

import { clock, number } from "./dimensions.js";
import { element } from "./element.js";

export class Transcript {
  /** `log` scrolls; `done` and `now` are the lists in it. What is being said changes often: a screen reader is told only what is done. */
  constructor(log, done, now) {
    Object.assign(this, { log, done, now, unfinished: {} });
  }

  draw(turns) {
    this.done.replaceChildren(...turns.map((turn, i) => bubble(turn, i + 1)));
    this.hush();
  }

  /** Nobody is saying anything. */
  hush() {
    this.unfinished = {};
    this.#drawNow();
  }

  add(turn, n, interrupted = false) {
    this.done.append(bubble(turn, n, interrupted));
    this.saying(turn.speaker, null);
  }

  /** What `speaker` has said so far of a turn that goes on, or that was just broken off; null: they say nothing. Both may speak at once. */
  saying(speaker, text, interrupted = false) {
    this.unfinished[speaker] = text === null ? null : { text, interrupted };
    this.#drawNow();
  }

  #drawNow() {
    const now = Object.entries(this.unfinished).filter(([, said]) => said);
    this.now.replaceChildren(...now.map(([speaker, { text, interrupted }]) => item(speaker, heading(speaker), ...words(text, interrupted))));
    this.log.scrollTop = this.log.scrollHeight;
  }
}

const item = (speaker, ...children) => element("li", { class: `turn ${speaker}` }, ...children);
const heading = (speaker, n) => element("h3", {}, `${n ? `${n} · ` : ""}${speaker === "user" ? "you" : "agent"}`);

function words(text, interrupted) {
  const said = text ? element("p", { dir: "auto" }, text) : element("p", { class: "soft" }, "No words were recognised.");
  return [said, ...(interrupted ? [element("p", { class: "soft" }, "Interrupted: the rest was not said.")] : [])];
}

function bubble(turn, n, interrupted = false) {
  return item(
    turn.speaker,
    element("header", {}, heading(turn.speaker, n), element("time", {}, clock(turn.start_s))),
    ...words(turn.text, interrupted),
    sounded(turn.features),
    turn.fault ? element("p", { class: "fault" }, `Fault: ${turn.fault}`) : null,
  );
}

function sounded(features) {
  const parts = [];
  if (features.f0_mean_st !== null) parts.push(`${number(100 * 2 ** (features.f0_mean_st / 12), 0)} Hz`);
  if (features.rate_syll_s !== null) parts.push(`${number(features.rate_syll_s, 1)} syll/s`);
  if (features.level_db !== null) parts.push(`${number(features.level_db, 1)} dB`);
  return parts.length ? element("p", { class: "soft" }, parts.join(" · ")) : null;
}
