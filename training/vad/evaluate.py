"""How well detectors hear: on labelled meetings, in noise alone, at each noise level; side by side, in one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from entrain_training.augment import Samples, room_responses
from entrain_training.clips import LeftOut
from entrain_training.sections import Section
from entrain_training.vad.labels import FRAME, Labels
from entrain_training.vad.measures import Heard, Measures, measure
from entrain_training.vad.meetings import Meeting
from entrain_training.vad.mixes import Mixes
from entrain_training.vad.rivals import Listener
from entrain_training.vad.tables import Judged, figures, grids, level
from entrain_training.vad.voices import noises, voices

LEVELS_DB = (-5.0, 0.0, 5.0, 10.0, 20.0, None)  # None: no noise but a hiss
SCENE_FRAMES = 1_000
TIMED_S = 10
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
            scenes[level(level_db)] = [(e.samples, e.labels) for e in drawn]
    return Tests(meetings, found, scenes)


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
        name=listener.name,
        meetings=heard([(m.name, m.samples, m.labels) for m in tests.meetings]) if tests.meetings else None,
        noise=heard(silent),
        levels={name: heard([("", *scene) for scene in scenes]) for name, scenes in tests.scenes.items()},
        real_time_factor=listener.real_time_factor(timed),
        parameters=listener.parameters,
    )


def evaluate(
    listeners: Sequence[Listener], tests: Tests, left_out: Sequence[str], note: str, say: Callable[[str], None]
) -> Section:  # fmt: skip
    """The section of the page. `note`: the command, and what the detectors learnt from."""
    judged: list[Judged] = []
    for listener in listeners:
        say(f"{listener.name} listens")
        judged.append(judge(listener, tests))
    whole = {"name": True, "levels": {"__all__": {"roc"}}}  # curves of meetings and of noise only
    return Section(
        name="vad", title="Voice activity", note=f"{note} {how(tests)}", grids=tuple(grids(judged)),
        figures=tuple(figures(judged)), left_out=tuple(left_out), data={j.name: j.model_dump(exclude=whole) for j in judged},
    )  # fmt: skip


def how(tests: Tests) -> str:
    """For the section's note."""
    seconds = sum(len(m.labels) for m in tests.meetings) / 100
    n_scenes = max(map(len, tests.scenes.values()), default=0)
    return (
        f"{len(tests.meetings)} meetings ({seconds:.0f} s), {len(tests.noise)} recordings of noise alone, {n_scenes} scenes at each "
        f"noise level (seed {SEED}); every 10 ms, threshold .5. Labels run through pauses under .5 s. Intervals: 95 %, "
        "bootstrap over recordings. Start and end: median, 90th percentile. Real-time factor: 20 ms chunks, one thread, each chunk's fastest of five passes."
    )
