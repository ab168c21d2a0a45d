"""Speakers' turns in random orders, each normalised by what was heard of the speaker so far: the same for training and for testing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from entrain.manner import Prior, Running
from entrain_training.emotion.study import Normalise

Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]
Speakers = NDArray[np.str_]  # (N,)
LEAST_SD = 1e-6


def prior(
    values: Floats, valid: Bits, speakers: Speakers, normalise: Normalise, count: float, spread_count: float
) -> Prior:
    """From the training speakers' measures (N, F): the mean of their means and their spread within a speaker; or, where nothing is
    learnt of a speaker, mean and spread over all turns."""
    known = np.where(valid, values, np.nan)
    with np.errstate(all="ignore"):
        if normalise == "none":
            return Prior(_plain(known), _spread(known), np.inf, spread_count)
        each = [known[speakers == speaker] for speaker in sorted(set(speakers.tolist()))]
        mean = _plain(np.stack([_plain(of) for of in each]))
        sd = np.sqrt(np.mean([_spread(of) ** 2 for of in each], axis=0))
    return Prior(mean, sd, count, spread_count)


def _plain(x: Floats) -> Floats:
    """Mean of the values that are there (N, F) → (F,), 0 where there are none."""
    n = np.isfinite(x).sum(0)
    return np.nansum(x, axis=0) / np.maximum(n, 1)


def _spread(x: Floats) -> Floats:
    return np.maximum(np.sqrt(_plain((x - _plain(x)) ** 2)), LEAST_SD)


def heard(
    start: Prior, values: Floats, valid: Bits, speakers: Speakers, normalise: Normalise, orders: int, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.int_]]:  # fmt: skip
    """z of each turn as it comes in `orders` random orders (M, F), and which row each was (M,). Where nothing is learnt on the way
    there is one order, of no matter."""
    z, rows = [], []
    for speaker in sorted(set(speakers.tolist())):
        theirs = np.flatnonzero(speakers == speaker)
        for _ in range(orders if normalise == "online" else 1):
            found, order = in_order(start, values[theirs], valid[theirs], normalise, rng)
            z.append(found)
            rows.append(theirs[order])
    return np.concatenate(z), np.concatenate(rows)


def in_order(
    start: Prior, values: Floats, valid: Bits, normalise: Normalise, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.int_]]:
    """One speaker's turns (n, F) in a random order: z (n, F) and the order."""
    order = rng.permutation(len(values))
    if normalise == "whole":  # what no live system can: later turns too
        start = replace(start, count=1e-9, spread_count=1e-9)
    states = [Running.of(None, values.shape[1])]
    for i in order:
        states.append(start.observe(states[-1], values[i], valid[i]))
    known = [states[-1]] * len(order) if normalise == "whole" else states[1:]
    return np.stack([start.z(s, values[i], valid[i]) for s, i in zip(known, order, strict=True)]), order
