"""Predicted z → Targets in the agent's own voice, inside what a listener finds natural."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, model_validator

from entrain.strategy import Prediction
from entrain.turn import FEATURES, Finite, Record

if TYPE_CHECKING:
    from entrain.voice import VoiceProfile

# The features that a voice can be made to have.
SPOKEN = ("f0_mean_st", "f0_range_st", "level_db", "rate_syll_s")


class Policy(Record):
    """How far the agent goes. The caps bound the targets; with anchor "sentence" they are then also the most that is done to
    one sentence, with anchor "voice" that is bounded by `entrain.conditioning`'s own limits."""

    strength: float = Field(default=1.0, ge=0, le=1)
    """0 leaves the voice's audio as it is, to the bit; 1 goes all the way."""
    sign: float = Field(default=1.0, ge=-1, le=1)
    """−1 moves away from the user (disentrainment)."""
    features: frozenset[str] = frozenset(SPOKEN)
    """Which of `SPOKEN` to entrain."""
    anchor: Literal["sentence", "voice"] = "sentence"
    """What the shift is from: how the voice says this very sentence, or the voice's mean over all. From the mean, "Yes, of
    course." (3.5 syllables/s of hibari's usual 5.4) would be rushed each time, by strategies that do not know the words."""
    max_f0_st: float = Field(default=3.0, ge=0, le=12)
    min_rate: float = Field(default=0.8, gt=0, le=1)
    max_rate: float = Field(default=1.25, ge=1, le=4)
    min_range: float = Field(default=0.6, gt=0, le=1)
    max_range: float = Field(default=1.6, ge=1, le=4)
    max_level_db: float = Field(default=6.0, ge=0, le=20)
    step_f0_st: float = Field(default=1.5, gt=0)
    """Largest change from one reply to the next in what is done (shift × weight); likewise below, as a factor and in dB.
    Going silent on a feature, by strength, confidence or `features`, is not held back: it gives the voice as it is."""
    step_rate: float = Field(default=1.12, gt=1)
    step_range: float = Field(default=1.3, gt=1)
    step_level_db: float = Field(default=3.0, gt=0)

    @model_validator(mode="after")
    def _known(self) -> Policy:
        unknown = self.features - set(SPOKEN)
        if unknown:
            raise ValueError(
                f"no voice can be given {', '.join(sorted(unknown))}. Select from {', '.join(SPOKEN)}."
            )
        return self


class Targets(Record):
    """How the next reply should sound, relative to the voice's usual self and in absolute terms.

    `weight_*` is how much of the way is gone, 0…1 (strength × confidence); at 0 the sentence stays as the voice says it.
    """

    f0_shift_st: Finite = 0.0
    f0_range_factor: Finite = 1.0
    rate_factor: Finite = 1.0
    level_shift_db: Finite = 0.0

    f0_mean_st: Finite
    f0_range_st: Finite
    rate_syll_s: Finite
    level_db: Finite

    weight_f0: Finite = 0.0
    weight_range: Finite = 0.0
    weight_rate: Finite = 0.0
    weight_level: Finite = 0.0

    anchor: Literal["sentence", "voice"] = "sentence"
    capped: tuple[str, ...] = ()
    """Which of them a cap or the step limit held back."""

    @property
    def neutral(self) -> bool:
        return not (self.weight_f0 or self.weight_range or self.weight_rate or self.weight_level)

    @property
    def done(self) -> tuple[float, float, float, float]:
        """The part of each that is really gone, by its weight: pitch (st), range and rate (factors), level (dB)."""
        return (
            self.weight_f0 * self.f0_shift_st,
            1 + self.weight_range * (self.f0_range_factor - 1),
            1 + self.weight_rate * (self.rate_factor - 1),
            self.weight_level * self.level_shift_db,
        )

    @classmethod
    def none(cls, voice: VoiceProfile) -> Targets:
        """The voice as it is."""
        f0_st, f0_range_st, level_db, rate_syll_s = (voice.mean[FEATURES.index(name)] for name in SPOKEN)
        return cls(f0_mean_st=f0_st, f0_range_st=f0_range_st, level_db=level_db, rate_syll_s=rate_syll_s)

    @classmethod
    def shifted(
        cls,
        voice: VoiceProfile,
        f0_shift_st: float = 0.0,
        f0_range_factor: float = 1.0,
        rate_factor: float = 1.0,
        level_shift_db: float = 0.0,
        anchor: Literal["sentence", "voice"] = "sentence",
    ) -> Targets:
        """Exactly this, of all four, at full weight: for a person or a test that knows what it wants."""
        usual = cls.none(voice)
        return cls(
            f0_shift_st=f0_shift_st, f0_range_factor=f0_range_factor, rate_factor=rate_factor,
            level_shift_db=level_shift_db, f0_mean_st=usual.f0_mean_st + f0_shift_st,
            f0_range_st=usual.f0_range_st * f0_range_factor, rate_syll_s=usual.rate_syll_s * rate_factor,
            level_db=usual.level_db + level_shift_db, weight_f0=1.0, weight_range=1.0, weight_rate=1.0,
            weight_level=1.0, anchor=anchor,
        )  # fmt: skip


def set_targets(
    prediction: Prediction, voice: VoiceProfile, policy: Policy = Policy(), previous: Targets | None = None
) -> Targets:
    """Each aim is the voice's mean plus z times its reach (never the user's hertz), capped, and at most a step away
    from the previous reply's. A z that is not finite counts as not predicted."""
    mean = np.array(voice.mean)
    usable = np.isfinite(prediction.z) & np.isfinite(prediction.confidence)
    aim = mean + policy.sign * np.where(usable, prediction.z, 0.0) * voice.reach
    confidence = np.where(usable, np.clip(prediction.confidence, 0, 1), 0.0)
    f0, f0_range, level, rate = (FEATURES.index(name) for name in SPOKEN)
    on = np.array([name in policy.features and policy.sign != 0 for name in FEATURES])
    weight: list[float] = np.where(on, policy.strength * confidence, 0.0).tolist()
    capped: set[str] = set()

    def settle(name: str, i: int, low: float, high: float, step: float, before: float) -> float:
        """The shift (or factor) of feature i, capped, and such that what is done is a step from `before` at most."""
        factor = name.endswith("factor")
        wanted = float(aim[i] / mean[i] if factor else aim[i] - mean[i])
        lowest, highest = (before / step, before * step) if factor else (before - step, before + step)
        allowed = wanted
        if weight[i]:  # what is done is `none` + weight × (allowed − none)
            none = float(factor)
            allowed = max(allowed, none + (lowest - none) / weight[i])
            allowed = min(allowed, none + (highest - none) / weight[i])
        allowed = min(max(allowed, low), high)
        if not math.isclose(allowed, wanted, abs_tol=1e-9):
            capped.add(name)
        return allowed

    p, (last_st, last_range, last_rate, last_db) = policy, (previous or Targets.none(voice)).done
    shift_st = settle("f0_shift_st", f0, -p.max_f0_st, p.max_f0_st, p.step_f0_st, last_st)
    range_factor = settle("f0_range_factor", f0_range, p.min_range, p.max_range, p.step_range, last_range)
    rate_factor = settle("rate_factor", rate, p.min_rate, p.max_rate, p.step_rate, last_rate)
    shift_db = settle("level_shift_db", level, -p.max_level_db, p.max_level_db, p.step_level_db, last_db)
    return Targets(
        f0_shift_st=shift_st, f0_range_factor=range_factor, rate_factor=rate_factor, level_shift_db=shift_db,
        f0_mean_st=float(mean[f0]) + shift_st, f0_range_st=float(mean[f0_range]) * range_factor,
        rate_syll_s=float(mean[rate]) * rate_factor, level_db=float(mean[level]) + shift_db,
        weight_f0=weight[f0], weight_range=weight[f0_range], weight_rate=weight[rate], weight_level=weight[level],
        anchor=policy.anchor, capped=tuple(sorted(capped)),
    )  # fmt: skip
