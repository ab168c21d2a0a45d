"""`entrain evaluate emotion`: a section of tables, of folds that are run now or of models that are there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from entrain.emotion import Judge, load_emotion
from entrain_training.clips import LeftOut
from entrain_training.emotion import shown
from entrain_training.emotion.folds import RANDOM, WARNING
from entrain_training.emotion.judged import Judged, judge
from entrain_training.emotion.measured import Measured, Say, twins
from entrain_training.emotion.protocol import run, slug
from entrain_training.emotion.results import numbers_of
from entrain_training.emotion.study import EmotionStudy
from entrain_training.run import read
from entrain_training.schedule import TrainingError
from entrain_training.sections import Grid, Section


def of_folds(
    measured: Measured, told: str, settings: EmotionStudy, out: Path, left_out: LeftOut, orders: int, sentences_apart: bool, say: Say
) -> Section:  # fmt: skip
    """Train and test, fold by fold."""
    name = f"{settings.model}, {settings.normalise}"
    folder = out / "-".join(
        [slug(Path(told).stem), *(["sentences-apart"] if sentences_apart else []), slug(name)]
    )
    judged = run(measured, told, settings, folder, left_out, orders, sentences_apart, say=say)
    note = (
        f"Folds {told}, seed {settings.seed}, {orders} random orders of each speaker's turns; in brackets what holds 95 % of 2,000 draws of "
        f"speakers. {WARNING if told == RANDOM else 'No speaker of a test fold was heard in training.'}"
    )
    return _section({name: judged}, measured, note, left_out)


def of_models(
    measured: Measured, runs: Sequence[Path], left_out: LeftOut, orders: int, seed: int, say: Say
) -> Section:
    """Models trained before, each on all recordings whose speakers it does not know and whose emotions it does."""
    found: dict[str, Judged] = {}
    for path in runs:
        say(f"{path}")
        model = cast("Judge", load_emotion(path))
        rows = _strange(measured, path, model.labels, left_out)
        found[str(path)] = judge(model, measured.part(rows), orders, seed)
    note = (
        f"Seed {seed}, {orders} random orders of each speaker's turns; in brackets what holds 95 % of 2,000 draws of speakers. Nobody was "
        "heard in the training of the model."
    )
    return _section(found, measured, note, left_out)


def _strange(measured: Measured, path: Path, labels: Sequence[str], left_out: LeftOut) -> list[int]:
    known = {speaker for file in path.rglob("settings.json") for speaker in read(file)["about"]["speakers"]}
    rows: list[int] = []
    for i, item in enumerate(measured.items):
        if item.speaker in known:
            left_out.add(item.path, f"its speaker was heard in the training of {path}")
        elif item.emotion not in labels:
            left_out.add(item.path, f"{item.emotion} is not known to {path}")
        else:
            rows.append(i)
    if not rows:
        raise TrainingError(
            f"{path} can't be tested on these recordings: it was trained with their speakers, or knows other emotions ({', '.join(labels)})."
        )
    return rows


def _section(found: dict[str, Judged], measured: Measured, note: str, left_out: LeftOut) -> Section:
    grids = [Grid(title="All", head=shown.HEAD, rows=tuple(shown.row(name, j) for name, j in found.items()))]
    figures = []
    for number, (name, judged) in enumerate(found.items()):
        grids += [
            shown.by_known(f"By what was heard of a speaker: {name}", judged),
            shown.per_speaker(f"Each speaker: {name}", judged),
            shown.confusion_grid(f"Who was taken for whom: {name}", judged),
        ]
        figures.append(shown.confusion_plot(f"emotion-{number}", f"Confusion: {name}", judged))
    told = [f"{b.name} is byte for byte {a.name}: never on two sides" for a, b in twins(measured)]
    return Section(
        name="emotion", title="Emotion", note=note, grids=tuple(grids), figures=tuple(figures), left_out=(*left_out.told(), *told),
        data={"rows": {name: numbers_of(judged) for name, judged in found.items()}, "chance": float(1 / len(np.unique(measured.emotions)))},
    )  # fmt: skip
