// What each reply aimed at, beside what came out.

import { DIMENSIONS, number } from "./dimensions.js";
import { element } from "./element.js";

/** `planned`: the targets of a reply that is still to be said, if there is one; its outcome is shown as …. */
export function drawOutcome(table, turns, planned) {
  const rows = turns.map((turn, i) => [i + 1, turn.plan, turn.realised]).filter(([, plan]) => plan);
  if (planned) rows.push([turns.length + 1, planned, null]);
  const none = element("tr", {}, element("td", { class: "none", colspan: 1 + 4 * DIMENSIONS.length }, "No reply was planned yet."));
  table.replaceChildren(head(), element("tbody", {}, ...(rows.length ? rows.map(row) : [none])));
}

function head() {
  const over = DIMENSIONS.map((d) => element("th", { scope: "colgroup", colspan: 4, class: "first" }, d.label, element("span", { class: "unit" }, d.unit)));
  const under = DIMENSIONS.flatMap((d) => [
    element("th", { scope: "col", class: "first" }, d.changeUnit === "×" ? "asked" : `asked, ${d.changeUnit}`),
    ...["target", "came out", "weight"].map((name) => element("th", { scope: "col" }, name)),
  ]);
  return element("thead", {}, element("tr", {}, element("th", { scope: "col", rowspan: 2 }, "Turn"), ...over), element("tr", {}, ...under));
}

function row([n, plan, realised]) {
  const cells = DIMENSIONS.flatMap((d) => [
    cell(asked(plan[d.change], d), "first"),
    cell(number(plan[d.feature])),
    cell(realised ? number(realised[d.feature]) : "…"),
    cell(number(plan[d.weight])),
  ]);
  return element("tr", {}, element("th", { scope: "row" }, String(n)), ...cells);
}

function asked(value, dimension) {
  const factor = dimension.changeUnit === "×";
  return value === null || value === undefined ? "–" : `${factor ? "×" : ""}${number(value, 2, !factor)}`;
}

const cell = (text, kind = "") => element("td", { class: `${kind} ${text === "–" ? "none" : ""}`.trim() || null }, text);
