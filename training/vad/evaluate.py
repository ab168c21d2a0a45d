"""How well detectors hear: on labelled meetings, in noise alone, at each noise level; side by side, in one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from entrain.report import AGENT, FAINT, INK, USER, svg
from entrain_training.augment import Samples, room_responses
from entrain_training.clips import LeftOut
from entrain_training.sections import Figure, Grid, Section
from entrain_training.statistics import Estimate
from entrain_training.vad.labels import FRAME, Labels
from entrain_training.vad.measures import Heard, Measures, measure
from entrain_training.vad.meetings import Meeting
from entrain_training.vad.mixes import Mixes
from entrain_training.vad.rivals import Listener
from entrain_training.vad.voices import noises, voices

LEVELS_DB = (-5.0, 0.0, 5.0, 10.0, 20.0, None)  # None: no noise but a hiss
SCENE_FRAMES = 1_000
TIMED_S = 20
SEED = 2


class Tests(NamedTuple):
    """What no detector here has heard."""

    meetings: Sequence[Meeting]
    noise: Sequence[Samples]
    """Without speech."""
    scenes: dict[str, list[tuple[Samples, Labels]]]
    """Noise level → scenes at it: the same talk at each."""


def tests(
    meetings: Sequence[Meeting], noise: Path, speech: Sequence[Path], left_out: LeftOut, n_scenes: int
) -> Tests:  # fmt: skip
    """From the test part of the noise and of the speech (without speech: no scenes)."""
    found = noises(noise, "test", left_out)
    scenes: dict[str, list[tuple[Samples, Labels]]] = {}
    if speech:
        mixes = Mixes(voices(speech, "test", left_out), found, room_responses(16, seed=2))
        for level_db in LEVELS_DB:
            rng = np.random.default_rng(SEED)
            children = rng.spawn(n_scenes)
            drawn = [mixes.scene(SCENE_FRAMES, child, level_db, silent=False) for child in children]
            scenes[told_level(level_db)] = [(e.samples, e.labels) for e in drawn]
    return Tests(meetings, found, scenes)


def told_level(level_db: float | None) -> str:
    return "clean" if level_db is None else f"{level_db:.0f} dB"


class Judged(NamedTuple):
    """What was found of one detector."""

    listener: Listener
    meetings: Measures | None
    noise: Measures
    levels: dict[str, Measures]
    real_time_factor: float | None


def judge(listener: Listener, tests: Tests) -> Judged:
    def heard(clips: Sequence[tuple[str, Samples, Labels]]) -> Measures:
        found = []
        for turn, (name, samples, labels) in enumerate(clips):
            scores = listener.hear(name, samples, turn)
            n = min(len(scores), len(labels))
            found.append(Heard(scores[:n], labels[:n]))
        return measure(found, listener.step_s)

    silent = [("", samples, np.zeros(len(samples) // FRAME, bool)) for samples in tests.noise]
    timed = np.concatenate([samples for _, samples, _ in silent])[: TIMED_S * 16_000]
    return Judged(
        listener,
        heard([(m.name, m.samples, m.labels) for m in tests.meetings]) if tests.meetings else None,
        heard(silent),
        {name: heard([("", *scene) for scene in scenes]) for name, scenes in tests.scenes.items()},
        listener.real_time_factor(timed),
    )


def evaluate(
    listeners: Sequence[Listener], tests: Tests, left_out: Sequence[str], note: str, say: Callable[[str], None]
) -> Section:  # fmt: skip
    """The section of the page. `note`: the command, and what the detectors learnt from."""
    judged: list[Judged] = []
    for listener in listeners:
        say(f"{listener.name} listens")
        judged.append(judge(listener, tests))
    seconds = sum(len(m.labels) for m in tests.meetings) / 100
    about = (
        f"{len(tests.meetings)} meetings ({seconds:.0f} s), {len(tests.noise)} recordings of noise alone"
        + (f", {len(next(iter(tests.scenes.values())))} scenes at each noise level (seed {SEED})" if tests.scenes else "")
        + ", every 10 ms, threshold .5. Intervals: 95 %, bootstrap over recordings. Start and end: median, 90th percentile. "
        "Real-time factor: 20 ms chunks, one thread, the fastest of three passes."
    )  # fmt: skip
    return Section(
        name="vad", title="Voice activity", note=f"{note} {about}", grids=tuple(grids(judged)),
        figures=tuple(figures(judged)), left_out=tuple(left_out), data={j.listener.name: told(j) for j in judged},
    )  # fmt: skip


def told(judged: Judged) -> dict[str, Any]:
    return {
        "meetings": judged.meetings.model_dump() if judged.meetings else None,
        "noise": judged.noise.model_dump(),
        "levels": {name: m.model_dump(exclude={"roc"}) for name, m in judged.levels.items()},
        "real_time_factor": judged.real_time_factor,
        "parameters": judged.listener.parameters,
    }


# --- tables and plots -----------------------------------------------------------------------------------------------


def grids(judged: Sequence[Judged]) -> list[Grid]:
    found = [
        Grid(
            title="In noise alone, and what it costs",
            head=("detector", "taken for speech", "real-time factor", "parameters"),
            rows=tuple(
                (
                    j.listener.name, interval(j.noise.false_alarm, "{:.3f}"), number(j.real_time_factor, "{:.4f}"),
                    f"{j.listener.parameters:,}" if j.listener.parameters else "–",
                )
                for j in judged
            ),
        )
    ]  # fmt: skip
    with_meetings = [(j.listener.name, j.meetings) for j in judged if j.meetings]
    if with_meetings:
        found.insert(0, frames("Meetings", with_meetings))
    levels = list(judged[0].levels)
    if levels:
        for title, of in (("AUC", "auc"), ("Accuracy at .5", "accuracy")):
            cells = [
                (
                    j.listener.name,
                    *(interval(getattr(m, of), "{:.3f}", brief=True) for m in j.levels.values()),
                )
                for j in judged
            ]
            found.append(Grid(title=f"{title} by noise level", head=("detector", *levels), rows=tuple(cells)))
        found.append(
            frames("Scenes at 10 dB", [(j.listener.name, j.levels[told_level(10.0)]) for j in judged])
        )
    return found


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
    curves = {j.listener.name: j.meetings.roc for j in judged if j.meetings and j.meetings.roc}
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
