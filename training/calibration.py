"""Does the predicted scale mean what it says? Coverage of central intervals, and where in its distribution each value fell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from entrain.model import STUDENT_DF, Likelihood
from entrain.turn import FEATURES, Finite, Record
from entrain_training.baselines import MIN_VALUES
from entrain_training.pooled import Bits, Pooled
from entrain_training.predict import Predictions

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
N_BINS = 10


class Calibration(Record):
    """Of one feature ("all": all together), with our turns as recorded."""

    feature: str
    n: int
    coverage: dict[str, Finite]
    """Share of values inside the central interval that should hold so many per cent: "50" → .5 where all is well."""
    histogram: tuple[Finite, ...]
    """Share of values in each tenth of the predicted distribution: .1 each where all is well."""


def calibration(
    turns: Pooled, predictions: Predictions, likelihood: Likelihood, features: Bits
) -> list[Calibration]:
    """For each feature of `features` (7,) with 100 values, and all. Empty for "smooth_l1", which predicts no scale."""
    if likelihood == "smooth_l1":
        return []
    row = predictions.turn
    rank = ranks(likelihood, turns.target[row] - predictions.location, predictions.scale)
    counted = turns.valid[row] & features
    of = {name: rank[counted[:, i], i] for i, name in enumerate(FEATURES)}
    enough = {name: values for name, values in of.items() if len(values) >= MIN_VALUES}
    if len(enough) > 1:
        enough = {"all": np.concatenate(list(enough.values()))} | enough
    return [_calibration(name, values) for name, values in enough.items()]


def ranks(
    likelihood: Likelihood, error: NDArray[np.float32], scale: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Where each error lies in its predicted distribution, 0 to 1; same shapes."""
    x = error.astype(float) / scale
    return stats.laplace.cdf(x) if likelihood == "laplace" else stats.t.cdf(x, STUDENT_DF)


def half_width(likelihood: Likelihood, share: float) -> float:
    """Of the central interval that holds this share, in scales."""
    upper = (1 + share) / 2
    return float(stats.laplace.ppf(upper) if likelihood == "laplace" else stats.t.ppf(upper, STUDENT_DF))


def _calibration(feature: str, rank: NDArray[np.float64]) -> Calibration:
    distance = np.abs(2 * rank - 1)
    counts, _ = np.histogram(rank, N_BINS, (0.0, 1.0))
    return Calibration(
        feature=feature, n=len(rank), coverage={f"{100 * level:.0f}": float((distance <= level).mean()) for level in LEVELS},
        histogram=tuple((counts / len(rank)).tolist()),
    )  # fmt: skip
