"""How sure a figure is: bootstrap over conversations, and sign-flip tests of differences between them.

Turns of one conversation are not independent, conversations are: so both draw conversations, from sums made once for each.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entrain.turn import Finite, Record

N_DRAWS = 2_000
N_FLIPS = 10_000
Sums = NDArray[np.float64]


class Estimate(Record):
    """A figure and the interval that holds it in 95 % of draws; None where there is only one conversation to draw from."""

    value: Finite
    low: Finite | None = None
    high: Finite | None = None

    @property
    def is_above_0(self) -> bool:
        return self.low is not None and self.low > 0


def estimate(sums: Sums, figure: Callable[[Sums], NDArray[Any]]) -> Estimate:
    """`figure` of the sums (C, K) of C conversations, where `figure` maps any (…, K) to (…). Conversations are drawn with
    replacement, 2,000 times; the interval is from the 2.5th to the 97.5th percentile."""
    value = float(figure(sums.sum(0)))
    if len(sums) < 2:
        return Estimate(value=value)
    low, high = np.percentile(figure(_draws(len(sums)) @ sums), [2.5, 97.5])
    return Estimate(value=value, low=float(low), high=float(high))


@lru_cache(maxsize=32)
def _draws(n: int) -> Sums:
    """How often each of n conversations is drawn: (2,000, n)."""
    rng = np.random.default_rng([n, N_DRAWS])
    return rng.multinomial(n, np.full(n, 1 / n), N_DRAWS).astype(float)


def sign_flip(difference: Sums) -> tuple[float, float]:
    """p of a sum of differences (C,) if each could as well have the other sign: that it is above 0, and that it is not 0."""
    flips = np.random.default_rng(len(difference)).choice([-1.0, 1.0], (N_FLIPS, len(difference)))
    under_chance, found = flips @ difference, difference.sum()
    slack = 1e-12 * np.abs(difference).sum()  # a draw of the very same sum counts, however it was rounded
    above = (under_chance >= found - slack).sum()
    beyond = (np.abs(under_chance) >= abs(found) - slack).sum()
    return float((1 + above) / (1 + N_FLIPS)), float((1 + beyond) / (1 + N_FLIPS))


def mean(sums: Sums) -> NDArray[Any]:
    """Of (…, 2): the total and how many."""
    return sums[..., 0] / sums[..., 1]


def skill(sums: Sums) -> NDArray[Any]:
    """Of (…, 2): a loss and the one it is compared with; 1 is perfect, 0 no better."""
    return 1 - sums[..., 0] / np.maximum(sums[..., 1], 1e-300)


def r2(sums: Sums) -> NDArray[Any]:
    """Of (…, 4): squared errors, values, squared values and how many; 0 where the values don't vary."""
    errors, total, squares, n = np.moveaxis(sums, -1, 0)
    spread = squares - total**2 / n
    return np.where(spread > 1e-12 * n, 1 - errors / np.maximum(spread, 1e-300), 0.0)
