"""One wake word on recordings: what it misses, what else wakes it, how late it is, how often it wakes for one word and for two."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from entrain.asr import RATE_HZ
from entrain.wake import WakeWord
from entrain_training.augment import mixed, one_of
from entrain_training.clips import Clip, LeftOut, Samples, find, read, read_folders
from entrain_training.schedule import TrainingError
from entrain_training.statistics import Estimate, estimate, mean
from entrain_training.wake import phrases, voices
from entrain_training.wake.recording import made_backgrounds, speech_s
from entrain_training.wake.scores import (
    FRAME_S,
    PAD_S,
    Scores,
    accepted,
    all_scores,
    grid,
    hours,
    missed,
    triggers,
)

N_HALVES, N_PAIRS, N_NEAR = 100, 50, 120
GAP_S = 1.5  # between two words


@dataclass
class Test:
    """What is listened to. Nothing in it should have been trained on."""

    positives: Sequence[Path]
    negatives: Sequence[Path]
    backgrounds: Sequence[Path] = ()
    near: Sequence[str] = ()
    voices: Sequence[str] | None = None
    """For near misses; all that are installed."""
    speakers: str | None = None
    """A regular expression whose group is the speaker's name, in a file's name; or "folder"."""
    snr_db: float = 10.0
    seed: int = 1
    only: int | None = None
    """The first so many recordings of each folder."""


@dataclass
class Sounds:
    """All of a test, read once, for every wake word."""

    words: list[Clip]
    ends_s: list[float | None]
    """Where each word ends, by a voice activity detector."""
    noisy: list[Samples]
    others: dict[str, list[Samples]]
    """By folder."""
    others_noisy: dict[str, list[Samples]]
    halves: dict[str, list[Samples]]
    pairs: list[Samples]
    left_out: LeftOut = field(default_factory=LeftOut)

    @property
    def hours(self) -> float:
        return hours([samples for sounds in self.others.values() for samples in sounds])


def sounds(test: Test) -> Sounds:
    left_out, rng = LeftOut(), np.random.default_rng(test.seed)
    words = _clips(test.positives, test, left_out)
    names = [folder.name for folder in test.negatives]
    names = names if len(set(names)) == len(names) else [str(folder) for folder in test.negatives]
    read_ones = zip(names, (_clips([folder], test, left_out) for folder in test.negatives), strict=True)
    others = {name: [clip.samples for clip in found] for name, found in read_ones if found}
    if not words or not others:
        raise TrainingError("nothing to test on: one class only. " + " ".join(left_out.told()))
    noise = [clip.samples for clip in read_folders(test.backgrounds, left_out)]
    noise = noise or made_backgrounds([s for found in others.values() for s in found], rng)
    spans = [speech_s(clip.samples) for clip in words]
    padded = [np.pad(clip.samples, round(PAD_S * RATE_HZ)) for clip in words]
    noisy = [mixed(samples, one_of(noise, rng), test.snr_db, rng) for samples in padded]
    others_noisy = {
        name: [mixed(s, one_of(noise, rng), test.snr_db, rng) for s in found]
        for name, found in others.items()
    }
    there = [(clip.samples, span) for clip, span in zip(words, spans, strict=True) if span][:N_HALVES]
    cut = [(s, round(RATE_HZ * (span[0] + span[1]) / 2)) for s, span in there]
    halves = {"first half of the word": [s[:i] for s, i in cut], "second half": [s[i:] for s, i in cut]}
    gap = np.zeros(round(GAP_S * RATE_HZ), np.float32)
    pairs = [np.concatenate((a, gap, b)) for (a, _), (b, _) in zip(there[::2], there[1::2], strict=False)]
    ends_s = [span[1] if span else None for span in spans]
    return Sounds(words, ends_s, noisy, others, others_noisy, halves, pairs[:N_PAIRS], left_out)


def _clips(folders: Sequence[Path], test: Test, left_out: LeftOut) -> list[Clip]:
    return read((path for folder in folders for path in find(folder)[: test.only]), left_out)


class Point(NamedTuple):
    """What a threshold costs: false accepts per hour and the share of words missed, clean and in noise."""

    threshold: float
    false_clean: float
    missed_clean: float
    false_noisy: float
    missed_noisy: float


@dataclass
class Measured:
    """The scores of one wake word on all of it."""

    name: str
    wake: WakeWord
    clean: list[Scores]
    noisy: list[Scores]
    others: dict[str, list[Scores]]
    others_noisy: dict[str, list[Scores]]
    halves: dict[str, list[Scores]]
    pairs: list[Scores]
    near: dict[str, list[Scores]]
    hours: float

    @cached_property
    def curve(self) -> list[Point]:
        """The lowest threshold first."""
        clean, noisy = flat(self.others), flat(self.others_noisy)
        return [
            Point(
                float(t), accepted(clean, t) / self.hours, missed_share(self.clean, t),
                accepted(noisy, t) / self.hours, missed_share(self.noisy, t),
            )
            for t in grid([*self.clean, *self.noisy, *clean, *noisy])
        ]  # fmt: skip

    def best(self, per_hour: float) -> tuple[float, Estimate]:
        """The lowest threshold with no more false accepts in noise than that on this very test, and what it misses in noise."""
        threshold = next((p.threshold for p in self.curve if p.false_noisy <= per_hour), 1.0)
        return threshold, missed(self.noisy, threshold)

    def latencies_s(self, ends_s: Sequence[float | None]) -> list[float]:
        """From each word's end to its trigger, where there is one; clean."""
        return [
            (hits[0] + 1) * FRAME_S - PAD_S - end_s
            for scores, end_s in zip(self.clean, ends_s, strict=True)
            if end_s is not None and (hits := triggers(scores, self.wake.threshold, self.wake.refractory_s))
        ]

    def woken(self, heard: Sequence[Scores], times: int | None = None) -> Estimate | None:
        """The share of recordings that wake: at all, or so many times; None of no recordings."""
        if not heard:
            return None
        counts = [len(triggers(s, self.wake.threshold, self.wake.refractory_s)) for s in heard]
        hits = [float(n == times if times is not None else n > 0) for n in counts]
        return estimate(np.array([[hit, 1.0] for hit in hits]), mean)


def flat(heard: dict[str, list[Scores]]) -> list[Scores]:
    return [scores for found in heard.values() for scores in found]


def missed_share(heard: Sequence[Scores], threshold: float) -> float:
    return float(np.mean([s.max(initial=0) < threshold for s in heard]))


def measure(
    name: str, wake: WakeWord, heard: Sounds, near: dict[str, list[Samples]], say: Callable[[str], None]
) -> Measured:
    def of(found: Sequence[Samples], what: str) -> list[Scores]:
        say(f"{name}: {what}")
        return all_scores(wake, found)

    return Measured(
        name, wake, of([clip.samples for clip in heard.words], "the word"), of(heard.noisy, "the word in noise"),
        {folder: of(found, folder) for folder, found in heard.others.items()},
        {folder: of(found, f"{folder} in noise") for folder, found in heard.others_noisy.items()},
        {kind: of(found, kind) for kind, found in heard.halves.items()}, of(heard.pairs, "the word twice"),
        {kind: of(found, kind) for kind, found in near.items()}, heard.hours,
    )  # fmt: skip


def near_misses(word: str, test: Test, cache: Path, left_out: LeftOut) -> dict[str, list[Samples]]:
    """By voices: phrases that sound like it, and its parts where it has several words. Other renditions than training's."""
    engines = voices.installed() if test.voices is None else list(test.voices)
    if not engines:
        return {}
    rng = np.random.default_rng(99)
    like = phrases.near(word)
    parts = [phrase for phrase in like if phrase in word and len(word.split()) > 1]
    kinds = {"near misses": [*test.near, *(p for p in like if p not in parts)], "parts of the phrase": parts}
    return {
        kind: [c.samples for c in voices.spoken(voices.lines(texts, test.only or N_NEAR, voices.cast(engines), rng), cache, left_out)]
        for kind, texts in kinds.items() if texts
    }  # fmt: skip


def by_speaker(clips: Sequence[Clip], rule: str) -> dict[str, list[int]]:
    """Speaker → places of the recordings; the rule is a regular expression, or "folder"."""
    found: dict[str, list[int]] = defaultdict(list)
    for i, clip in enumerate(clips):
        if rule == "folder":
            found[clip.path.parent.name].append(i)
        elif match := re.search(rule, clip.path.name):
            found[match[match.re.groups and 1]].append(i)
    if not found:
        raise TrainingError(f"no recording's name matches --speakers {rule!r}.")
    return dict(found)
