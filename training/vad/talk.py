"""Who speaks when: talkers who know nothing of each other, and people who take turns as in a meeting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.signal import lfilter

from entrain_training.augment import Samples, in_room, loudest, one_of, stretch
from entrain_training.vad.labels import FRAME, Labels, tidy
from entrain_training.vad.voices import Utterance

GAP_S = (0.15, 4.0)  # mean pause of a talker, drawn in logarithm
RETUNED = 0.7  # of the talkers speak faster and higher or slower and lower, by up to a quarter of an octave
FAR = 0.6  # of the talkers are in a room
PARTY = (2, 5)  # people in a meeting, the last number not among them
SPREAD_DB = 10.0  # of their levels: who sits far from the microphone is heard as well
TURN_GAP_S = (0.2, 0.5)  # mean and spread from one turn to the next: some begin before the other has ended
LULL, LULL_S = 0.2, 3.0  # share of turns after which nobody speaks for a while, and how long in the mean
MORE = 0.5  # chance that a turn goes on with another utterance
N_BUMPS, BUMP_S, BUMP_DB = 6, (0.05, 0.6), (-30.0, 0.0)


class Talk(NamedTuple):
    """Speech without noise."""

    sound: Samples  # (T · 160,)
    labels: Labels  # (T,)


class Speaker:
    """Somebody, at a place and a tempo of their own, who fills in what they say as it comes."""

    def __init__(self, said: Sequence[Utterance], n: int, level_db: float, rng: np.random.Generator) -> None:
        self.said, self.level_db, self.rng = said, level_db, rng
        self.speed = 2 ** rng.uniform(-0.25, 0.25) if rng.random() < RETUNED else 1.0
        self.sound, self.labels = np.zeros(n * FRAME, np.float32), np.zeros(n, bool)

    def speak(self, at: int) -> int:
        """An utterance from frame `at` on (below 0: it has begun already); the frame after it."""
        samples, spoken = retimed(self.said[self.rng.integers(len(self.said))], self.speed)
        skip, m = max(0, -at), min(len(spoken), len(self.labels) - at)
        if skip < m:
            gain = 10 ** ((self.level_db + self.rng.uniform(-3, 3)) / 20)
            place = slice((at + skip) * FRAME, (at + m) * FRAME)
            self.sound[place] += gain * samples[skip * FRAME : m * FRAME] / np.sqrt(loudest(samples) + 1e-9)
            self.labels[at + skip : at + m] |= spoken[skip:m]
        return at + len(spoken)

    def heard(self, rooms: Sequence[Samples]) -> Talk:
        sound = tilted(self.sound, self.rng)
        far = self.rng.random() < FAR
        return Talk(in_room(sound, one_of(rooms, self.rng)) if far else sound, tidy(self.labels))


def retimed(utterance: Utterance, speed: float) -> Utterance:
    """As on a tape that runs `speed` times as fast; whole frames only."""
    samples, labels = utterance
    m = int(len(samples) / speed) // FRAME
    if speed == 1 or not m:
        return Utterance(samples[: len(labels) * FRAME], labels)
    at = np.arange(m * FRAME) * speed
    again = np.interp(at, np.arange(len(samples)), samples).astype(np.float32)
    return Utterance(again, labels[np.minimum((np.arange(m) * speed).astype(int), len(labels) - 1)])


def alone(said: Sequence[Utterance], n: int, rooms: Sequence[Samples], rng: np.random.Generator) -> Talk:
    """One person's utterances, with pauses, over `n` frames."""
    gap_s = np.exp(rng.uniform(*np.log(GAP_S)))
    at = int(rng.integers(-200, 100))
    speaker = Speaker(said, n, rng.uniform(-8, 0), rng)
    while at < n:
        at = speaker.speak(at) + round(100 * rng.exponential(gap_s))
    return speaker.heard(rooms)


def in_turns(
    people: Sequence[Sequence[Utterance]], n: int, rooms: Sequence[Samples], rng: np.random.Generator
) -> Talk:
    """A meeting: loud and soft people, one after the other, at times at once, at times none."""
    speakers = [Speaker(said, n, rng.uniform(-SPREAD_DB, 0), rng) for said in people]
    at = int(rng.integers(-200, 100))
    while at < n:
        who = speakers[rng.integers(len(speakers))]
        at = who.speak(at)
        while rng.random() < MORE:
            at = who.speak(at + round(100 * rng.exponential(0.25)))
        at += round(100 * (rng.exponential(LULL_S) if rng.random() < LULL else rng.normal(*TURN_GAP_S)))
    heard = [speaker.heard(rooms) for speaker in speakers]
    return Talk(sum(talk.sound for talk in heard), np.any([talk.labels for talk in heard], axis=0))  # pyright: ignore


def bumps(n: int, noise: Sequence[Samples], rng: np.random.Generator) -> Samples:
    """Cups, papers, breaths: up to six short noises, at −30 to 0 dB re the loudest talker's half second; `(n,)`."""
    sound = np.zeros(n, np.float32)
    for _ in range(rng.integers(N_BUMPS + 1)):
        m = min(n, round(rng.uniform(*BUMP_S) * 16_000))
        burst = coloured(m, rng) if rng.random() < 0.5 else stretch(one_of(noise, rng), m, rng)
        burst = burst * np.sin(np.pi * np.arange(m) / m) ** rng.uniform(0.2, 2)
        at = int(rng.integers(n - m + 1))
        sound[at : at + m] += burst * 10 ** (rng.uniform(*BUMP_DB) / 20) / (np.std(burst) + 1e-6)
    return sound


def tilted(sound: Samples, rng: np.random.Generator) -> Samples:
    """Half of the time as it is, else darker or brighter, by up to 10 dB from the lowest to the highest frequency."""
    much = np.float32(rng.uniform(-0.5, 0.5)) if rng.random() < 0.5 else 0
    return sound + much * np.roll(sound, 1) if much else sound


def coloured(n: int, rng: np.random.Generator) -> Samples:
    """Steady noise, white to deep brown."""
    pole = 1 - 10 ** rng.uniform(-2.5, 0)
    return lfilter([1.0], [1.0, -pole], rng.standard_normal(n)).astype(np.float32)
