"""Emotion in a turn: sound → the probability of each feeling that a trained model knows. No model ships: see `load_emotion`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from entrain.audio import Audio
from entrain.turn import Finite, Record


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


def load_emotion(folder: str | Path) -> Emotion:
    """The model in a folder that `entrain train emotion` wrote."""
    raise EmotionError(f"{folder} holds no trained model of emotion.")
