"""Features ↔ z-scores: causal, per speaker, starting from what is known of people in general.

    mean = (k·m₀ + Σx) / (k + n)          sd² = (4·s₀² + Σ(x − x̄)²) / (4 + n − 1)

with the population's mean m₀ and within-speaker spread s₀, and k turns of prior weight. Training and live use run this same code.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from entrain.turn import FEATURES, Features, Finite, Mask, Record, Vector

Register = Literal["any", "low", "high"]
Seven = Field(min_length=len(FEATURES), max_length=len(FEATURES))
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

SPREAD_COUNT = 4.0  # turns that the population's spread weighs
PRIOR_COUNT = {"level_db": 0.1}
F0_COUNT = {"any": 1.0, "low": 2.0, "high": 2.0}
"""Turns that the population weighs, where not as estimated. Pitch: the best estimate of a speaker's own mean would give .1 to
.5, and an agent would forget within one turn that a voice is low or high. Level: a microphone's gain is unknown, so a level
means nothing before it changes."""


class Normalizer(Record):
    """What is known of one speaker so far. Immutable: `observe` returns the next state; JSON is `model_dump_json`."""

    fixed: bool = False
    """True for a voice measured beforehand: it starts known and stays as it is."""
    prior_mean: Annotated[tuple[Finite, ...], Seven]
    prior_sd: Annotated[tuple[Positive, ...], Seven]
    prior_count: Annotated[tuple[Finite, ...], Seven]
    n: Annotated[tuple[int, ...], Seven] = (0,) * len(FEATURES)
    mean: Annotated[tuple[Finite, ...], Seven] = (0.0,) * len(FEATURES)
    m2: Annotated[tuple[Finite, ...], Seven] = (0.0,) * len(FEATURES)  # Σ(x − x̄)², Welford's

    @classmethod
    def for_person(cls, register: Register = "any") -> Normalizer:
        """A speaker not heard yet. `register` is for who knows it: their pitch is then compared with low voices only (103 to 146
        Hz) or with high ones; it is not guessed, or a voice that crossed from one to the other would seem to fall as it rose."""
        prior = _prior()["any"] | _prior()[register]
        count = {name: prior[name]["pseudo_count"] for name in FEATURES} | PRIOR_COUNT
        count["f0_mean_st"] = F0_COUNT[register]
        return cls(
            prior_mean=tuple(prior[name]["mean"] for name in FEATURES),
            prior_sd=tuple(prior[name]["within_sd"] for name in FEATURES),
            prior_count=tuple(count[name] for name in FEATURES),
        )

    @classmethod
    def for_voice(cls, mean: Vector, spread: Vector) -> Normalizer:
        """A synthetic voice, from its measured mean and spread; both `(7,)`."""
        zeros = (0.0,) * len(FEATURES)
        return cls(fixed=True, prior_mean=tuple(mean), prior_sd=tuple(spread), prior_count=zeros)

    def observe(self, features: Features) -> Normalizer:
        """The state after one more turn of this speaker; what is masked teaches nothing."""
        if self.fixed:
            return self
        x, valid = features.vector, features.valid
        n = np.array(self.n) + valid
        change = np.where(valid, x - np.array(self.mean), 0.0)
        mean = np.array(self.mean) + change / np.maximum(n, 1)
        m2 = np.array(self.m2) + change * np.where(valid, x - mean, 0.0)
        return self.model_copy(
            update={"n": tuple(n.tolist()), "mean": tuple(mean.tolist()), "m2": tuple(m2.tolist())}
        )

    def location_scale(self) -> tuple[Vector, Vector]:
        """The speaker's mean and standard deviation as far as known; each `(7,)`, the second always above 0."""
        prior_mean, prior_sd = np.array(self.prior_mean), np.array(self.prior_sd)
        if self.fixed:
            return prior_mean, prior_sd
        n, k = np.array(self.n), np.array(self.prior_count)
        mean = (k * prior_mean + n * np.array(self.mean)) / (k + n)
        variance = (SPREAD_COUNT * prior_sd**2 + np.array(self.m2)) / (SPREAD_COUNT + np.maximum(n - 1, 0))
        return mean, np.sqrt(variance)

    def z(self, features: Features) -> tuple[Vector, Mask]:
        """z-scores `(7,)`, 0 where not valid, and validity `(7,)`, by the present state."""
        mean, sd = self.location_scale()
        return np.where(features.valid, (features.vector - mean) / sd, 0.0), features.valid

    def invert(self, z: Vector) -> Vector:
        """From z-scores `(7,)` back to the features' own units."""
        mean, sd = self.location_scale()
        return mean + z * sd


@lru_cache(maxsize=1)
def _prior() -> dict[str, Any]:
    return json.loads(files("entrain").joinpath("data/prior.json").read_text(encoding="utf-8"))
