"""Emotion in a turn: sound → the probability of each feeling that a trained model knows. No model ships: see `load_emotion`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from entrain.audio import Audio
from entrain.turn import Finite, Record

MIN_S = 0.3  # a shorter turn, an "mm", is not judged


class EmotionError(RuntimeError):
    """There is no such model, or it can't run; the message says what to do."""


class Manner(Record):
    """How one speaker sounds as a rule, learnt from turn to turn: what tells an angry voice from one that is always loud. It is
    JSON, and travels with the history."""

    n: Finite = 0.0
    """Turns it was learnt from."""
    mean: tuple[Finite, ...] = ()  # (F,), of the model's own measures
    m2: tuple[Finite, ...] = ()  # (F,), sums of squared deviations


@dataclass(frozen=True)
class Felt:
    """What a model makes of a turn."""

    probabilities: dict[str, float] | None
    """Label → 0…1, together 1. None where the turn can't be judged."""
    manner: Manner | None
    """The speaker's, this turn included; None of models that keep none."""
    why: str = ""
    """Why there are no probabilities: "too short", "silent" …"""


class Emotion(Protocol):
    """A trained model; any number of speakers share it."""

    @property
    def name(self) -> str: ...

    @property
    def labels(self) -> tuple[str, ...]: ...

    def feel(self, audio: Audio, manner: Manner | None = None) -> Felt:
        """One turn of one speaker; `manner` is what was learnt of them so far. Any rate; takes up to a tenth of a second, of which
        Praat's part holds the interpreter lock, so live it runs in the worker process."""
        ...


class Judge(Emotion, Protocol):
    """What every kind of model is inside: the costly part apart from the cheap one, so that turns can be judged again in another order."""

    def measure(self, audio: Audio) -> Any:
        """What it looks at in a turn; None where there is nothing to be seen."""
        ...

    def judge(self, measured: Any, manner: Manner | None) -> Felt: ...


def feel(model: Judge, audio: Audio, manner: Manner | None) -> Felt:
    """`Emotion.feel` of every kind. A turn that can't be judged teaches nothing."""
    if why := why_not(audio):
        return Felt(None, manner, why)
    measured = model.measure(audio)
    return Felt(None, manner, "no speech") if measured is None else model.judge(measured, manner)


def why_not(audio: Audio) -> str:
    """Why a turn can't be judged, as it stands in `Felt.why`; empty where it can."""
    if audio.duration_s < MIN_S:
        return "too short"
    return "" if audio.level_db is not None else "silent"


KINDS = {
    "svm": "entrain.emotion_svm:Svm",
    "network": "entrain.emotion_network:Network",
    "wav2vec2": "entrain.emotion_wav2vec2:Wav2Vec2",
    "mean": "entrain.emotion_mean:Mean",
}
"""What config.json calls `kind` → the class that reads the folder."""
FORMAT = 1


def load_emotion(folder: str | Path) -> Emotion:
    """The model in a folder that `entrain train emotion` wrote. Raises `EmotionError` where there is none, or where a package that it
    needs is missing."""
    folder = Path(folder)
    config = read_config(folder)
    module, _, kind = KINDS[config["kind"]].partition(":")
    try:
        return getattr(import_module(module), kind).load(folder, config)
    except (KeyError, TypeError, ValueError, IndexError, OSError) as error:
        raise EmotionError(
            f"the model of emotion in {folder} can't be read ({error}). Train it again: entrain train emotion"
        ) from error


def read_config(folder: Path) -> dict[str, Any]:
    """Its config.json, checked for what all kinds have."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise EmotionError(
            f"{folder} holds no trained model of emotion ({error}). Make one with: entrain train emotion RECORDINGS --out {folder}"
        ) from error
    except ValueError as error:
        raise EmotionError(f"{folder / 'config.json'} is not JSON ({error}).") from error
    if not isinstance(config, dict) or cast("dict[str, Any]", config).get("kind") not in KINDS:
        raise EmotionError(
            f"{folder} holds no trained model of emotion; those are of kind {', '.join(KINDS)}."
        )
    found = cast("dict[str, Any]", config)
    if found.get("format") != FORMAT:
        raise EmotionError(
            f"{folder} has format {found.get('format')!r}; this entrain reads {FORMAT}. Train it again."
        )
    return found
