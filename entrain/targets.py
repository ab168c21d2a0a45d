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

SPOKEN = ("f0_mean_st", "f0_range_st", "level_db", "rate_syll_s")  # the features that a voice can be made to have


class Policy(Record):
    """How far the agent goes. The caps bound the targets *and* what is done to a single sentence."""

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
    """Largest change from one reply to the next; likewise below, as a factor and in dB."""
    step_rate: float = Field(default=1.12, gt=1)
    step_range: float = Field(default=1.3, gt=1)
    step_level_db: float = Field(default=3.0, gt=0)

    @model_validator(mode="after")
    def _known(self) -> Policy:
        unknown = self.features - set(SPOKEN)
        if unknown:
            raise ValueError(f"no voice can be given {', '.join(sorted(unknown))}. Select from {', '.join(SPOKEN)}.")
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

    @classmethod
    def none(cls, voice: VoiceProfile) -> Targets:
        """The voice as it is."""
        return cls(**{name: voice.mean[FEATURES.index(name)] for name in SPOKEN})

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
    from the previous reply's."""
    mean = np.array(voice.mean)
    aim = mean + policy.sign * prediction.z * voice.reach
    weight = dict(zip(FEATURES, policy.strength * np.clip(prediction.confidence, 0, 1), strict=True))
    f0, f0_range, level, rate = (FEATURES.index(name) for name in SPOKEN)
    capped: set[str] = set()

    def limit(name: str, value: float, low: float, high: float, before: float, step: float, factor: bool) -> float:
        bounds = (before / step, before * step) if factor else (before - step, before + step)
        allowed = min(max(value, low, bounds[0]), high, bounds[1])
        if not math.isclose(allowed, value, abs_tol=1e-9):
            capped.add(name)
        return allowed

    last = previous or Targets.none(voice)
    p = policy
    shift_st = limit("f0_shift_st", float(aim[f0] - mean[f0]), -p.max_f0_st, p.max_f0_st,
                     last.f0_shift_st, p.step_f0_st, False)  # fmt: skip
    range_factor = limit("f0_range_factor", float(aim[f0_range] / mean[f0_range]), p.min_range, p.max_range,
                         last.f0_range_factor, p.step_range, True)  # fmt: skip
    rate_factor = limit("rate_factor", float(aim[rate] / mean[rate]), p.min_rate, p.max_rate,
                        last.rate_factor, p.step_rate, True)  # fmt: skip
    shift_db = limit("level_shift_db", float(aim[level] - mean[level]), -p.max_level_db, p.max_level_db,
                     last.level_shift_db, p.step_level_db, False)  # fmt: skip

    def weigh(name: str) -> float:
        return float(weight[name]) if name in policy.features else 0.0

    return Targets(
        f0_shift_st=shift_st, f0_range_factor=range_factor, rate_factor=rate_factor, level_shift_db=shift_db,
        f0_mean_st=float(mean[f0]) + shift_st, f0_range_st=float(mean[f0_range]) * range_factor,
        rate_syll_s=float(mean[rate]) * rate_factor, level_db=float(mean[level]) + shift_db,
        weight_f0=weigh("f0_mean_st"), weight_range=weigh("f0_range_st"),
        weight_rate=weigh("rate_syll_s"), weight_level=weigh("level_db"),
        anchor=policy.anchor, capped=tuple(sorted(capped)),
    )  # fmt: skip
