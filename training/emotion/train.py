"""A model of any kind from labelled recordings, in a folder that `load_emotion` reads."""

from __future__ import annotations

from collections.abc import Sequence
from math import isinf
from pathlib import Path
from typing import cast

from rich.console import Console

from entrain.emotion import load_emotion
from entrain.emotion_mean import save
from entrain.emotion_network import Network
from entrain.emotion_svm import Svm
from entrain_training.emotion import network, svm
from entrain_training.emotion.measured import Measured, Say
from entrain_training.emotion.study import EmotionStudy
from entrain_training.schedule import TrainingError
from entrain_training.study import begin

MEMBERS = ("svm", "network")


def train(
    measured: Measured, out: Path, settings: EmotionStudy, console: Console | None = None, resume: bool = False, say: Say = lambda _: None
) -> Path:  # fmt: skip
    """Returns `out`. `resume` goes on after the last epoch that was done, and returns at once where all is done. Raises
    `TrainingError`, and `KeyboardInterrupt` when stopped."""
    if settings.normalise == "whole":
        raise TrainingError(
            "a model that knows a speaker's later turns can't be used: normalise must be online or none. (Folds can be evaluated so.)"
        )
    if resume and settings.model != "mean" and (out / "config.json").exists():
        begin(out, _Described(measured), settings, resume)  # is it the same?
        return out
    if settings.model == "network":
        return network.fit(measured, out, settings, console, resume, say)
    if settings.model == "wav2vec2":
        from entrain_training.emotion import wav2vec2  # transformers takes seconds to import

        return wav2vec2.fit(measured, out, settings, console, resume, say)
    if settings.model == "mean":
        return _mean(measured, out, settings, console, resume, say)
    return _svm(measured, out, settings, resume, say)


class _Described:
    """What `begin` asks of a task."""

    def __init__(self, measured: Measured) -> None:
        self.measured = measured

    def about(self) -> dict[str, object]:
        return {"recordings": len(self.measured), "speakers": sorted(set(self.measured.speakers.tolist()))}


def _svm(measured: Measured, out: Path, settings: EmotionStudy, resume: bool, say: Say) -> Path:
    begin(out, _Described(measured), settings, resume)
    return svm.fit(measured, settings, say).save(out)


def _mean(
    measured: Measured, out: Path, settings: EmotionStudy, console: Console | None, resume: bool, say: Say
) -> Path:
    for kind in MEMBERS:
        part = out / kind
        of_part = settings.model_copy(update={"model": kind})
        train(measured, part, of_part, console, resume and (part / "settings.json").exists(), say)
    return mean_of(out, MEMBERS)


def mean_of(out: Path, members: Sequence[str]) -> Path:
    """The mean of models in folders that are named as seen from `out`."""
    models = {name: cast("Svm | Network", load_emotion(out / name)) for name in members}
    sizes = {name: 0 if isinf(model.prior.count) else len(model.prior.mean) for name, model in models.items()}
    return save(out, "mean of svm and network", next(iter(models.values())).labels, sizes)
