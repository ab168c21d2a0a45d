"""Folds run from end to end: train where it is not yet done, test, and keep what was judged."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
from rich.console import Console

from entrain.emotion import Judge, load_emotion
from entrain_training.clips import LeftOut
from entrain_training.emotion import svm
from entrain_training.emotion.folds import Split, splits
from entrain_training.emotion.judged import ORDERS, Judged, joined, judge
from entrain_training.emotion.measured import Measured, Say
from entrain_training.emotion.online import heard
from entrain_training.emotion.study import EmotionStudy
from entrain_training.emotion.train import mean_of, train
from entrain_training.schedule import TrainingError


def run(
    measured: Measured, told: str, settings: EmotionStudy, out: Path, left_out: LeftOut, orders: int = ORDERS,
    sentences_apart: bool = False, console: Console | None = None, say: Say = lambda _: None,
) -> Judged:  # fmt: skip
    """All folds of `told` that can be run, one after the other, each trained in a folder below `out`; those that are trained already
    are not trained again, and one that was stopped goes on."""
    found = splits(told, measured, left_out, sentences_apart, settings.seed)
    return joined(list(_each(measured, found, settings, out, orders, console, say)))


def _each(
    measured: Measured, found: list[Split], settings: EmotionStudy, out: Path, orders: int, console: Console | None, say: Say
) -> Iterator[Judged]:  # fmt: skip
    for number, split in enumerate(found):
        say(f"{out.name}: fold {split.name} ({number + 1} of {len(found)})")
        taught, tested = measured.part(split.train), measured.part(split.test)
        if settings.normalise == "whole":
            yield _whole(taught, tested, settings, say)
            continue
        folder = out / slug(split.name)
        model = trained(taught, folder, settings, console, say)
        yield judge(model, tested, orders if settings.normalise == "online" else 1, settings.seed)


def slug(name: str) -> str:
    """As a folder's name."""
    return "-".join(re.findall(r"\w+", name))


def averaged(
    measured: Measured, told: str, out: Path, members: Sequence[Path], left_out: LeftOut, seed: int
) -> Judged:
    """The means of models that `run` has trained before, in the folders `members`, fold by fold."""
    parts = []
    for split in splits(told, measured, left_out, seed=seed):
        folder = out / slug(split.name)
        folder.mkdir(parents=True, exist_ok=True)
        model = load_emotion(mean_of(folder, [os.path.relpath(m / folder.name, folder) for m in members]))
        parts.append(judge(cast("Judge", model), measured.part(split.test), seed=seed))
    return joined(parts)


def trained(
    taught: Measured,
    folder: Path,
    settings: EmotionStudy,
    console: Console | None = None,
    say: Say = lambda _: None,
) -> Judge:
    """The model of a folder: as it is, if it was trained so; gone on with, if it was begun; or trained."""
    resume = (folder / "settings.json").exists() or any(folder.glob("*/settings.json"))
    train(taught, folder, settings, console, resume, say)
    return cast("Judge", load_emotion(folder))


def _whole(taught: Measured, tested: Measured, settings: EmotionStudy, say: Say) -> Judged:
    """As published tables are made, where a speaker's later turns are known too: no model for use comes of it."""
    if settings.model != "svm":
        raise TrainingError(f"normalise=whole is for svm only; {settings.model} takes online or none.")
    labels = taught.labels()
    model = svm.fit(taught, settings, say)
    values, valid = tested.values[:, model.columns], tested.valid[:, model.columns]
    z, rows = heard(
        model.prior, values, valid, tested.speakers, "whole", 1, np.random.default_rng(settings.seed)
    )
    p = model.machine.probabilities(z)
    true, place = tested.emotions[rows], {label: k for k, label in enumerate(labels)}
    likelihood = np.array([p[i, place[t]] if t in place else 0.0 for i, t in enumerate(true.tolist())])
    paths = np.array([str(tested.items[i].path) for i in rows])
    others = np.full(len(rows), len(rows))  # heard, if not before
    return Judged(
        labels, true, np.array(labels)[p.argmax(1)], tested.speakers[rows], others, likelihood, paths
    )
