"""Who is tested when: folds as JSON files, so that any published protocol can be run again.

    {"name": "six by four", "about": "…", "folds": [{"name": "1", "test": ["ravdess/01", "ravdess/02"]}, …]}

or, for as many folds as there are speakers, {"name": …, "about": …, "leave_out": "speaker"}. A fold may list its "train" speakers too;
otherwise they are all others. No speaker is on both sides.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from entrain.turn import Record
from entrain_training.clips import LeftOut
from entrain_training.emotion.measured import Measured
from entrain_training.schedule import TrainingError

SHIPPED = ("ravdess-six-by-four", "ravdess-five", "leave-one-speaker-out")
RANDOM = "random"
N_RANDOM = 5
WARNING = (
    "A random split puts the same speakers on both sides: the figures say how well people are known again, not how well emotion is heard "
    "in strangers."
)


class Fold(Record):
    name: str
    test: tuple[str, ...]
    """Speakers, as `ravdess/07`."""
    train: tuple[str, ...] | None = None
    """All others, where not given."""


class Folds(Record):
    name: str
    about: str = ""
    folds: tuple[Fold, ...] = ()
    leave_out: Literal["speaker"] | None = None


class Split(NamedTuple):
    """Rows of the recordings on each side."""

    name: str
    train: NDArray[np.int_]
    test: NDArray[np.int_]


def read(told: str) -> Folds:
    """A file, or one of those that ship, by name."""
    path = Path(told)
    if told in SHIPPED:
        path = Path(str(files("entrain_training").joinpath(f"emotion/folds/{told}.json")))
    try:
        found = Folds.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise TrainingError(
            f"there are no folds {told!r} ({error}). Give a file, or one of {', '.join((*SHIPPED, RANDOM))}."
        ) from error
    except (ValueError, ValidationError) as error:
        raise TrainingError(
            f"{path} is no file of folds ({error}). See entrain_training/emotion/folds.py."
        ) from error
    if bool(found.folds) == bool(found.leave_out):
        raise TrainingError(f"{path} must have folds, or leave_out, and not both.")
    return found


def splits(
    told: str, measured: Measured, left_out: LeftOut, sentences_apart: bool = False, seed: int = 0
) -> list[Split]:
    """The folds that can be run with these recordings. Those of whom nobody is at hand go to `left_out`, and so do recordings that may
    not be in training because the same one, byte for byte, is tested. Raises `TrainingError` where none can be run."""
    if told == RANDOM:
        found = _at_random(len(measured), seed)
    else:
        folds = read(told)
        each = sorted(set(measured.speakers.tolist()))
        listed = folds.folds or tuple(Fold(name=speaker, test=(speaker,)) for speaker in each)
        found = [split for fold in listed if (split := _of_speakers(fold, measured, left_out))]
    if sentences_apart:
        found = [half for split in found for half in _by_sentence(split, measured, left_out)]
    if not found:
        raise TrainingError(f"none of the folds {told} has test speakers at hand and others to learn from.")
    return [_without_twins(split, measured, left_out) for split in found]


def _at_random(n: int, seed: int) -> list[Split]:
    parts = np.array_split(np.random.default_rng(seed).permutation(n), N_RANDOM)
    everything = np.arange(n)
    return [Split(f"random {i + 1}", np.setdiff1d(everything, p), np.sort(p)) for i, p in enumerate(parts)]


def _of_speakers(fold: Fold, measured: Measured, left_out: LeftOut) -> Split | None:
    if both := set(fold.test) & set(fold.train or ()):
        raise TrainingError(f"fold {fold.name} has {', '.join(sorted(both))} on both sides.")
    tested = np.isin(measured.speakers, fold.test)
    taught = ~tested if fold.train is None else np.isin(measured.speakers, fold.train)
    absent = sorted(set(fold.test) - set(measured.speakers.tolist()))
    if not tested.any() or not taught.any():
        left_out.add(
            Path(f"fold {fold.name}"),
            "nobody of it is at hand" if not tested.any() else "nobody to learn from",
        )
        return None
    for speaker in absent:
        left_out.add(Path(f"{speaker} of fold {fold.name}"), "not at hand")
    return Split(fold.name, np.flatnonzero(taught), np.flatnonzero(tested))


def _by_sentence(split: Split, measured: Measured, left_out: LeftOut) -> list[Split]:
    """Two halves of the sentences, each tested once while only the other is learnt from."""
    said = np.array([item.sentence for item in measured.items])
    for i in np.flatnonzero(said == ""):
        left_out.add(measured.items[i].path, "its sentence is not known, and sentences are to be kept apart")
    known = sorted(set(said[said != ""].tolist()))
    if len(known) < 2:
        raise TrainingError("to keep sentences apart, two that are known are needed.")
    halves = np.isin(said, known[::2]), np.isin(said, known[1::2])
    pairs = [
        Split(
            f"{split.name}, {which} sentences", split.train[other[split.train]], split.test[this[split.test]]
        )
        for which, this, other in (("odd", *halves), ("even", *halves[::-1]))
    ]
    return [pair for pair in pairs if len(pair.train) and len(pair.test)]


def _without_twins(split: Split, measured: Measured, left_out: LeftOut) -> Split:
    tested = {measured.sha256[i] for i in split.test}
    twin = np.array([measured.sha256[i] in tested for i in split.train])
    for i in split.train[twin]:
        left_out.add(
            measured.items[i].path, f"not trained on in fold {split.name}: the same recording is tested there"
        )
    return split._replace(train=split.train[~twin])


def parts_of(speakers: Sequence[str], n: int) -> list[list[str]]:
    """Speakers, in `n` parts that are as even as can be, every n-th together."""
    each = sorted(set(speakers))
    return [each[i::n] for i in range(min(n, len(each)))]
