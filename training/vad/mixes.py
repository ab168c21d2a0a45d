"""Scenes made on the fly: who speaks when, in what room, in what noise, by what microphone; labelled from the clean side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from entrain_training.augment import Samples, at_peak, microphone, mixed, one_of, stretch
from entrain_training.vad.labels import FRAME, Labels
from entrain_training.vad.talk import PARTY, Talk, alone, bumps, coloured, in_turns, tilted
from entrain_training.vad.voices import Utterance, Voices

NOISE_ONLY = 0.3  # of the scenes: noise alone must not wake anybody
EVEN = 0.75  # power of how much somebody has said, in how often they are heard: it rises, but nobody drowns the others
TWO_NOISES = 0.4  # of the scenes with noise
MEETING = 0.3  # of the others: people who take turns, in a room with little noise
N_TALKERS = (0.55, 0.3, 0.15)  # one, two, three at once, where they don't
CLEAN, THROUGH = 0.2, 0.6  # shares without noise; by a microphone that colours
SNR_DB, HISS_DB, PEAK_DB = (-5.0, 20.0), (-60.0, -25.0), (-40.0, -1.0)
QUIET_SNR_DB, QUIET_HISS_DB = (15.0, 45.0), (-70.0, -40.0)  # of a meeting

Span = tuple[float, float]


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
        weight = np.power([sum(len(u.labels) for u in said) for said in self.voices], EVEN)
        self._share = weight / weight.sum()

    def draw(self, n: int, rng: np.random.Generator) -> Example:
        snr_db = None if rng.random() < CLEAN else float(rng.uniform(*SNR_DB))
        silent = bool(rng.random() < NOISE_ONLY)
        return (
            self.meeting(n, rng)
            if not silent and rng.random() < MEETING
            else self.scene(n, rng, snr_db, silent)
        )

    def scene(self, n: int, rng: np.random.Generator, snr_db: float | None, silent: bool = False) -> Example:
        """With noise at `snr_db` below the loudest half second of speech (None: hiss only). `silent`: noise alone."""
        talk = Talk(np.zeros(n * FRAME, np.float32), np.zeros(n, bool))
        for _ in range(0 if silent else 1 + rng.choice(len(N_TALKERS), p=N_TALKERS)):
            other = alone(self._somebody(rng), n, self.rooms, rng)
            talk = Talk(talk.sound + other.sound, talk.labels | other.labels)
        return self._recorded(talk, rng, snr_db, HISS_DB)

    def meeting(self, n: int, rng: np.random.Generator) -> Example:
        """Two to four people, who are up to 10 dB apart, and what they knock against."""
        people = [self._somebody(rng) for _ in range(rng.integers(*PARTY))]
        talk = in_turns(people, n, self.rooms, rng)
        talk = Talk(talk.sound + bumps(n * FRAME, self.noise, rng), talk.labels)
        return self._recorded(talk, rng, float(rng.uniform(*QUIET_SNR_DB)), QUIET_HISS_DB)

    def _somebody(self, rng: np.random.Generator) -> Sequence[Utterance]:
        return self.voices[rng.choice(len(self.voices), p=self._share)]

    def _recorded(self, talk: Talk, rng: np.random.Generator, snr_db: float | None, hiss_db: Span) -> Example:
        sound = self._noisy(talk.sound, rng, snr_db, hiss_db)
        if rng.random() < THROUGH:
            sound = microphone(rng)(sound)
        n = len(talk.labels)
        return Example(at_peak(sound, rng.uniform(*PEAK_DB)), talk.labels, np.ones(n, bool))

    def _noisy(
        self, sound: Samples, rng: np.random.Generator, snr_db: float | None, hiss_db: Span
    ) -> Samples:
        hiss = coloured(len(sound), rng)
        if not sound.any():
            noise = self._noise(len(sound), rng)
            return mixed(noise, hiss, float(rng.uniform(0, 40)), rng) if rng.random() < 0.9 else hiss
        if snr_db is not None:
            sound = mixed(sound, self._noise(len(sound), rng), snr_db, rng)
        return mixed(sound, hiss, -float(rng.uniform(*hiss_db)), rng)

    def _noise(self, n: int, rng: np.random.Generator) -> Samples:
        """One recording, or two at once, each in a tempo and a colour of its own: two hundred are few."""
        noise = stretch(retuned(one_of(self.noise, rng), rng), n, rng)
        if rng.random() >= TWO_NOISES:
            return noise
        return mixed(noise, retuned(one_of(self.noise, rng), rng), float(rng.uniform(0, 20)), rng)


def retuned(noise: Samples, rng: np.random.Generator) -> Samples:
    """Faster and higher, or slower and lower, by half an octave at most; darker or brighter."""
    speed = 2 ** rng.uniform(-0.5, 0.5)
    again = np.interp(np.arange(0, len(noise) - 1, speed), np.arange(len(noise)), noise)
    return tilted(again.astype(np.float32), rng)
