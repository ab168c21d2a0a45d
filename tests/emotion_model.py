"""A real model of emotion, of kind `svm`, for tests of who uses one: trained in two seconds on sounds whose emotion is their pitch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from conftest import glide, joined, noise, syllables

from entrain.audio import Audio
from entrain.functionals import functionals
from entrain_training.emotion.corpora import Item
from entrain_training.emotion.measured import Measured
from entrain_training.emotion.study import EmotionStudy
from entrain_training.emotion.svm import fit

LABELS = ("calm", "excited", "sad")
SPEAKERS_HZ = (100.0, 130.0, 180.0, 220.0)


def voice(emotion: str, hz: float = 120.0, nth: int = 0) -> Audio:
    """A turn of 1.2 s: excited is quick, high, loud and rises; sad is slow, low and quiet, and falls."""
    x, per_s, to_x = {"calm": (1.0, 4, 1.0), "excited": (1.6, 6, 1.3), "sad": (0.8, 2, 0.7)}[emotion]
    amplitude = 0.1 * x**2 + 0.005 * nth
    said = joined(syllables(per_s, 0.6, x * hz), glide(x * hz, x * to_x * hz, 0.6, amplitude=amplitude))
    room = noise(1.2, amplitude=0.002)  # in pure tones the last bit of a file would be the harmonics' noise
    return Audio(said.samples + room.samples, said.rate_hz)


def trained(folder: Path) -> Path:
    """The model, in `folder`."""
    items, found = [], []
    for hz in SPEAKERS_HZ:
        for emotion in LABELS:
            for nth in range(2):
                items.append(Item(Path(f"{hz:.0f}-{emotion}-{nth}.wav"), emotion, f"made/{hz:.0f}", ""))
                found.append(functionals(voice(emotion, hz, nth)))
    values, valid = (np.array(part) for part in zip(*found, strict=True))
    measured = Measured(tuple(items), values, valid, tuple(item.path.name for item in items))
    settings = EmotionStudy(seed=0, c=(1.0,), gamma=(1.0,), prior_count=(1.0,), inner_folds=2, orders=1)
    return fit(measured, settings).save(folder)
