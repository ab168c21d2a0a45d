"""Ten seconds as a microphone might hear them: a background, 0 to 4 activates, other speech, no two at once. No two mixes are the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from entrain.asr import RATE_HZ
from entrain.network import EARS
from entrain.optional import require
from entrain_training.augment import at_peak, in_room, microphone, mixed, one_of
from entrain_training.clips import Samples
from entrain_training.schedule import TrainingError
from entrain_training.wake.recording import Activate
from entrain_training.wake.settings import Wake
from entrain_training.wake.sounds import Part

GAP_S = 0.1
TRIES = 20  # for a free place
NEAR_SHARE = 0.1  # of the negatives, where there are near misses
LEVEL_DB = (-12.0, 0.0)  # of each speaker, before the whole is turned up or down
PEAK_DB = (-40.0, -1.0)
ROOM_SHARE, MICROPHONE_SHARE, NOISE_SHARE, VARIED_SHARE = 0.6, 0.5, 0.9, 0.7


class Word(NamedTuple):
    """Where an activate lies in a mix."""

    start_s: float
    end_s: float


class Mix(NamedTuple):
    samples: Samples  # (N,)
    words: tuple[Word, ...]
    """In order of time."""


@dataclass(frozen=True)
class Mixer:
    """Makes mixes of one part's sound."""

    part: Part
    settings: Wake
    rooms: list[Samples]

    def mix(self, rng: np.random.Generator) -> Mix:
        s = self.settings
        n = round(s.mix_s * RATE_HZ)
        speech, taken, words = np.zeros(n, np.float32), [], []
        for _ in range(int(rng.integers(s.max_activates + 1))):
            sound, end_s = self._activate(rng)
            if (start := _place(len(sound), n, taken, rng)) is not None:
                speech[start : start + len(sound)] += sound
                words.append(Word(start / RATE_HZ, start / RATE_HZ + end_s))
        for _ in range(int(rng.integers(s.max_negatives + 1))):
            sound = self._negative(rng)
            if (start := _place(len(sound), n, taken, rng)) is not None:
                speech[start : start + len(sound)] += sound
        return Mix(self._heard(speech, rng), tuple(sorted(words)))

    def _activate(self, rng: np.random.Generator) -> Activate:
        real, made = self.part.real, self.part.made
        pool = real if real and (not made or rng.random() < self.settings.real_share) else made
        samples, end_s = pool[int(rng.integers(len(pool)))]
        sound, tempo = self.varied(samples, rng)
        return Activate(sound, end_s / tempo)

    def _negative(self, rng: np.random.Generator) -> Samples:
        near, other = self.part.near, self.part.negatives
        pool = near if near and (not other or rng.random() < NEAR_SHARE) else other
        return self.varied(one_of(pool, rng), rng)[0]

    def varied(self, samples: Samples, rng: np.random.Generator) -> tuple[Samples, float]:
        """A larger or smaller speaker, slower or faster, louder or softer; and by how much faster."""
        shift_st = rng.uniform(-self.settings.shift_st, self.settings.shift_st)
        tempo = rng.uniform(*self.settings.tempo_x)
        peak_db = rng.uniform(*LEVEL_DB)
        if rng.random() < VARIED_SHARE:
            return at_peak(stretched(samples, shift_st, tempo), peak_db), tempo
        return at_peak(samples, peak_db), 1.0

    def _heard(self, speech: Samples, rng: np.random.Generator) -> Samples:
        noise = one_of(self.part.backgrounds, rng)
        if rng.random() < ROOM_SHARE and self.rooms:
            speech = in_room(speech, one_of(self.rooms, rng))
        if not speech.any():
            speech = at_peak(np.resize(noise, len(speech)), -20.0)
        elif rng.random() < NOISE_SHARE:
            speech = mixed(speech, noise, rng.uniform(*self.settings.snr_db), rng)
        if rng.random() < MICROPHONE_SHARE:
            speech = microphone(rng)(speech)
        return at_peak(speech, rng.uniform(*PEAK_DB))


def stretched(samples: Samples, shift_st: float, tempo: float) -> Samples:
    """Pitch and formants moved by `shift_st`, `tempo` times as fast: `(N,)` → `(N / tempo,)`."""
    stretch: Any = require("python_stretch", EARS, TrainingError).Signalsmith.Stretch()
    stretch.preset(1, RATE_HZ)
    stretch.setTransposeSemitones(shift_st)
    stretch.timeFactor = tempo
    n = round(len(samples) / tempo)
    out = np.asarray(stretch.process(samples[None])[0][:n], np.float32)
    return np.pad(out, (0, n - len(out)))


def _place(length: int, n: int, taken: list[tuple[int, int]], rng: np.random.Generator) -> int | None:
    """Where `length` samples fit among those taken, which then they are; None where no place was found."""
    gap = int(GAP_S * RATE_HZ)
    for _ in range(TRIES if length < n else 0):
        start = int(rng.integers(n - length))
        if all(start >= stop + gap or start + length + gap <= first for first, stop in taken):
            taken.append((start, start + length))
            return start
    return None
