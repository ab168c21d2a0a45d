"""How one speaker sounds as a rule, learnt causally from turn to turn, and what is out of the way for them.

    mean = (k·m₀ + Σx) / (k + n)          sd² = (c·s₀² + Σ(x − x̄)²) / (c + n − 1)

with m₀ the training speakers' mean, s₀ their spread within a speaker, and k and c turns of prior weight (compare `normalize.py`). The
turn that is judged is among the n. Training and live use run this same code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from entrain.emotion import Manner

Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]


@dataclass(frozen=True)
class Running:
    """A `Manner` in numpy; F measures. A value that is not valid counts as an ordinary one: it teaches nothing but that."""

    n: float
    mean: Floats  # (F,)
    m2: Floats  # (F,)

    @classmethod
    def of(cls, manner: Manner | None, size: int) -> Running:
        """Anew where there is none, or where it is another model's."""
        if manner is None or len(manner.mean) != size or len(manner.m2) != size:
            return cls(0.0, np.zeros(size), np.zeros(size))
        return cls(manner.n, np.array(manner.mean), np.array(manner.m2))

    def manner(self) -> Manner:
        return Manner(n=self.n, mean=tuple(self.mean.tolist()), m2=tuple(self.m2.tolist()))


@dataclass(frozen=True)
class Prior:
    """What is known of a speaker not heard yet."""

    mean: Floats  # (F,)
    sd: Floats  # (F,), above 0
    count: float
    """k; infinite where nothing is to be learnt of a speaker."""
    spread_count: float
    """c."""

    def observe(self, state: Running, values: Floats, valid: Bits) -> Running:
        """The state after one more turn, `values` and `valid` (F,)."""
        ordinary = self.location_scale(state)[0]
        change = np.where(valid, values, ordinary) - state.mean
        n = state.n + 1
        mean = state.mean + change / n
        return Running(n, mean, state.m2 + np.where(valid, change * (values - mean), 0.0))

    def location_scale(self, state: Running) -> tuple[Floats, Floats]:
        """The speaker's mean and spread as far as known, each (F,)."""
        if np.isinf(self.count):
            return self.mean, self.sd
        k, c = self.count, self.spread_count
        mean = (k * self.mean + state.n * state.mean) / (k + state.n)
        variance = (c * self.sd**2 + state.m2) / (c + max(state.n - 1, 0.0))
        return mean, np.sqrt(variance)

    def z(self, state: Running, values: Floats, valid: Bits) -> Floats:
        """(F,), 0 where not valid."""
        mean, sd = self.location_scale(state)
        return np.where(valid, np.clip((values - mean) / sd, -MAX_Z, MAX_Z), 0.0)

    def tensors(self) -> dict[str, Floats]:
        return {
            "prior_mean": self.mean,
            "prior_sd": self.sd,
            "prior_counts": np.array([self.count, self.spread_count]),
        }

    @classmethod
    def of(cls, tensors: Mapping[str, Floats]) -> Prior:
        count, spread_count = (float(v) for v in tensors["prior_counts"])
        return cls(tensors["prior_mean"], tensors["prior_sd"], count, spread_count)


MAX_Z = 6.0  # a value further out is a slip of the measuring, and would alone decide
