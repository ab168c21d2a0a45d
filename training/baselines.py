"""Trivial predictors: what a turn's z would be if nobody listened to words, or to anyone. A model is worth what it adds to the best.

Each knows the turns before the one it predicts, of one feature at a time, and no other. Those that are fitted are fitted on the
training part.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import t as student

from entrain.model import STUDENT_DF, N
from entrain_training.pooled import Bits, Places, Pooled

Values = NDArray[np.float64]
Whose = Literal["own", "others"]

DEPTH = 20
"""Turns back that a history reaches: of an exponential average with a share of .05 they hold 64 % of the weight."""
SHARES = (0.05, 0.1, 0.2, 0.4)
"""Of the last turn in an exponential average; the best on the training part is used."""
N_LAST = 3
"""Turns one by one among what the fitted predictors see."""
MIN_VALUES = 100
"""To fit on, and to score."""

PREDICTORS: dict[str, tuple[Whose, ...]] = {
    "constant": (),
    "own mean": ("own",),
    "own last": ("own",),
    "own exponential average": ("own",),
    "partner's last": ("others",),
    "ridge on own": ("own",),
    "ridge on partner": ("others",),
    "ridge on both": ("own", "others"),
    "boosting on partner": ("others",),
    "boosting on both": ("own", "others"),
}
"""Trivial predictor → whose turns it hears. What never hears our own is what a model that runs free is compared with."""


@dataclass(frozen=True)
class Guess:
    """What a trivial predictor says of N turns."""

    location: Values  # (N, 7), 0 where the feature can't be predicted: `fitted`
    scale: Values  # (7,) of a Student t around it, fitted on turns that the predictor was not


@dataclass(frozen=True)
class History:
    """Of each of N turns: the measured values of one feature before it, the last first."""

    values: Values  # (N, DEPTH), 0 where there are not so many
    known: Bits  # (N, DEPTH)
    mean: Values  # (N,) of all before, 0 where there are none
    n: Places  # (N,) how many

    def last(self, otherwise: float) -> Values:
        return np.where(self.n > 0, self.values[:, 0], otherwise)

    def average(self, otherwise: float) -> Values:
        return np.where(self.n > 0, self.mean, otherwise)

    def exponential(self, share: float, otherwise: float) -> Values:
        weight = self.known * (1 - share) ** np.arange(DEPTH)
        total = weight.sum(1)
        return np.where(total > 0, (weight * self.values).sum(1) / np.where(total > 0, total, 1.0), otherwise)

    def columns(self) -> Values:
        """What the fitted predictors see: (N, 2·N_LAST + 2)."""
        lasts = [self.values[:, :N_LAST], self.known[:, :N_LAST]]
        return np.concatenate([*lasts, self.mean[:, None], np.log1p(self.n)[:, None]], 1)


def history(turns: Pooled, feature: int, whose: Whose) -> History:
    """The speaker's own turns before each turn, or everybody else's in the conversation."""
    heard = turns.valid[:, feature].nonzero()[0]
    if whose == "own":
        listener = turns.speaker[heard]
    else:
        heard, listener = _listeners(turns, heard)
    n_turns = len(turns)
    at = np.sort(listener * n_turns + heard)  # by who hears them, then in time
    values = np.append(turns.z[at % n_turns, feature].astype(float), 0.0)
    stop = np.searchsorted(at, turns.speaker * n_turns + np.arange(n_turns))
    n = stop - np.searchsorted(at, turns.speaker * n_turns)
    known = np.arange(DEPTH) < n[:, None]
    found = np.where(known, values[np.where(known, stop[:, None] - 1 - np.arange(DEPTH), -1)], 0.0)
    total = np.concatenate(([0.0], values[:-1].cumsum()))
    return History(found, known, (total[stop] - total[stop - n]) / np.maximum(n, 1), n)


def _listeners(turns: Pooled, heard: Places) -> tuple[Places, Places]:
    """Each turn of `heard` once for everybody else in its conversation: the turns, and who hears them."""
    people = np.array([len(d.names) for d in turns.dialogues])
    start, count = (people.cumsum() - people)[turns.conversation[heard]], people[turns.conversation[heard]]
    turn = np.repeat(heard, count)
    listener = np.repeat(start, count) + np.arange(len(turn)) - np.repeat(count.cumsum() - count, count)
    other = listener != turns.speaker[turn]
    return turn[other], listener[other]


def fitted(train: Pooled) -> Bits:
    """The features with enough values to fit on: (7,)."""
    return train.valid.sum(0) >= MIN_VALUES


def trivial(train: Pooled, dev: Pooled, turns: Pooled) -> dict[str, Guess]:
    """Every trivial predictor of `turns`, by name. `dev` gives the scales; where it has under 100 values of a feature, `train` does."""
    location = {name: np.zeros((len(turns), N)) for name in PREDICTORS}
    scale = {name: np.ones(N) for name in PREDICTORS}
    for feature in fitted(train).nonzero()[0].tolist():
        apart = dev if dev.valid[:, feature].sum() >= MIN_VALUES else train
        says = _fit(train, feature)
        known = apart.valid[:, feature]
        for name, predict in says.items():
            location[name][:, feature] = predict(turns)
            scale[name][feature] = student_scale((apart.target[:, feature] - predict(apart))[known])
    return {name: Guess(location[name], scale[name]) for name in PREDICTORS}


def _fit(train: Pooled, feature: int) -> dict[str, Any]:
    """Predictor → function of turns (N,) of this feature."""
    known = train.valid[:, feature]
    y = train.target[known, feature].astype(float)
    typical = float(np.median(y))
    past = Past(feature)

    def loss(share: float) -> float:
        return float(smooth_l1(y - past(train, "own").exponential(share, typical)[known]).mean())

    share = min(SHARES, key=loss)
    simple = {
        "constant": lambda turns: np.full(len(turns), typical),
        "own mean": lambda turns: past(turns, "own").average(typical),
        "own last": lambda turns: past(turns, "own").last(typical),
        "own exponential average": lambda turns: past(turns, "own").exponential(share, typical),
        "partner's last": lambda turns: past(turns, "others").last(typical),
    }
    for name, whose in PREDICTORS.items():
        if name not in simple:
            regressor = _regressor(name).fit(past.columns(train, whose)[known], y)
            simple[name] = lambda turns, whose=whose, regressor=regressor: regressor.predict(
                past.columns(turns, whose)
            )
    return simple


class Past:
    """The histories of one feature, each made once."""

    def __init__(self, feature: int) -> None:
        self.feature = feature
        self.made: dict[tuple[Pooled, Whose], History] = {}

    def __call__(self, turns: Pooled, whose: Whose) -> History:
        if (turns, whose) not in self.made:
            self.made[turns, whose] = history(turns, self.feature, whose)
        return self.made[turns, whose]

    def columns(self, turns: Pooled, whose: tuple[Whose, ...]) -> Values:
        position = np.log1p(turns.place)[:, None]
        return np.concatenate([*(self(turns, who).columns() for who in whose), position], 1)


def _regressor(name: str) -> Any:
    if name.startswith("ridge"):
        return import_module("sklearn.linear_model").Ridge(alpha=1.0)
    return import_module("sklearn.ensemble").HistGradientBoostingRegressor(
        loss="absolute_error", learning_rate=0.05, max_leaf_nodes=15, min_samples_leaf=50, max_iter=200,
        early_stopping=True, random_state=0,
    )  # fmt: skip


def smooth_l1(error: NDArray[Any]) -> NDArray[Any]:
    """The published loss (β 1), of any shape."""
    size = np.abs(error)
    return np.where(size < 1, 0.5 * size**2, size - 0.5)


def student_scale(error: Values) -> float:
    """The scale under which these errors (n,) are likeliest, as Student's t with the model's degrees of freedom."""
    found = minimize_scalar(
        lambda log_scale: -student.logpdf(error, STUDENT_DF, scale=np.exp(log_scale)).mean(),
        bounds=(np.log(1e-3), np.log(10.0)), method="bounded",
    )  # fmt: skip
    return float(np.exp(found.x))
