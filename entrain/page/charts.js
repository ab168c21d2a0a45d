// Each dimension over the turns: you ●, the agent ■, what the agent aimed at ◇ (in own units: a target has no z).

import { DIMENSIONS, number, zOf } from "./dimensions.js";
import { drawn, element } from "./element.js";

const WIDTH = 400, HEIGHT = 200, LEFT = 44, RIGHT = 10, TOP = 10, BOTTOM = 34;

export function drawCharts(place, turns, ownUnits) {
  place.replaceChildren(...DIMENSIONS.map((dimension) => figure(dimension, turns, ownUnits)));
}

function figure(dimension, turns, ownUnits) {
  const unit = ownUnits ? dimension.unit : "z";
  const measured = (turn) => (ownUnits ? turn.features[dimension.feature] : zOf(turn, dimension)) ?? null;
  const points = turns.map((turn, i) => ({ n: i + 1, speaker: turn.speaker, value: measured(turn), aim: aimed(turn, dimension, ownUnits) }));
  const caption = element("figcaption", {}, `${dimension.label} `, element("span", { class: "soft" }, unit));
  return element("figure", {}, caption, element("div", { role: "img", "aria-label": told(dimension, points, unit) }, course(points, ownUnits)));
}

function aimed(turn, dimension, ownUnits) {
  return (ownUnits && turn.plan?.[dimension.weight] && turn.plan[dimension.feature]) || null;
}

function told(dimension, points, unit) {
  const last = (speaker) => points.filter((p) => p.speaker === speaker && p.value !== null).at(-1);
  const parts = [["you", last("user")], ["the agent", last("agent")]].filter(([, p]) => p);
  const ends = parts.map(([who, p]) => `${who} last at ${number(p.value, 1, unit === "z")} ${unit} in turn ${p.n}`);
  return `${dimension.label} over turns; ${ends.join(", ") || "nothing measured yet"}.`;
}

function course(points, ownUnits) {
  const values = points.flatMap((p) => [p.value, p.aim]).filter((v) => v !== null);
  const ticks = steps(values, ownUnits);
  const [low, high] = [ticks[0], ticks.at(-1)];
  const x = (n) => LEFT + ((n - 0.5) / Math.max(points.length, 4)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => TOP + ((high - value) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const size = 4 * Math.min(1, Math.sqrt(60 / Math.max(points.length, 1))); // many turns need finer marks
  return drawn(
    "svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" },
    ...ticks.flatMap((tick) => gridLine(tick, y(tick), ticks[1] - ticks[0], ownUnits)),
    ...turnNumbers(points.length).map((n) => drawn("text", { x: x(n), y: HEIGHT - BOTTOM + 14, "text-anchor": "middle" }, String(n))),
    drawn("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 4, "text-anchor": "middle" }, "turn"),
    ...["user", "agent"].map((who) => voice(points, who, x, y, size)),
  );
}

function gridLine(tick, at, step, ownUnits) {
  const line = drawn("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: at, y2: at, class: tick === 0 && !ownUnits ? "zero" : "grid-line" });
  return [line, drawn("text", { x: LEFT - 6, y: at + 4, "text-anchor": "end" }, number(tick, step < 1 ? 1 : 0))];
}

function voice(points, who, x, y, size) {
  const mine = points.filter((p) => p.speaker === who);
  const mark = (p) => (who === "user"
    ? drawn("circle", { class: "mark", cx: x(p.n), cy: y(p.value), r: size })
    : drawn("rect", { class: "mark", x: x(p.n) - size * 0.9, y: y(p.value) - size * 0.9, width: size * 1.8, height: size * 1.8 }));
  const aim = (p) => {
    const [h, v, r] = [x(p.n), y(p.aim), size * 1.7];
    return drawn("path", { class: "aim", d: `M${h} ${v - r}L${h + r} ${v}L${h} ${v + r}L${h - r} ${v}Z` });
  };
  return drawn(
    "g", { class: who },
    ...runs(mine).map((run) => drawn("polyline", { class: "line", points: run.map((p) => `${x(p.n)},${y(p.value)}`).join(" ") })),
    ...mine.filter((p) => p.aim !== null).map(aim),
    ...mine.filter((p) => p.value !== null).map(mark),
  );
}

/** Neighbours that were measured; a turn that could not be leaves a gap. */
function runs(points) {
  const found = [[]];
  for (const point of points) point.value === null ? found.push([]) : found.at(-1).push(point);
  return found.filter((run) => run.length > 1);
}

/** Three to six round values around all of `values`; z always shows −1 to 1. */
function steps(values, ownUnits) {
  let low = Math.min(...values, ...(ownUnits ? [] : [-1]));
  let high = Math.max(...values, ...(ownUnits ? [] : [1]));
  if (!Number.isFinite(low)) [low, high] = [0, 1];
  const step = [0.5, 1, 2, 5, 10, 20, 50].find((s) => (high - low) / s <= 4) ?? 100;
  const first = Math.floor(low / step), last = Math.max(Math.ceil(high / step), first + 2);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

function turnNumbers(n) {
  const step = Math.ceil(n / 10) || 1;
  return Array.from({ length: Math.floor(n / step) }, (_, i) => (i + 1) * step);
}
