"""Scenes made on the fly: who speaks when, in what room, in what noise, by what microphone; labelled from the clean side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from entrain_training.augment import Samples, at_peak, in_room, loudest, microphone, mixed, one_of, stretch
from entrain_training.vad.labels import FRAME, Labels, tidy
from entrain_training.vad.voices import Utterance, Voices

NOISE_ONLY = 0.3  # of the scenes: noise alone must not wake anybody
N_TALKERS = (0.55, 0.3, 0.15)  # one, two, three at once
CLEAN, FAR, THROUGH = 0.2, 0.6, 0.6  # shares without noise; in a room; by a microphone that colours
SNR_DB, HISS_DB, PEAK_DB = (-5.0, 20.0), (-60.0, -25.0), (-40.0, -1.0)
GAP_S = (0.15, 4.0)  # mean pause of a talker, drawn in logarithm


class Example(NamedTuple):
    """A stretch to learn from."""

    samples: Samples  # (T · 160,)
    labels: Labels  # (T,)
    counts: NDArray[np.bool_]  # (T,): False where it is padding


class Source(Protocol):
    """Where examples come from."""

    def draw(self, n: int, rng: np.random.Generator) -> Example:
        """One of `n` frames."""
        ...


@dataclass
class Mixes:
    """Scenes without end."""

    voices: Voices
    noise: Sequence[Samples]
    rooms: Sequence[Samples]

    def __post_init__(self) -> None:
        weight = np.sqrt([sum(len(u.labels) for u in said) for said in self.voices])
        self._share = (
            weight / weight.sum()
        )  # who has said much is heard more often, but does not drown the others

    def draw(self, n: int, rng: np.random.Generator) -> Example:
        return self.scene(n, rng, None if rng.random() < CLEAN else float(rng.uniform(*SNR_DB)))

    def scene(
        self, n: int, rng: np.random.Generator, snr_db: float | None, silent: bool | None = None
    ) -> Example:
        """With noise at `snr_db` below the loudest half second of speech (None: hiss only). `silent`: noise alone (three in ten of all)."""
        if silent is None:
            silent = rng.random() < NOISE_ONLY
        sound, labels = np.zeros(n * FRAME, np.float32), np.zeros(n, bool)
        for _ in range(0 if silent else 1 + rng.choice(len(N_TALKERS), p=N_TALKERS)):
            talk, spoken = talker(self.voices[rng.choice(len(self.voices), p=self._share)], n, rng)
            if rng.random() < FAR:
                talk = in_room(talk, one_of(self.rooms, rng))
            sound, labels = sound + talk, labels | spoken
        sound = self._noisy(sound, rng, snr_db)
        if rng.random() < THROUGH:
            sound = microphone(rng)(sound)
        return Example(at_peak(sound, rng.uniform(*PEAK_DB)), labels, np.ones(n, bool))

    def _noisy(self, sound: Samples, rng: np.random.Generator, snr_db: float | None) -> Samples:
        hiss = coloured(len(sound), rng)
        if not sound.any():
            noise = stretch(retuned(one_of(self.noise, rng), rng), len(sound), rng)
            return mixed(noise, hiss, float(rng.uniform(0, 40)), rng) if rng.random() < 0.9 else hiss
        if snr_db is not None:
            sound = mixed(sound, retuned(one_of(self.noise, rng), rng), snr_db, rng)
        return mixed(sound, hiss, -float(rng.uniform(*HISS_DB)), rng)


def talker(said: Sequence[Utterance], n: int, rng: np.random.Generator) -> tuple[Samples, Labels]:
    """One person's utterances, with pauses, over `n` frames, at a level of their own."""
    sound, labels = np.zeros(n * FRAME, np.float32), np.zeros(n, bool)
    gap_s = np.exp(rng.uniform(*np.log(GAP_S)))
    at = int(rng.integers(-200, 100))  # the first may have begun already
    level_db = rng.uniform(-8, 0)
    while at < n:
        samples, spoken = said[rng.integers(len(said))]
        skip, m = max(0, -at), min(len(spoken), n - at)
        if skip < m:
            gain = 10 ** ((level_db + rng.uniform(-3, 3)) / 20)
            place = slice((at + skip) * FRAME, (at + m) * FRAME)
            sound[place] += gain * samples[skip * FRAME : m * FRAME] / np.sqrt(loudest(samples) + 1e-9)
            labels[at + skip : at + m] |= spoken[skip:m]
        at += len(spoken) + round(100 * rng.exponential(gap_s))
    return sound, tidy(labels)


def retuned(noise: Samples, rng: np.random.Generator) -> Samples:
    """Faster and higher, or slower and lower, by half an octave at most: two hundred recordings are few."""
    speed = 2 ** rng.uniform(-0.5, 0.5)
    return np.interp(np.arange(0, len(noise) - 1, speed), np.arange(len(noise)), noise).astype(np.float32)


def coloured(n: int, rng: np.random.Generator) -> Samples:
    """Steady noise, white to deep brown."""
    pole = 1 - 10 ** rng.uniform(-2.5, 0)
    return lfilter([1.0], [1.0, -pole], rng.standard_normal(n)).astype(np.float32)
