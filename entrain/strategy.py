"""What to aim at: the history and the reply's text → predicted z-scores of the agent's next turn, with confidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from entrain.history import History
from entrain.turn import FEATURES, Turn, Vector

RATE = FEATURES.index("rate_syll_s")
NUCLEI_CONFIDENCE = 0.5  # a rate estimated from the audio alone is about 15 % off, a counted one about 3 %


@dataclass(frozen=True)
class Prediction:
    """How the agent's next turn should sound. `z` and `confidence` are `(7,)`, in the order of FEATURES; confidence is
    0…1, and at 0 that feature is left as the voice has it."""

    z: Vector
    confidence: Vector

    @classmethod
    def nothing(cls) -> Prediction:
        return cls(np.zeros(len(FEATURES)), np.zeros(len(FEATURES)))


class Strategy(Protocol):
    """Something that predicts. The neural model is one of these too."""

    @property
    def name(self) -> str: ...

    def predict(self, history: History, text: str) -> Prediction:
        """For the reply `text`, given what was said before it."""
        ...


class Looked(NamedTuple):
    """Where the model looked for one reply."""

    turns: tuple[float, ...]
    """Weight of each turn before it (a mean where there are two attentions); what is left to 1 was on no turn."""
    words: tuple[tuple[str, float], ...]
    """The reply's words and their weights."""


@runtime_checkable
class Follows(Protocol):
    """A strategy that reads each turn when it has been heard or said, not only when the next reply waits for it."""

    def follow(self, history: History) -> None: ...


@runtime_checkable
class Explains(Protocol):
    """A strategy that can tell where it looked."""

    def look(self, turns: Sequence[Turn]) -> dict[int, Looked]:
        """For each of the agent's turns in a conversation, by its place."""
        ...


def look(strategy: Strategy, turns: Sequence[Turn]) -> dict[int, Looked]:
    """Where the strategy looked, for each of the agent's turns by its place; nothing, if it can't tell."""
    return strategy.look(turns) if isinstance(strategy, Explains) else {}


@dataclass(frozen=True)
class Neutral:
    """No entrainment: the control condition."""

    name: str = "neutral"

    def predict(self, history: History, text: str) -> Prediction:
        return Prediction.nothing()


@dataclass(frozen=True)
class Matching:
    """The agent is as far from its own mean as the user is from theirs.

    A feature that the last turn lacks is taken from the latest turn that has it, trusted half as much for each
    turn since.
    """

    name: str = "matching"

    def predict(self, history: History, text: str) -> Prediction:
        z, confidence = np.zeros(len(FEATURES)), np.zeros(len(FEATURES))
        for age, turn in enumerate(reversed(history.by("user")[-8:])):
            for i, value in enumerate(turn.z):
                if value is not None and not confidence[i]:
                    z[i], confidence[i] = value, 0.5**age
                    if i == RATE and turn.features.rate_source == "nuclei":
                        confidence[i] *= NUCLEI_CONFIDENCE
        return Prediction(z, confidence)


@dataclass(frozen=True)
class Weighted:
    """A weighted mean of the agent's default, the user's last turn (local) and the whole conversation (global).

    The global part is what the agent must say now for its average to equal the user's: Σ user − Σ own earlier aims. Both weights
    grow by their convergence with each user turn; once together they exceed 1 they are scaled to 1 and nothing is left of the
    default (published code let its weight turn negative there).
    """

    global_weight: float = 0.3
    local_weight: float = 0.2
    global_convergence: float = 0.1
    local_convergence: float = 0.3
    name: str = "weighted"

    def __post_init__(self) -> None:
        for part in ("global_weight", "local_weight", "global_convergence", "local_convergence"):
            if not 0 <= getattr(self, part) <= 10:
                raise ValueError(f"{part} is {getattr(self, part)}; 0 to 10 is allowed.")

    def series(self, user: list[float], default: float = 0.0) -> list[float]:
        """The agent's aim after each of the user's values (any unit: the formula is the same for Hz and z)."""
        aims: list[float] = []
        balance = 0.0  # Σ user − Σ own earlier aims
        for i, value in enumerate(user):
            of_global = self.global_weight + i * self.global_convergence
            of_local = self.local_weight + i * self.local_convergence
            total = max(1.0, of_global + of_local)
            of_default = (total - of_global - of_local) / total
            balance += value
            aims.append(of_default * default + (of_global * balance + of_local * value) / total)
            balance -= aims[-1]
        return aims

    def predict(self, history: History, text: str) -> Prediction:
        turns = history.by("user")
        z, confidence = np.zeros(len(FEATURES)), Matching().predict(history, text).confidence
        for i in range(len(FEATURES)):
            heard = [value for turn in turns if (value := turn.z[i]) is not None]
            if heard:
                z[i] = self.series(heard)[-1]
        return Prediction(z, confidence)


@dataclass
class WizardOfOz:
    """A person decides: `set` aims, in z, that hold until they are changed or `clear`ed."""

    name: str = "wizard"
    aims: dict[str, float] = field(default_factory=dict[str, float])

    def set(self, **z: float) -> None:
        """For example `set(f0_mean_st=-1, rate_syll_s=0.5)`: one spread of the voice lower, half a spread faster."""
        unknown = set(z) - set(FEATURES)
        if unknown:
            raise ValueError(
                f"there is no feature {', '.join(sorted(unknown))}. Select from {', '.join(FEATURES)}."
            )
        for name, value in z.items():
            if not math.isfinite(value):
                raise ValueError(f"{name} is {value}; a finite number of spreads is needed.")
        self.aims |= z

    def clear(self) -> None:
        self.aims.clear()

    def predict(self, history: History, text: str) -> Prediction:
        z = np.array([self.aims.get(name, 0.0) for name in FEATURES])
        return Prediction(z, np.array([float(name in self.aims) for name in FEATURES]))


STRATEGIES = {"neutral": Neutral, "matching": Matching, "weighted": Weighted, "wizard": WizardOfOz}
NEURAL = "neural"  # entrain.neural, which imports torch: loaded when it is asked for


def load_strategy(name: str = NEURAL, anchor: Literal["sentence", "voice"] = "sentence") -> Strategy:
    """By name; "neural" is the model that ships, "neural:FOLDER" one that `entrain train` has written. `anchor`: of the policy
    that its aims are for (`Policy.anchor`)."""
    kind, _, folder = name.partition(":")
    if kind == NEURAL:
        return import_module("entrain.neural").Neural(folder or None, anchor=anchor)
    if name not in STRATEGIES:
        raise ValueError(f"there is no strategy {name!r}. Select one of {', '.join([NEURAL, *STRATEGIES])}.")
    return STRATEGIES[name]()
