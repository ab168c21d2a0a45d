"""Two speakers as series in time: moving averages and the continuous measures, to the digits that are published.

A speaker's talk is `units`: an array (N, 3) of start s, end s, value, in time order; NaN where a value is missing (`units`
turns None into it). Nothing public here returns NaN but `moving_average`; what is undefined is None.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from entrain.turn import FEATURES, Finite, Record, Turn

Array = NDArray[np.float64]
Talk = Mapping[str, Array]  # one conversation: speaker → units

MIN_PAIRS = 4  # fewer, and a correlation is undefined
LAGS_S = (-15.0, -10.0, -5.0, 0.0, 5.0, 10.0, 15.0)


class MeasureError(ValueError):
    """What was given can't be measured; the message says why and what to give."""


class Continuous(Record):
    """The continuous measures of two speakers (Gálvez et al. 2020)."""

    proximity: Finite
    convergence: Finite | None
    synchrony: Finite | None
    """The value of `lags` farthest from 0."""
    lags: dict[float, Finite | None]
    """Seconds that `a` lags behind `b` → correlation."""


def units(rows: Iterable[Sequence[float | None]]) -> Array:
    """(start s, end s, value or None) of one speaker → units (N, 3), in time order."""
    table = np.array([list(row) for row in rows], float).reshape(-1, 3)
    if not np.isfinite(table[:, :2]).all():
        raise MeasureError(
            "a unit has no start or end; give both in seconds, and None for a missing value only."
        )
    return table[np.argsort(table[:, 0], kind="stable")]


def correlation(x: Array, y: Array) -> float | None:
    """Pearson's r of `x` and `y` (N,); pairs with a missing value are left out. None: under four pairs, or no spread."""
    known = np.isfinite(x) & np.isfinite(y)
    return defined(pearson(x[known], y[known][None])[0])


def moving_average(
    of: Array, frame_s: float = 16.0, step_s: float = 8.0, until_s: float | None = None
) -> Array:
    """Time-aligned moving average (Kousidis et al. 2008): (T,), NaN for frames without a unit.

    Frame i spans [i·step, i·step + frame); its value is Σ dᵤ·vᵤ / Σ dᵤ of the units that touch it, d being their *whole*
    duration. `until_s`: where the recording ends, else the last unit's end.
    """
    return of[:, 2][np.isfinite(of[:, 2])] @ frames(of, frame_s, step_s, until_s).T


def cross_correlation(a: Array, b: Array, lags: Iterable[int] = range(6)) -> list[float | None]:
    """Of two frame series (T,), at lags in frames: Σ (aᵢ − ā)(bᵢ₋ₗ − b̄) / √(Σ(a − ā)²·Σ(b − b̄)²), as TAMA has it.

    Means and sums of squares are of whole series, so late lags shrink. None: under four pairs, or no spread.
    """
    if a.shape != b.shape:
        raise MeasureError(f"the series have {len(a)} and {len(b)} frames; give both the same `until_s`.")
    if min(np.isfinite(a).sum(), np.isfinite(b).sum()) < MIN_PAIRS:
        return [None for _ in lags]
    a, b = a - np.nanmean(a), b - np.nanmean(b)
    norm = np.sqrt(np.nansum(a**2) * np.nansum(b**2))
    products = [np.multiply(*lagged(a, b, lag)) for lag in lags]
    return [
        defined(np.nansum(p) / norm if np.isfinite(p).sum() >= MIN_PAIRS and norm else np.nan)
        for p in products
    ]


def continuous(
    a: Array, b: Array, k: int = 7, step_s: float = 0.01, lags_s: Sequence[float] = LAGS_S
) -> Continuous:
    """Both speakers' values as functions of time, compared wherever both are defined (Gálvez et al. 2020).

    f(t) is the plain mean of the k units whose midpoints lie nearest to t; of two equally near the earlier counts. The grid
    runs from the later first midpoint to the earlier last one. Proximity −|ā − b̄|; convergence r(−|a − b|, t); synchrony
    Σ(a(t + l) − ā)(b(t) − b̄), normalised by what overlaps, ā and b̄ being of the whole. Raises `MeasureError` for under k
    units or no common time.
    """
    t = grid(a, b, step_s)
    of_a, of_b = (u[:, 2][np.isfinite(u[:, 2])] @ nearest(u, t, k).T for u in (a, b))
    found: dict[float, float | None] = {}
    for lag_s in lags_s:
        near_a, near_b = lagged(of_a - of_a.mean(), of_b - of_b.mean(), round(lag_s / step_s))
        norm = np.sqrt(np.sum(near_a**2) * np.sum(near_b**2))
        found[lag_s] = defined(np.sum(near_a * near_b) / norm) if norm > 0 else None
    return Continuous(
        proximity=0.0 - abs(float(of_a.mean() - of_b.mean())),
        convergence=correlation(-np.abs(of_a - of_b), t),
        synchrony=max((r for r in found.values() if r is not None), key=abs, default=None),
        lags=found,
    )


# --- Reading ----------------------------------------------------------------------------------------------------------


def of_turns(turns: Iterable[Turn], feature: str) -> Talk:
    """A conversation of entrain's, by the chosen one of `FEATURES`."""
    if feature not in FEATURES:
        raise MeasureError(f"there is no feature {feature!r}. Select one of {', '.join(FEATURES)}.")
    turns = list(turns)
    return {
        who: units((t.start_s, t.end_s, getattr(t.features, feature)) for t in turns if t.speaker == who)
        for who in ("agent", "user")
    }


def read_table(path: str | PathLike[str], feature: str = "rate", min_words: int = 3) -> dict[str, Talk]:
    """The conversations of a turn table: .csv or .csv.gz, columns conv, speaker, start, end (s), and the feature's.

    Turns under `min_words` are passed over where there is a column n_words: the rate of a "yeah" is mostly noise.
    """
    rows: dict[str, dict[str, list[tuple[float, ...]]]] = {}
    opened = gzip.open if str(path).endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        table = csv.DictReader(file)
        columns = ("start", "end", feature)
        if missing := [c for c in ("conv", "speaker", *columns) if c not in (table.fieldnames or ())]:
            raise MeasureError(
                f"{path} has no column {missing[0]!r}; it has {', '.join(table.fieldnames or ())}."
            )
        for row in table:
            try:
                if int(row.get("n_words") or min_words) < min_words:
                    continue
                values = tuple(float(row[c] or "nan") for c in columns)
            except ValueError as error:
                raise MeasureError(f"{path}, line {table.line_num}: {error}") from error
            rows.setdefault(row["conv"], {}).setdefault(row["speaker"], []).append(values)
    return {conv: {who: units(turns) for who, turns in talk.items()} for conv, talk in rows.items()}


# --- The same as weights, for many draws at once ----------------------------------------------------------------------


def frames(of: Array, frame_s: float, step_s: float, until_s: float | None) -> Array:
    """Each frame's weights of the units with a value: (T, N), NaN in frames that none touches."""
    known = of[np.isfinite(of[:, 2])]
    starts = np.arange(0, of[:, 1].max(initial=0.0) if until_s is None else until_s, step_s)[:, None]
    touch = np.maximum(starts, known[:, 0]) < np.minimum(starts + frame_s, known[:, 1])  # (T, N)
    weights = touch * (known[:, 1] - known[:, 0])
    total = weights.sum(1, keepdims=True)
    return np.divide(weights, total, out=np.full(weights.shape, np.nan), where=total > 0)


def nearest(of: Array, t: Array, k: int) -> Array:
    """Each moment's weights of the units with a value: (T, N)."""
    middle = of[np.isfinite(of[:, 2]), :2].mean(1)
    if len(middle) < k:
        raise MeasureError(
            f"there are {len(middle)} units with a value; k = {k} needs as many. Give a smaller k."
        )
    distance = np.abs(t[:, None] - middle).round(9)  # so that equally near is equal
    weights = np.zeros(distance.shape)
    np.put_along_axis(weights, np.argsort(distance, 1, kind="stable")[:, :k], 1 / k, 1)
    return weights


def grid(a: Array, b: Array, step_s: float) -> Array:
    """The moments (T,) where both are defined: from the later first midpoint to the earlier last one, both in it."""
    middles = [u[np.isfinite(u[:, 2]), :2].mean(1) for u in (a, b)]
    first, last = max(m.min(initial=np.inf) for m in middles), min(m.max(initial=-np.inf) for m in middles)
    if not first < last:
        raise MeasureError("the speakers have no time in common; give both on one clock, in seconds.")
    return np.minimum(np.arange(first, last + step_s, step_s), last)


def lagged(a: Array, b: Array, lag: int) -> tuple[Array, Array]:
    """What overlaps of two series along the first axis, `a` being `lag` steps later."""
    return (a[lag:], b[: max(0, len(b) - lag)]) if lag >= 0 else (a[:lag], b[-lag:])


def pearson(x: Array, y: Array) -> Array:
    """Pearson's r of `x` (N,) with each row of `y` (D, N): (D,), NaN where undefined."""
    if len(x) < MIN_PAIRS:
        return np.full(len(y), np.nan)
    dx, dy = x - x.mean(), y - y.mean(1, keepdims=True)
    flat = 1e-20 * (np.sum(x**2) * np.sum(y**2, 1) + 1e-300)  # what rounding leaves of no spread
    squares = np.sum(dx**2) * np.sum(dy**2, 1)
    return np.clip(
        np.divide(dy @ dx, np.sqrt(squares), out=np.full(len(y), np.nan), where=squares > flat), -1, 1
    )


def defined(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
