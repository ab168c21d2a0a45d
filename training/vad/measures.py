"""How well speech was heard: by frames, by how soon, each with an interval by bootstrap over recordings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from entrain.turn import Finite, Record
from entrain_training.statistics import Estimate, Sums, estimate, mean
from entrain_training.vad.labels import Labels, auc, runs

AT = 0.5
FALSE_SHARE = 0.05
N_BINS = 400  # of scores, for the interval of the area alone
N_POINTS = 101  # of the curve that is drawn
PAUSE_S = 0.3  # before a start and after an end that are timed: else one can't tell whose speech it was


class Heard(NamedTuple):
    """A recording, as a detector heard it."""

    scores: NDArray[np.float32]  # (T,), every 10 ms
    labels: Labels  # (T,)


class Measures(Record):
    """Of all recordings together; None where there is only speech, or none."""

    auc: Estimate | None
    accuracy: Estimate
    miss: Estimate | None
    false_alarm: Estimate | None
    true_at_5: Finite | None
    """Share of speech found where 5 % of the rest is taken for speech."""
    start_s: tuple[Finite, Finite] | None
    """From where speech starts until it is known: median and 90th percentile."""
    end_s: tuple[Finite, Finite] | None
    roc: tuple[tuple[Finite, Finite], ...]
    """(false alarm, found), for the plot."""


def measure(heard: Sequence[Heard], step_s: float) -> Measures:
    scores, labels = (np.concatenate(part) for part in zip(*heard, strict=True))
    pairs = [(h.scores >= AT, h.labels) for h in heard]  # (said, there)
    timed = [delays(said, there, step_s) for said, there in pairs]
    false, found = curve(scores, labels)
    both = bool(len(false))
    return Measures(
        auc=area(heard) if both else None,
        accuracy=estimate(counted((said == there, ~there | there) for said, there in pairs), mean),
        miss=share((there & ~said, there) for said, there in pairs),
        false_alarm=share((said & ~there, ~there) for said, there in pairs),
        true_at_5=float(np.interp(FALSE_SHARE, false, found)) if both else None,
        start_s=middle([s for starts, _ in timed for s in starts]),
        end_s=middle([s for _, ends in timed for s in ends]),
        roc=thinned(false, found) if both else (),
    )


def counted(pairs: Iterable[tuple[Labels, Labels]]) -> Sums:
    """For each recording, how many frames are what is counted, and of how many: `(C, 2)`."""
    return np.array([(part.sum(), whole.sum()) for part, whole in pairs], float)


def share(pairs: Iterable[tuple[Labels, Labels]]) -> Estimate | None:
    """None where there is nothing to have a share of. A draw of recordings without any counts as 0."""
    sums = counted(pairs)
    return estimate(sums, lambda drawn: drawn[..., 0] / np.maximum(drawn[..., 1], 1)) if sums[:, 1].any() else None  # fmt: skip


def area(heard: Sequence[Heard]) -> Estimate:
    """The area under the curve; its interval from counts of scores in 400 bins, which draws of recordings add up."""
    scores, labels = (np.concatenate(part) for part in zip(*heard, strict=True))
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, N_BINS + 1)[1:-1]))
    counts = [
        [np.bincount(np.searchsorted(edges, h.scores[h.labels == side], "right"), minlength=len(edges) + 1) for side in (True, False)]
        for h in heard
    ]  # fmt: skip
    drawn = estimate(np.array(counts, float).reshape(len(heard), -1), binned_area)
    return Estimate(value=auc(scores, labels), low=drawn.low, high=drawn.high)


def binned_area(counts: Sums) -> NDArray[np.float64]:
    """Of (…, 2 · bins): speech, then the rest, from the lowest score to the highest."""
    speech, rest = np.split(counts, 2, axis=-1)
    below = np.cumsum(rest, -1) - rest / 2
    pairs = speech.sum(-1) * rest.sum(-1)
    return np.where(pairs > 0, (speech * below).sum(-1) / np.maximum(pairs, 1), 0.5)


def curve(scores: NDArray[np.float32], labels: Labels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False alarms and what is found, threshold by threshold, both rising; empty where there is only one class."""
    if labels.all() or not labels.any():
        return np.zeros(0), np.zeros(0)
    from sklearn.metrics import roc_curve

    false, found, _ = roc_curve(labels, scores)
    return false, found


def thinned(false: NDArray[np.float64], found: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    """About a hundred points, even along the curve."""
    along = np.cumsum(np.hypot(np.diff(false, prepend=0), np.diff(found, prepend=0)))
    even = np.linspace(along[0], along[-1], N_POINTS)
    return tuple(zip(np.interp(even, along, false).tolist(), np.interp(even, along, found).tolist(), strict=True))  # fmt: skip


def delays(said: Labels, there: Labels, step_s: float) -> tuple[list[float], list[float]]:
    """Seconds from each start of speech until it is said that somebody speaks, and from each end until it is said that nobody does;
    those only that lie .3 s from other speech, and where it is said at all before the speech or the pause is over. A probability is
    known when its frame is complete."""
    pause, starts, ends = round(PAUSE_S * 100), [], []
    known_s = step_s - 0.01
    edges = runs(there)
    for i, (start, end) in enumerate(edges):
        before = start - (edges[i - 1, 1] if i else 0)
        after = (edges[i + 1, 0] if i + 1 < len(edges) else len(there)) - end
        if start and before >= pause and said[start:end].any():
            starts.append(float(np.argmax(said[start:end])) / 100 + known_s)
        if after >= pause and not said[end : end + after].all():
            ends.append(float(np.argmin(said[end : end + after])) / 100 + known_s)
    return starts, ends


def middle(values: Sequence[float]) -> tuple[float, float] | None:
    return (float(np.median(values)), float(np.percentile(values, 90))) if values else None
