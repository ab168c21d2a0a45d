// Where the model looked for the last reply: a bar for each turn before it and for each of its words.

import { element } from "./element.js";

const AT_MOST = 12; // turns, those that count most

/** `looked`: {turns: [weight, …] of the turns before the reply, words: [[word, weight], …]}, or null. */
export function drawAttention(place, looked, turns) {
  if (!looked) return place.replaceChildren(element("p", { class: "soft" }, "Nothing yet: only the neural strategy tells where it looks."));
  const first = Math.max(0, turns.findLastIndex((turn) => turn.speaker === "agent") - looked.turns.length); // of a long talk, only the end
  const overTurns = mostLooked(looked.turns).map(([i, weight]) => bar(`${first + i + 1} · ${name(turns[first + i])}`, weight, turns[first + i]?.speaker));
  const rest = 1 - looked.turns.reduce((sum, weight) => sum + weight, 0);
  if (rest > 0.005) overTurns.push(bar("no turn", rest, "soft"));
  const overWords = looked.words.map(([word, weight]) => bar(word, weight, "agent"));
  place.replaceChildren(
    element("h3", {}, "Turns before it"),
    element("ol", { class: "bars" }, ...overTurns),
    element("h3", {}, "Its words"),
    overWords.length ? element("ol", { class: "bars" }, ...overWords) : element("p", { class: "soft" }, "The model knows none of them."),
  );
}

const name = (turn) => (turn?.speaker === "user" ? "you" : "agent");

/** The turns that count most, in the order of the talk: [place, weight]. */
function mostLooked(weights) {
  return weights.map((weight, i) => [i, weight]).sort((a, b) => b[1] - a[1]).slice(0, AT_MOST).sort((a, b) => a[0] - b[0]);
}

function bar(text, weight, speaker = "agent") {
  const share = `${Math.round(100 * weight)}%`;
  const column = element("div", { class: "bar" });
  column.style.setProperty("--weight", share); // by CSSOM, as the page's policy allows no style attributes
  return element("li", { class: speaker }, column, element("span", {}, text), element("span", { class: "share" }, share));
}
