"""Speakers whose entrainment is known: the equations that `simulate.py` draws from and `optimal.py` inverts.

Each feature of a turn, in z units, is a manner u, which people carry from turn to turn, and what the turn's words ask for:

    z = u + √text · φ(words)
    u = m + persistence·(u_own − m) + synchrony·(u_other − h_other) + σ·ε,   ε ~ N(0, 1)
    m = a + κ(n_other)·(h_other − a),   a ~ N(0, offset)

a is the speaker's own habit in this dialogue; u_own and u_other are the last turns of the speaker and of whoever else spoke last; h is
that person's level as heard so far, Σu / (n + 1); κ(n) = convergence·min(1, n/20) grows with the n turns heard of them. So synchrony
answers the other's last turn, convergence answers their level, and both answer their manner, not what their words asked for. Where
two alternate, u − a is nearly an AR(2) process, whence σ: the variance of z is near 1 (.87 under strong convergence). Features are
independent of each other, given the words. All is linear and Gaussian, so the best predictor is known: `optimal.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy.linalg import hadamard

from entrain.syllables import WORD
from entrain.turn import FEATURES, Record

Array = NDArray[np.float64]
Bits = NDArray[np.bool_]
Who = NDArray[np.int64]

CONVERGED_TURNS = 20  # a conversation of 40 turns reaches full convergence at its end
MAX_WORDS = 10

WORDS = [
    *("yes", "okay", "well", "so", "but", "then", "now", "we", "you", "they", "think", "know", "see", "good", "time", "people"),
    *("right", "really", "maybe", "never", "always", "here", "there", "home", "work", "day", "night", "left", "red", "four"),
    *("water", "book"),
]  # fmt: skip
"""32 words that any vocabulary has."""
ASKS: Array = hadamard(len(WORDS))[:, 1 : len(FEATURES) + 1].astype(float)  # (32, 7)
"""What each word asks of each feature, +1 or −1: each is asked of half of the words, and any two features agree on half."""
MEAN_VARIANCE = float(np.mean(1 / np.arange(1, MAX_WORDS + 1)))  # of the mean of n such words, n from 1 to 10

MOST = 0.95  # at 1 a share leaves nothing for the rest, and a weight lets the values run away
Share = Annotated[float, Field(ge=0, le=MOST)]
Signed = Annotated[float, Field(ge=-MOST, le=MOST)]


class Coupling(Record):
    """How strongly speakers of a simulated conversation are tied. Shares are of a z-score's variance, which is 1."""

    persistence: Signed = 0.2
    """Weight of the speaker's own last turn."""
    synchrony: Signed = 0.0
    """Weight of the other's last turn, as it departs from their level. Negative: disentrainment."""
    convergence: Share = 0.0
    """Share of the way to the other's level that a speaker has gone after 20 of their turns."""
    offset: Share = 0.2
    """Share of the speakers' habits, which differ."""
    text: Share = 0.1
    """Share of the words."""
    missing: Share = 0.1
    """Probability that a feature of a turn is not measured, whatever its value."""

    @model_validator(mode="after")
    def _is_stationary(self) -> Coupling:
        if self.persistence + abs(self.synchrony) > MOST:
            raise ValueError(
                f"persistence {self.persistence} and synchrony {self.synchrony} (its size) may be {MOST} together: "
                "at 1 the values run away. Choose smaller ones."
            )
        if self.offset + self.text > MOST:
            raise ValueError(
                f"offset {self.offset} and text {self.text} may be {MOST} together: the rest is what varies from turn "
                "to turn. Choose smaller ones."
            )
        return self

    @property
    def drift(self) -> float:
        """Variance of u − a."""
        return 1 - self.offset - self.text

    @property
    def noise(self) -> float:
        """σ², from the variance of an AR(2) process with coefficients synchrony and persistence."""
        own, other = self.persistence, self.synchrony
        return self.drift * (1 + own) * ((1 - own) ** 2 - other**2) / (1 - own)

    def pull(self, n_heard: Who | int) -> Array:
        """κ after `n_heard` turns of the other, any shape."""
        return self.convergence * np.minimum(1.0, np.asarray(n_heard) / CONVERGED_TURNS)


COUPLINGS = {
    "strong": Coupling(synchrony=0.5, convergence=0.5),
    "moderate": Coupling(synchrony=0.2, convergence=0.2),
    "none": Coupling(),
}
"""Correlation with the other's last turn: strong .5, moderate .2, none 0."""


@dataclass(frozen=True)
class Simulated:
    """A conversation of T turns. The truth is known of every feature; what is not `valid` was not measured."""

    id: str
    speaker: Who  # (T,), 0 or 1
    z: Array  # (T, 7)
    valid: Bits  # (T, 7)
    text: tuple[str, ...]
    start_s: Array  # (T,)
    end_s: Array  # (T,)


def manner(speaker: Who, habit: Array, start: Array, noise: Array, coupling: Coupling) -> Array:
    """u (T, F) of turns by `speaker` (T,), from the speakers' `habit` a and `start`, their u before the conversation, both (S, F),
    and σε (T, F). Linear in all three."""
    u, level, n_turns = start.copy(), np.zeros_like(start), np.zeros(len(start), np.int64)
    turns = np.empty_like(noise)
    for t, (s, o) in enumerate(zip(speaker, others(speaker), strict=True)):
        mean, follow = habit[s], 0.0
        if o >= 0:
            mean = mean + coupling.pull(n_turns[o]) * (level[o] - mean)
            follow = coupling.synchrony * (u[o] - level[o])
        u[s] = turns[t] = mean + coupling.persistence * (u[s] - mean) + follow + noise[t]
        n_turns[s] += 1
        level[s] += (u[s] - level[s]) / (n_turns[s] + 1)
    return turns


def others(speaker: Who) -> Who:
    """(T,) → (T,): who spoke last apart from the turn's speaker; −1 where nobody did."""
    other = np.full_like(speaker, -1)
    for t in range(1, len(speaker)):
        other[t] = speaker[t - 1] if speaker[t - 1] != speaker[t] else other[t - 1]
    return other


def text_effect(texts: Sequence[str], coupling: Coupling) -> Array:
    """√text · φ of each text, (T, 7): the mean of what its words ask, scaled so that φ has variance 1 over simulated texts."""
    asks = dict(zip(WORDS, ASKS, strict=True))
    nothing = np.zeros(len(FEATURES))
    words = ([asks.get(word, nothing) for word in WORD.findall(text.lower())] for text in texts)
    phi = [np.mean(found, axis=0) if found else nothing for found in words]
    return np.sqrt(coupling.text / MEAN_VARIANCE) * np.reshape(phi, (-1, len(FEATURES)))
