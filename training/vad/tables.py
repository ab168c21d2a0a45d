"""The tables and the plot of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import cycle
from typing import Any

from entrain.report import AGENT, FAINT, INK, USER, svg
from entrain.turn import Finite, Record
from entrain_training.sections import Figure, Grid
from entrain_training.statistics import Estimate
from entrain_training.vad.measures import Measures


class Judged(Record):
    """What was found of one detector."""

    name: str
    meetings: Measures | None
    """None where no meeting was left for the test."""
    noise: Measures
    levels: dict[str, Measures]
    """Noise level → scenes at it."""
    real_time_factor: Finite | None
    """None where it can't stream."""
    parameters: int | None


def level(db: float | None) -> str:
    return "clean" if db is None else f"{db:.0f} dB"


def grids(judged: Sequence[Judged]) -> list[Grid]:
    meetings = [(j.name, j.meetings) for j in judged if j.meetings]
    found = [frames("Meetings", meetings)] if meetings else []
    found.append(costs(judged))
    if judged[0].levels:
        found += [by_level("AUC", "auc", judged), by_level("Accuracy at .5", "accuracy", judged)]
        found.append(frames("Scenes at 10 dB", [(j.name, j.levels[level(10.0)]) for j in judged]))
    return found


def costs(judged: Sequence[Judged]) -> Grid:
    rows = (
        (
            j.name, interval(j.noise.false_alarm, "{:.3f}"), number(j.real_time_factor, "{:.4f}"),
            f"{j.parameters:,}" if j.parameters else "–",
        )
        for j in judged
    )  # fmt: skip
    head = ("detector", "taken for speech", "real-time factor", "parameters")
    return Grid(title="In noise alone, and what it costs", head=head, rows=tuple(rows))


def by_level(title: str, of: str, judged: Sequence[Judged]) -> Grid:
    rows = (
        (j.name, *(interval(getattr(m, of), "{:.3f}", brief=True) for m in j.levels.values())) for j in judged
    )
    return Grid(title=f"{title} by noise level", head=("detector", *judged[0].levels), rows=tuple(rows))


def frames(title: str, rows: Sequence[tuple[str, Measures]]) -> Grid:
    return Grid(
        title=title,
        head=("detector", "AUC", "accuracy", "miss", "false alarm", "found at 5 % false alarms", "start, s", "end, s"),
        rows=tuple(
            (
                name, interval(m.auc, "{:.3f}"), interval(m.accuracy, "{:.3f}"), interval(m.miss, "{:.3f}", brief=True),
                interval(m.false_alarm, "{:.3f}", brief=True), number(m.true_at_5, "{:.3f}"), pair(m.start_s), pair(m.end_s),
            )
            for name, m in rows
        ),
    )  # fmt: skip


def interval(e: Estimate | None, form: str, brief: bool = False) -> str:
    if e is None:
        return "–"
    if brief or e.low is None:
        return form.format(e.value)
    return f"{form.format(e.value)} [{form.format(e.low)}, {form.format(e.high)}]"


def number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def pair(values: tuple[float, float] | None) -> str:
    return "–" if values is None else f"{values[0]:.2f}, {values[1]:.2f}"


def figures(judged: Sequence[Judged]) -> list[Figure]:
    curves = {j.name: j.meetings.roc for j in judged if j.meetings and j.meetings.roc}
    if not curves:
        return []
    found = svg(partial(_roc, curves), (5.0, 3.6), "vad-roc")
    alt = "For each detector: what share of speech is found at each share of false alarms."
    return [Figure(title="Meetings: found against false alarms", svg=found, alt=alt)]


def _roc(curves: dict[str, Sequence[tuple[float, float]]], figure: Any) -> None:
    axes = figure.subplots()
    looks = cycle([(colour, line) for line in ("-", "--", ":", "-.") for colour in (AGENT, USER, INK, FAINT)])
    for (name, points), (colour, line) in zip(curves.items(), looks, strict=False):
        axes.plot(*zip(*points, strict=True), color=colour, linestyle=line, linewidth=1.2, label=name)
    axes.set(xlabel="false alarms", ylabel="speech found", xlim=(0, 0.5), ylim=(0.4, 1))
    axes.legend(fontsize=7, loc="lower right")
