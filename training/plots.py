"""The results page's figures, as SVG that takes the page's colours."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from entrain.report import AGENT, FAINT, INK, USER, svg
from entrain_training.calibration import Calibration
from entrain_training.findings import RunResult
from entrain_training.looks import Course
from entrain_training.predict import MAX_LAG
from entrain_training.scores import CHOICES
from entrain_training.sham import KINDS
from entrain_training.statistics import Estimate

LOOKS = ((AGENT, "o"), (USER, "s"))  # by marker too, for who can't tell the colours apart


def forest(run: RunResult, name: str) -> str:
    """Skill over each trivial predictor, in %, with intervals; for all turns and for longer ones."""
    rows = [run.find(turns=turns) for turns in CHOICES]
    names = list(rows[0].trivial)[::-1]
    columns = [[100 * row.trivial[n].skill.value for n in names] for row in rows]
    whiskers = [[_whisker(row.trivial[n].skill, 100) for n in names] for row in rows]
    return svg(partial(_forest, names, columns, whiskers, "skill, %"), (4.4, 0.4 + 0.32 * len(names)), name)


def shams(runs: Sequence[RunResult], name: str) -> str:
    """How much higher the loss is beside sham partners, in %, with intervals: all corpora together."""
    there = [run for run in runs if run.sham][::-1]
    rows = [
        {row.kind: row.more_percent for row in reversed(run.sham)} for run in there
    ]  # the first of a kind: all
    columns = [[row[kind].value for row in rows] for kind in KINDS]
    whiskers = [[_whisker(row[kind], 1) for row in rows] for kind in KINDS]
    size = 5.5, 0.8 + 0.34 * len(there)
    return svg(partial(_forest, [run.name for run in there], columns, whiskers, "higher loss, %"), size, name)


def _forest(
    names: Sequence[str], columns: Sequence[Sequence[float]], whiskers: Sequence[Sequence[tuple[float, float]]],
    label: str, figure: Any,
) -> None:  # fmt: skip
    axes, places = figure.subplots(), np.arange(len(names))
    axes.axvline(0, color=INK, linewidth=0.8)
    for (colour, marker), shift, x, reach in zip(LOOKS, (0.14, -0.14), columns, whiskers, strict=True):
        axes.errorbar(
            x,
            places + shift,
            xerr=np.transpose(reach),
            color=colour,
            marker=marker,
            markersize=4,
            linestyle="",
        )
    axes.set(yticks=places, yticklabels=names, xlabel=label, ylim=(-0.6, len(names) - 0.4))
    axes.grid(visible=False, axis="y")


def _whisker(e: Estimate, times: float) -> tuple[float, float]:
    if e.low is None or e.high is None:
        return 0.0, 0.0
    return max(0.0, times * (e.value - e.low)), max(0.0, times * (e.high - e.value))


def calibrated(rows: Sequence[Calibration], name: str) -> str:
    """Coverage against what it should be; and where in its predicted distribution each value fell."""
    return svg(partial(_calibrated, rows), (4.8, 2.3), name)


def _calibrated(rows: Sequence[Calibration], figure: Any) -> None:
    curve, tenths = figure.subplots(1, 2)
    curve.axline((0, 0), slope=1, color=FAINT, linewidth=1.2)
    for i, row in enumerate(reversed(rows)):
        level = [int(key) for key in row.coverage]
        first = i == len(rows) - 1
        curve.plot(
            level, [100 * v for v in row.coverage.values()], color=AGENT if first else FAINT,
            marker="o" if first else "", markersize=3,
        )  # fmt: skip
    curve.set(xlabel="central interval, %", ylabel="values inside, %", xlim=(0, 100), ylim=(0, 100))
    share = np.array(rows[0].histogram)
    tenths.bar((np.arange(len(share)) + 0.5) / len(share), 100 * share, 0.9 / len(share), color=AGENT)
    tenths.axhline(100 / len(share), color=INK, linewidth=0.8)
    tenths.set(xlabel="predicted distribution", ylabel="values, %", xlim=(0, 1))


def lags(attention: dict[str, Any], name: str) -> str:
    """Mean attention on one turn by how far back it is, as a multiple of an even look at all."""
    return svg(partial(_lags, attention), (4.4, 2.3), name)


def _lags(attention: dict[str, Any], figure: Any) -> None:
    axes = figure.subplots()
    for (colour, marker), whose in zip(LOOKS, ("own", "partner"), strict=True):
        known = [(lag, w) for lag, w in enumerate(attention[whose], 1) if w is not None]
        if known:
            axes.plot(*zip(*known, strict=True), color=colour, marker=marker, markersize=3.5)
    axes.set(xlabel="turns back", ylabel="× an even look", xticks=range(0, MAX_LAG + 1, 4))
    axes.axhline(1, color=INK, linewidth=0.8)
    axes.set_ylim(bottom=0)


def course(found: Course, name: str) -> str:
    """Predicted and true z, turn by turn."""
    return svg(partial(_course, found), (7.5, 2.1), name)


def _course(found: Course, figure: Any) -> None:
    axes, x, predicted = figure.subplots(), np.array(found.number), np.array(found.predicted)
    if found.half_width is not None:
        wide = np.array(found.half_width)
        axes.fill_between(x, predicted - wide, predicted + wide, color=AGENT, alpha=0.15, linewidth=0)
    axes.plot(x, found.true, color=USER, marker="s", markersize=3, linestyle="")
    axes.plot(x, predicted, color=AGENT, marker="o", markersize=2.5, linewidth=1)
    axes.set(xlabel="turn", ylabel="z")
