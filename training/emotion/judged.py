"""How well a model hears emotion in people whom it does not know, turn after turn in random orders; and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entrain.audio import Audio
from entrain.emotion import Judge, Manner
from entrain.emotion_mean import Mean
from entrain.emotion_svm import Svm
from entrain_training.emotion.measured import Measured
from entrain_training.statistics import Estimate, estimate

Floats = NDArray[np.float64]
ORDERS = 5


@dataclass(frozen=True)
class Judged:
    """M judgements: every test recording, as often as there are orders."""

    labels: tuple[str, ...]
    true: NDArray[np.str_]  # (M,)
    found: NDArray[np.str_]  # (M,)
    speakers: NDArray[np.str_]  # (M,)
    before: NDArray[np.int_]  # (M,), turns of the speaker that were heard before
    likelihood: Floats  # (M,), what probability the true label got
    recordings: NDArray[np.str_]  # (M,), their paths

    def where(self, picked: NDArray[np.bool_]) -> Judged:
        return Judged(self.labels, *(getattr(self, name)[picked] for name in COLUMNS))


COLUMNS = ("true", "found", "speakers", "before", "likelihood", "recordings")


def joined(parts: Sequence[Judged]) -> Judged:
    labels = tuple(sorted({label for part in parts for label in part.labels}))
    return Judged(labels, *(np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS))


def judge(
    model: Judge, test: Measured, orders: int = ORDERS, seed: int = 0, among: Sequence[str] | None = None
) -> Judged:
    """Each speaker's turns in `orders` random orders, the manner knowing only the turns so far. `among`: the labels to choose from,
    where not all that the model knows are in the test."""
    labels = tuple(among or model.labels)
    rng = np.random.default_rng([seed, 17])
    looks = look(model, test)
    rows: list[tuple[str, str, str, int, float, str]] = []
    for speaker in sorted(set(test.speakers.tolist())):
        theirs = np.flatnonzero(test.speakers == speaker)
        for _ in range(orders):
            manner: Manner | None = None
            for before, i in enumerate(rng.permutation(theirs)):
                felt = model.judge(looks[i], manner)
                manner, item = felt.manner, test.items[i]
                p = _among(felt.probabilities or {}, labels)
                best, true = max(p, key=p.__getitem__), p.get(item.emotion, 0.0)
                rows.append((item.emotion, best, speaker, before, true, str(item.path)))
    return Judged(labels, *(np.array(column) for column in zip(*rows, strict=True)))


def _among(p: Mapping[str, float], labels: Sequence[str]) -> dict[str, float]:
    total = sum(p.get(label, 0.0) for label in labels)
    return {label: p.get(label, 0.0) / max(total, 1e-12) for label in labels}


def look(model: Judge, test: Measured) -> list[Any]:
    """What the model looks at in each recording; functionals are there already."""
    if isinstance(model, Svm):
        return list(zip(test.values, test.valid, strict=True))
    if isinstance(model, Mean):
        return list(zip(*(look(member, test) for member in model.members), strict=True))
    return [model.measure(Audio.read(item.path)) for item in test.items]


def recall(judged: Judged) -> Estimate:
    """Unweighted over the emotions; the interval by drawing speakers."""
    labels = sorted(set(judged.true.tolist()))
    hits = _by_speaker(judged, [(judged.true == k) & (judged.found == k) for k in labels])
    counts = _by_speaker(judged, [judged.true == k for k in labels])

    def figure(sums: Floats) -> Floats:
        of_hits, of_counts = np.split(sums, 2, axis=-1)
        there = of_counts > 0
        return (of_hits / np.maximum(of_counts, 1)).sum(-1) / np.maximum(there.sum(-1), 1)

    return estimate(np.concatenate([hits, counts], 1), figure)


def accuracy(judged: Judged) -> Estimate:
    sums = _by_speaker(judged, [judged.true == judged.found, np.ones(len(judged.true), bool)])
    return estimate(sums, lambda s: s[..., 0] / np.maximum(s[..., 1], 1))


def _by_speaker(judged: Judged, columns: Sequence[NDArray[np.bool_]]) -> Floats:
    """How often each is true of each speaker: (S, columns)."""
    names, place = np.unique(judged.speakers, return_inverse=True)
    return np.stack([np.bincount(place, column, len(names)) for column in columns], 1)


def confusion(judged: Judged) -> Floats:
    """Share of each true label (rows) that was taken for each other: (K, K), rows together 1, or 0 where there are none."""
    shares = [
        [((judged.true == t) & (judged.found == f)).sum() for f in judged.labels] for t in judged.labels
    ]
    counts = np.array(shares, float)
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)


def log_loss(judged: Judged) -> float:
    """Mean of −ln of the true label's probability; ln K where nothing is known."""
    return float(-np.log(np.maximum(judged.likelihood, 1e-6)).mean())
