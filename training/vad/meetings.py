"""Labelled recordings: files beside an RTTM, and crops of any length from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from entrain_training.augment import Samples, at_peak, microphone, mixed, one_of
from entrain_training.clips import LeftOut, find, read
from entrain_training.schedule import TrainingError
from entrain_training.vad.labels import FRAME, Labels, marked, rttm
from entrain_training.vad.mixes import PEAK_DB, Example

NOISY, COLOURED = 0.4, 0.5  # shares of crops with other noise; through another microphone
SNR_DB = (5.0, 30.0)


class Meeting(NamedTuple):
    """A recording whose speech is marked."""

    name: str
    samples: Samples  # (N,)
    labels: Labels  # (N // 160,)
    speakers: frozenset[str]


def read_meetings(folder: Path, left_out: LeftOut) -> list[Meeting]:
    """The recordings in `folder` that its .rttm files mark; what has no label or no file is left out by name."""
    marks = {
        name: segments for path in sorted(folder.rglob("*.rttm")) for name, segments in rttm(path).items()
    }
    if not marks:
        raise TrainingError(f"{folder} holds no .rttm with a SPEAKER line; it must say who speaks when.")
    paths = {path.stem: path for path in find(folder)}
    for name in marks.keys() - paths.keys():
        left_out.add(folder / name, "labels without a recording")
    for name in paths.keys() - marks.keys():
        left_out.add(paths[name], "a recording without labels")
    found: list[Meeting] = []
    for path, samples in read([paths[name] for name in sorted(paths.keys() & marks.keys())], left_out):
        segments = marks[path.stem]
        labels = marked(segments, len(samples) // FRAME)
        found.append(Meeting(path.stem, samples, labels, frozenset(who for _, _, who in segments)))
    if not found:
        raise TrainingError(f"{folder} holds no recording that its .rttm marks.")
    return found


def groups(meetings: Sequence[Meeting]) -> list[list[Meeting]]:
    """Apart by who speaks: nobody is heard in two of them."""
    found: list[tuple[set[str], list[Meeting]]] = []
    for meeting in meetings:
        speakers, together = set(meeting.speakers), [meeting]
        for who, others in [g for g in found if g[0] & meeting.speakers]:
            speakers, together = speakers | who, others + together
            found.remove((who, others))
        found.append((speakers, together))
    return [together for _, together in found]


@dataclass
class Crops:
    """Stretches from anywhere; a recording shorter than is asked for comes whole, and silence after it, which does not count."""

    meetings: Sequence[Meeting]
    noise: Sequence[Samples] = ()
    """For variety: mixed into some. With none, the crops are as recorded."""

    def draw(self, n: int, rng: np.random.Generator) -> Example:
        meeting = self.meetings[rng.integers(len(self.meetings))]
        there = len(meeting.labels)
        start, m = int(rng.integers(max(1, there - n + 1))), min(n, there)
        sound = meeting.samples[start * FRAME : (start + m) * FRAME]
        if self.noise:
            sound = self._varied(sound, rng)
        missing = n - m
        return Example(
            np.pad(sound, (0, missing * FRAME)),
            np.pad(meeting.labels[start : start + m], (0, missing)),
            np.arange(n) < m,
        )

    def _varied(self, sound: Samples, rng: np.random.Generator) -> Samples:
        if rng.random() < NOISY:
            sound = mixed(sound, one_of(self.noise, rng), float(rng.uniform(*SNR_DB)), rng)
        if rng.random() < COLOURED:
            sound = microphone(rng)(sound)
        return at_peak(sound, rng.uniform(*PEAK_DB))
