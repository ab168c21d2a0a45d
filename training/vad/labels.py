"""What is speech, every 10 ms: from a meeting's RTTM, or from the clean side of a mix."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.stats import rankdata

from entrain_training.augment import Samples, loudest
from entrain_training.schedule import TrainingError

FRAME = 160  # samples at 16 kHz: 10 ms
WINDOW = 400  # 25 ms
BELOW_DB, ABOVE_DB = 30.0, 8.0  # of the loudest half second; of the recording's own floor
FILL_S, DROP_S = 0.5, 0.06  # the segments of meetings run through shorter pauses; a click is no speech

Labels = NDArray[np.bool_]  # (T,)
Segments = list[tuple[float, float, str]]
"""(start, end, speaker), seconds, in order."""


def spoken(samples: Samples) -> Labels:
    """Of clean speech `(N,)`, where it is: `(N // 160,)`. A frame counts whose level over 25 ms is within 30 dB of the loudest half
    second's and 8 dB over the floor (the softest tenth, where a tenth is no speech); pauses under .5 s are filled, bursts under .06 s dropped."""
    power = uniform_filter1d(samples.astype(np.float64) ** 2, WINDOW)
    level_db = 10 * np.log10(power[FRAME // 2 :: FRAME][: len(samples) // FRAME] + 1e-12)
    if not len(level_db):
        return np.zeros(0, bool)
    top_db = 10 * np.log10(loudest(samples) + 1e-12)
    floor_db = min(np.percentile(level_db, 10), top_db - BELOW_DB)
    return tidy(level_db > max(top_db - BELOW_DB, floor_db + ABOVE_DB))


def tidy(labels: Labels) -> Labels:
    """With short pauses filled, then short bursts dropped."""
    labels = labels.copy()
    for value, least_s in ((False, FILL_S), (True, DROP_S)):
        for start, end in runs(labels == value):
            if end - start < least_s * 100 and (value or (start > 0 and end < len(labels))):
                labels[start:end] = not value
    return labels


def runs(labels: Labels) -> NDArray[np.int64]:
    """Where it is true without a break: `(R, 2)`, start and end in frames."""
    edges = np.diff(np.concatenate(([0], labels.astype(np.int8), [0])))
    return np.stack((np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)), axis=1)


def marked(segments: Segments, n: int) -> Labels:
    """Where somebody speaks: `(n,)`."""
    label = np.zeros(n, bool)
    for start_s, end_s, _ in segments:
        label[round(start_s * 100) : round(end_s * 100)] = True
    return label


def auc(score: NDArray[np.float32], label: Labels) -> float:
    """That speech scores higher than no speech, ties by half; NaN where there is only one of the two."""
    n_true, n_false = int(label.sum()), int((~label).sum())
    if not n_true or not n_false:
        return float("nan")
    return float((rankdata(score)[label].sum() - n_true * (n_true + 1) / 2) / (n_true * n_false))


def rttm(path: Path) -> dict[str, Segments]:
    """Recording → (start, end, speaker), seconds, in order. Raises `TrainingError` where it can't be read."""
    found: dict[str, Segments] = defaultdict(list)
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("SPEAKER"):
                _, recording, _, start, duration, _, _, speaker, *_ = line.split()
                found[recording].append((float(start), float(start) + float(duration), speaker))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} can't be read as RTTM ({error}).") from error
    return {recording: sorted(segments) for recording, segments in found.items()}
