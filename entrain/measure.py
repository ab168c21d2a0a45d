"""Do those who talk with each other entrain? Proximity, convergence, synchrony and the rest, beside sham partners.

Every measure is signed so that more is more alike. Nothing here returns NaN: what is undefined is None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from entrain.series import (  # fmt: skip
    MIN_PAIRS,
    Array,
    MeasureError,
    Talk,
    defined,
    frames,
    grid,
    lagged,
    nearest,
    pearson,
)
from entrain.turn import Finite, Record

RADIUS = 0.5  # in z: two values so near are a recurrence
WINDOW = 5  # exchanges either side of the line of synchrony where recurrences are sought
N_OTHERS = 10  # non-adjacent turns that a turn is compared with, as in the paper
STEP_S = (
    5.0  # of the continuous series in `measure`, where a finer grid moves r by .001 at most (Spjallrómur)
)


class Sham(Record):
    """The same measure with partners who did not hear each other."""

    mean: Finite
    p: Finite
    """Two-sided: the share of draws at least as far from their mean as the real value is, itself counted."""
    draws: int


class Measure(Record):
    """One measure over all conversations: the mean of theirs, weighted by `n`."""

    name: str
    value: Finite | None
    n: int
    """Exchanges of turns, or turns, that it rests on."""
    n_left_out: int
    """… and that were left out since a value is missing."""
    within: Sham | None
    """The partner's values shifted round in time. None where that changes nothing, as for session means."""
    between: Sham | None
    """The partner from another conversation; to be believed from about five conversations on. None where there is one."""
    each: dict[str, Finite | None]
    """By conversation."""


# --- Two speakers: what the measures look at --------------------------------------------------------------------------


class View:
    """Two speakers of a conversation, us and them. `pairs` (E, 3) are the exchanges, where a turn of ours and one of theirs are
    next to one another with nobody's between: our turn, theirs, and whether ours is the later."""

    def __init__(self, conversation: str, us: Array, them: Array, others: Sequence[Array] = ()) -> None:
        self.conversation, self.us, self.them = conversation, us, them
        self.x = {"raw": us[:, 2], "z": _z(us, 0), "level": _z(us, 1)}
        self.y = {"raw": them[:, 2], "z": _z(them, 0), "level": _z(them, 1)}
        self.known = np.isfinite(them[:, 2])
        everybody = (us, them, *others)
        who = np.repeat(np.arange(len(everybody)), [len(u) for u in everybody])
        order = np.argsort(np.concatenate([u[:, 0] for u in everybody]), kind="stable")
        exchange = (who[order[1:]] < 2) & (who[order[:-1]] < 2) & (who[order[1:]] != who[order[:-1]])
        later, earlier = order[1:][exchange], order[:-1][exchange]
        ours = who[later] == 0
        i, j = np.where(ours, later, earlier), np.where(ours, earlier, later) - len(us)
        known = np.isfinite(us[i, 2]) & self.known[j]
        self.pairs = np.stack([i, j, ours], 1)[known]
        left_out = int(np.isnan(us[:, 2]).sum() + np.isnan(them[:, 2]).sum())
        self.n = {"pairs": len(self.pairs), "turns": len(us) + len(them) - left_out}
        self.n_left_out = {"pairs": int(np.sum(~known)), "turns": left_out}

    def filled(self, values: Array, scale: str) -> Array:
        """Sham values (D, known) in the place of theirs, less their drift too where theirs are: (D, M), missing as it is."""
        rows = np.full((len(values), len(self.known)), np.nan)
        t = self.them[self.known, 0] - self.them[self.known, 0].mean()
        drift = np.outer(values @ t, t) / max(t @ t, 1e-300) if scale == "level" else 0.0
        rows[:, self.known] = values - drift
        return rows

    @cached_property
    def smooth(self) -> tuple[Array, Array, Array] | None:
        """A grid of time (T,) and the weights of our and their turns there, (T, N); None where there is too little."""
        try:
            t = grid(self.us, self.them, STEP_S)
            return t, nearest(self.us, t, 7), nearest(self.them, t, 7)
        except MeasureError:
            return None


def _z(of: Array, degree: int) -> Array:
    """Values as z of this speaker here, less their mean (degree 0) or their drift in time (degree 1). No spread is z 0."""
    known = np.isfinite(of[:, 2])
    z = np.full(len(of), np.nan)
    if known.any():
        t = of[known, 0] - of[known, 0].mean()
        v = of[known, 2] - of[known, 2].mean()
        drift = (t @ v) / (t @ t) if degree and t @ t > 0 else 0.0
        z[known] = v - drift * t
        sd = np.std(z[known])
        z[known] = z[known] / sd if sd > 1e-9 * (1e-9 + np.abs(of[known, 2]).max()) else 0.0
    return z


# --- The measures: (view, x (N,), y (D, M)) → (D,), a row of y for each draw ------------------------------------------


def _means(view: View, x: Array, y: Array, ours: NDArray[np.bool_], theirs: NDArray[np.bool_]) -> Array:
    """Distance of the means of the turns marked; NaN where there are none."""
    ours, theirs = ours & np.isfinite(x), theirs & view.known
    if not (ours.any() and theirs.any()):
        return np.full(len(y), np.nan)
    return np.abs(x[ours].mean() - y[:, theirs].mean(1))


def _global_proximity(view: View, x: Array, y: Array) -> Array:
    return -_means(view, x, y, np.ones(len(x), bool), view.known)


def _global_convergence(view: View, x: Array, y: Array) -> Array:
    both = np.concatenate([view.us, view.them])
    half_s = (both[:, 0].min() + both[:, 1].max()) / 2
    ours, theirs = view.us[:, 0] < half_s, view.them[:, 0] < half_s
    return _means(view, x, y, ours, theirs) - _means(view, x, y, ~ours, ~theirs)


def _local_proximity(view: View, x: Array, y: Array) -> Array:
    x, y = x[view.pairs[:, 0]], y[:, view.pairs[:, 1]]
    if len(x) < MIN_PAIRS:
        return np.full(len(y), np.nan)
    apart = np.unique(np.linspace(2, len(x) - 2, N_OTHERS).astype(int))
    others = np.mean([np.abs(x - np.roll(y, by, 1)).mean(1) for by in apart], 0)
    return others - np.abs(x - y).mean(1)


def _local_convergence(view: View, x: Array, y: Array) -> Array:
    i, j, _ = view.pairs.T
    return pearson(np.maximum(view.us[i, 0], view.them[j, 0]), -np.abs(x[i] - y[:, j]))


def _synchrony(view: View, x: Array, y: Array) -> Array:
    return pearson(x[view.pairs[:, 0]], y[:, view.pairs[:, 1]])


def _tama_synchrony(view: View, x: Array, y: Array) -> Array:
    until_s = max(view.us[:, 1].max(), view.them[:, 1].max())
    a = x[np.isfinite(x)] @ frames(view.us, 16, 8, until_s).T
    b = y[:, view.known] @ frames(view.them, 16, 8, until_s).T
    return pearson(a[both := np.isfinite(a) & np.isfinite(b[0])], b[:, both])


def _continuous(view: View, x: Array, y: Array, convergence: bool) -> Array:
    if view.smooth is None:
        return np.full(len(y), np.nan)
    t, ours, theirs = view.smooth
    a, b = x[np.isfinite(x)] @ ours.T, y[:, view.known] @ theirs.T
    return pearson(t, -np.abs(a - b)) if convergence else pearson(a, b)


def _recurrence(view: View, x: Array, y: Array, lines: bool) -> Array:
    """Share of near values among exchanges at most WINDOW apart; or, of those, the share on diagonals of two and more."""
    i, j, _ = view.pairs.T
    shifted = (lagged(x[i], y[:, j].T, lag) for lag in range(-WINDOW, WINDOW + 1))
    near = [np.abs(a[:, None] - b) <= RADIUS for a, b in shifted]  # (E − |lag|, D) each
    hits = np.sum([n.sum(0) for n in near], 0)
    if not lines:
        return hits / max(1, sum(map(len, near)))
    twos = [n[1:] & n[:-1] for n in near]
    on = [np.pad(t, ((1, 0), (0, 0))) | np.pad(t, ((0, 1), (0, 0))) for t in twos]
    return np.divide(np.sum([o.sum(0) for o in on], 0), hits, out=np.full(len(hits), np.nan), where=hits > 0)


def _moved(view: View, x: Array, y: Array, us: bool) -> Array:
    """How much nearer the later speaker of an exchange came to the earlier one's turn since their own last turn."""
    i, j, ours = view.pairs.T
    last = i - 1 if us else j - 1
    same = (ours == us) & (last >= 0)
    i, j, last = i[same], j[same], last[same]
    before = np.abs(x[last] - y[:, j]) if us else np.abs(x[i] - y[:, last])
    nearer = before - np.abs(x[i] - y[:, j])
    nearer = nearer[:, np.isfinite(nearer[0])]
    return nearer.mean(1) if nearer.shape[1] else np.full(len(y), np.nan)


class Kind(NamedTuple):
    """How one measure is had, and from which scale: as measured (in z per speaker no means could come together); z; z less drift."""

    of: Callable[[View, Array, Array], Array]
    scale: str
    counts: str
    meaning: str


LEVITAN, GALVEZ = "Levitan & Hirschberg 2011", "Gálvez et al. 2020"
MEASURES = {
    "global_proximity": Kind(_global_proximity, "raw", "turns", f"−|difference of means| ({LEVITAN})"),
    "global_convergence": Kind(_global_convergence, "raw", "turns", f"how much nearer the means are in the second half ({LEVITAN})"),
    "local_proximity": Kind(_local_proximity, "z", "pairs", f"nearer to the adjacent turn than to ten others ({LEVITAN})"),
    "local_convergence": Kind(_local_convergence, "raw", "pairs", f"r of −|difference| with time ({LEVITAN})"),
    "synchrony": Kind(_synchrony, "level", "pairs", f"r of adjacent turns ({LEVITAN})"),
    "tama_synchrony": Kind(_tama_synchrony, "level", "turns", "r of 16 s frames, 8 s apart (Kousidis et al. 2008)"),
    "knn_convergence": Kind(partial(_continuous, convergence=True), "raw", "turns", f"r of −|a(t) − b(t)| with time ({GALVEZ})"),
    "knn_synchrony": Kind(partial(_continuous, convergence=False), "level", "turns", f"r of a(t) and b(t), k = 7 ({GALVEZ})"),
    "recurrence_rate": Kind(partial(_recurrence, lines=False), "level", "pairs", "share within .5 sd, five exchanges around (Marwan et al. 2007)"),
    "determinism": Kind(partial(_recurrence, lines=True), "level", "pairs", "share of recurrences in runs of two and more (Marwan et al. 2007)"),
    "moved_us": Kind(partial(_moved, us=True), "level", "pairs", "how much nearer our turn is than our last was (sd)"),
    "moved_partner": Kind(partial(_moved, us=False), "level", "pairs", "the same of the partner's"),
}  # fmt: skip


def measure(
    talks: Mapping[str, Talk], names: Sequence[str] = tuple(MEASURES), draws: int = 1000, seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[Measure, ...]:  # fmt: skip
    """Each measure over all conversations (name → `Talk`) with its shams, `draws` of each kind, the same for one `seed`.

    *We* are the agent, or the first by name; of more than two speakers each pair is looked at, so an exchange counts once.
    Raises `MeasureError` for an unknown name, or where nowhere two speakers have two values each.
    """
    if unknown := [name for name in names if name not in MEASURES]:
        raise MeasureError(f"there is no measure {unknown[0]!r}. Select from {', '.join(MEASURES)}.")
    views = [view for name, talk in talks.items() for view in _views(name, talk)]
    if not views:
        raise MeasureError("nowhere have two speakers two values each; give longer talk or another feature.")
    rng = np.random.default_rng(seed)
    sizes: NDArray[np.int64] = np.array([view.known.sum() for view in views], np.int64)
    starts = np.cumsum(sizes) - sizes  # where each view's values begin in the pools
    scales = {MEASURES[name].scale for name in names}
    pools = {scale: np.concatenate([v.y[scale][v.known] for v in views]) for scale in scales}
    talk_of = np.array([list(talks).index(view.conversation) for view in views], int)
    found: dict[str, list[list[Array]]] = {name: [] for name in names}
    for number, view in enumerate(views):
        others = np.flatnonzero(talk_of != talk_of[number])
        donors = [np.full(draws, number), *([rng.choice(others, draws)] if len(others) else [])]
        y = {scale: [view.y[scale][None]] for scale in scales}
        for donor in donors:
            size = np.take(sizes, donor)[:, None]
            shift = rng.integers(0, size, (draws, 1), np.int64) + np.arange(int(sizes[number]))
            turn = starts[donor][:, None] + np.mod(shift, size)  # (draws, known)
            for scale in scales:
                y[scale].append(view.filled(pools[scale][turn], scale))
        for name, kind in ((name, MEASURES[name]) for name in names):
            results = [kind.of(view, view.x[kind.scale], rows) for rows in y[kind.scale]]
            found[name].append([r + 0 * results[0][0] for r in results])  # undefined: out of the shams too
        progress(number + 1, len(views))
    return tuple(_summary(name, views, results) for name, results in found.items())


def _views(name: str, talk: Talk) -> list[View]:
    order = sorted(talk, key=lambda speaker: (speaker != "agent", speaker))
    heard = [speaker for speaker in order if np.isfinite(talk[speaker][:, 2]).sum() >= 2]
    others = {pair: [of for who, of in talk.items() if who not in pair] for pair in combinations(heard, 2)}
    return [View(name, talk[us], talk[them], rest) for (us, them), rest in others.items()]


def _summary(name: str, views: Sequence[View], results: Sequence[Sequence[Array]]) -> Measure:
    counts = MEASURES[name].counts
    n = np.array([view.n[counts] for view in views], float)
    value, *shams = (_mean(kind, n) for kind in zip(*results, strict=True))
    each: dict[str, float | None] = {}
    for talk in dict.fromkeys(view.conversation for view in views):
        at = [i for i, view in enumerate(views) if view.conversation == talk]
        each[talk] = defined(_mean([results[i][0] for i in at], n[at])[0])
    within, between = [*(_sham(value[0], sham) for sham in shams), None][:2]
    return Measure(
        name=name, value=defined(value[0]), n=int(n @ [np.isfinite(r[0][0]) for r in results]),
        n_left_out=sum(view.n_left_out[counts] for view in views), within=within, between=between, each=each,
    )  # fmt: skip


def _mean(values: Sequence[Array], weights: Array) -> Array:
    """Weighted mean of what is defined: values of V views (D,) each → (D,), NaN where none is."""
    table: Array = np.array(values, float)  # (V, D)
    by = weights[:, None] * np.isfinite(table)
    total = by.sum(0)
    return np.where(total > 0, np.nansum(table * by, 0) / np.maximum(total, 1e-300), np.nan)


def _sham(value: float, sham: Array) -> Sham | None:
    sham = sham[np.isfinite(sham)]
    if not np.isfinite(value) or not len(sham) or np.ptp(sham) <= 1e-9 * np.abs(sham).max():
        return None
    far = np.abs(sham - sham.mean()) >= abs(value - sham.mean()) * (1 - 1e-9)
    return Sham(mean=sham.mean(), p=(1 + far.sum()) / (1 + len(sham)), draws=len(sham))
