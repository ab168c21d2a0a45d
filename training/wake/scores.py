"""How a wake word scores recordings, frame by frame, and what follows from a threshold: triggers, misses, false accepts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from entrain.asr import RATE_HZ
from entrain.embedding import FRAME
from entrain.wake import WakeWord
from entrain.wake_net import Head, HeadScorer
from entrain_training.clips import Samples
from entrain_training.statistics import Estimate, estimate, mean
from entrain_training.wake.embed import whole

FRAME_S = FRAME / RATE_HZ
Scores = NDArray[np.float64]  # (K,), of the stream after each 80 ms
TAIL, HIGHEST = 30, 0.9999
PAD_S = 0.5  # of silence around a recording: a word may end where it does


def scores(wake: WakeWord, samples: Samples) -> Scores:
    """Of each 80 ms of `(N,)`, smoothed, as a fresh stream would give them; a head's in a ninth of the time."""
    padded, stream = np.pad(samples, round(PAD_S * RATE_HZ)).astype(np.float32), wake.stream()
    if isinstance(stream.scorer, HeadScorer):
        return _of_head(stream.scorer.head, wake.smooth, padded)
    return np.array([stream.score(frame) for frame in stream.frames.feed(padded)])


def all_scores(wake: WakeWord, sounds: Sequence[Samples]) -> list[Scores]:
    return [scores(wake, samples) for samples in sounds]


def _of_head(head: Head, smooth: int, samples: Samples) -> Scores:
    n, embeddings = head.config.n_embeddings, whole()
    heard = np.concatenate((np.repeat(embeddings.silence, n - 1, 0), embeddings.embed(samples)))
    windows = np.lib.stride_tricks.sliding_window_view(heard, n, axis=0).transpose(0, 2, 1)  # (K, n, 96)
    each = np.concatenate((np.zeros(smooth - 1), head(windows)))
    return np.convolve(each, np.full(smooth, 1 / smooth), "valid")


def peaks(scores: Scores, refractory_s: float = 1.5) -> Scores:
    """The highest of each stretch of that length: what could have been a trigger."""
    n = round(refractory_s / FRAME_S)
    return np.array([scores[i : i + n].max() for i in range(0, len(scores), n)])


def triggers(scores: Scores, threshold: float, refractory_s: float = 1.5) -> list[int]:
    """The frames at which the stream would wake: not again within `refractory_s`, as live."""
    found: list[int] = []
    deaf = round(refractory_s / FRAME_S, 6)
    for frame in np.flatnonzero(scores >= threshold).tolist():
        if not found or frame - found[-1] >= deaf:
            found.append(frame)
    return found


def missed(heard: Sequence[Scores], threshold: float) -> Estimate:
    """The share of recordings of the word in which it is not heard, with the interval of a bootstrap over recordings."""
    return estimate(np.array([[float(s.max(initial=0) < threshold), 1.0] for s in heard]), mean)


def accepted(heard: Sequence[Scores], threshold: float) -> int:
    """How often something else wakes."""
    return sum(len(triggers(s, threshold)) for s in heard)


def per_hour(count: int, hours: float) -> Estimate:
    """With the exact Poisson interval."""
    low = chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    return Estimate(
        value=count / hours, low=float(low) / hours, high=float(chi2.ppf(0.975, 2 * count + 2)) / 2 / hours
    )


def hours(sounds: Sequence[Samples]) -> float:
    return sum(map(len, sounds)) / RATE_HZ / 3600


def grid(heard: Sequence[Scores], n: int = 200) -> Scores:
    """Thresholds that tell these scores apart, lowest first: the highest of each recording, `n` at most, and .01 to .999."""
    peaks = np.array([s.max(initial=0) for s in heard] or [0.5])
    even = 1 / (1 + np.exp(-np.linspace(-4.6, 9.2, n)))
    return np.unique(np.clip(np.concatenate((np.quantile(peaks, np.linspace(0, 1, n)), even)), 1e-4, 1.0))


def threshold_for(heard: Sequence[Scores], hours: float, per_hour: float) -> float:
    """At which sound without the word, of which `hours` were heard, is expected to wake so often. A rate that low has few events to be
    counted on: so the highest `TAIL` peaks are taken to thin out exponentially in logits, as tails do (peaks over threshold)."""
    found = _logit(np.sort(np.concatenate([peaks(s) for s in heard] or [np.zeros(0)]))[::-1])
    if not len(found):
        return HIGHEST
    n = min(TAIL, len(found))
    least = found[n - 1]
    scale = float(np.mean(found[:n] - least))
    wanted = least + scale * np.log(n / (hours * per_hour))
    return float(np.clip(1 / (1 + np.exp(-wanted)), 0.05, HIGHEST))


def _logit(p: Scores) -> Scores:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))
