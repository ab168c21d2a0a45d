"""Intervals and p-values over conversations are those that scipy gives the slow way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from entrain_training.statistics import Estimate, estimate, mean, r2, sign_flip, skill


def conversations(seed: int, n: int = 40) -> np.ndarray:
    """Totals and counts (n, 2) of conversations of unlike length."""
    rng = np.random.default_rng(seed)
    count = rng.integers(5, 80, n).astype(float)
    return np.stack([count * rng.normal(0.4, 0.1, n), count], 1)


def test_the_interval_is_the_bootstrap_over_conversations():
    sums = conversations(1)
    found = estimate(sums, mean)
    slow = stats.bootstrap(
        (sums[:, 0], sums[:, 1]), lambda a, b, axis: a.sum(axis) / b.sum(axis), paired=True,
        n_resamples=2000, method="percentile", random_state=0,
    ).confidence_interval  # fmt: skip
    assert found.value == pytest.approx(sums[:, 0].sum() / sums[:, 1].sum())
    assert (found.low, found.high) == pytest.approx((slow.low, slow.high), abs=0.003)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    inside = [(e := estimate(conversations(seed), mean)).low <= 0.4 <= e.high for seed in range(200)]
    assert 0.88 <= np.mean(inside) <= 0.98


def test_one_conversation_has_no_interval():
    assert estimate(np.array([[2.0, 4.0]]), mean) == Estimate(value=0.5)


@given(st.lists(st.floats(-5, 5).filter(lambda x: abs(x) > 1e-3), min_size=4, max_size=10))
def test_p_is_that_of_all_sign_flips(difference: list[float]):
    d = np.array(difference)
    exact = [
        stats.permutation_test((d,), np.sum, permutation_type="samples", alternative=side, n_resamples=np.inf).pvalue
        for side in ("greater", "two-sided")
    ]  # fmt: skip
    assert sign_flip(d)[0] == pytest.approx(exact[0], abs=0.02)
    both = np.mean(np.abs([np.sum(d * s) for s in np.array(np.meshgrid(*[[-1, 1]] * len(d))).reshape(len(d), -1).T])
                   >= abs(d.sum()) - 1e-9)  # fmt: skip
    assert sign_flip(d)[1] == pytest.approx(both, abs=0.02)


def test_no_difference_at_all_is_no_evidence():
    assert sign_flip(np.zeros(20)) == (1.0, 1.0)


def test_the_figures():
    assert skill(np.array([3.0, 4.0])) == 0.25
    y, said = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.0, 5.0])
    sums = np.array([((y - said) ** 2).sum(), y.sum(), (y**2).sum(), 4.0])
    assert r2(sums) == pytest.approx(1 - 1 / 5)
    assert r2(np.array([1.0, 4.0, 4.0, 4.0])) == 0  # values that don't vary
