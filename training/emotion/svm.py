"""Support vectors on functionals: scikit-learn fits them, what is saved is read by numpy alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from entrain.emotion_svm import Machine, Svm, kernel, softmax
from entrain.functionals import EGEMAPS, MFCC_MEANS, NAMES
from entrain.manner import Prior
from entrain.optional import require
from entrain_training.emotion.folds import parts_of
from entrain_training.emotion.measured import Measured, Say
from entrain_training.emotion.online import Speakers, heard, prior
from entrain_training.emotion.study import EmotionStudy
from entrain_training.options import TRAIN
from entrain_training.schedule import TrainingError

SETS = {"all": NAMES, "egemaps": EGEMAPS, "mfcc": MFCC_MEANS}
Floats = NDArray[np.float64]


class Choice(NamedTuple):
    c: float
    gamma: float
    """Times 1 / number of measures."""
    prior_count: float


@dataclass(frozen=True)
class Side:
    """Measures (N, F), which are valid (N, F), classes (N,) and speakers (N,) of some recordings."""

    values: Floats
    valid: NDArray[np.bool_]
    y: NDArray[np.int_]
    speakers: Speakers

    def part(self, rows: NDArray[Any]) -> Side:
        return Side(self.values[rows], self.valid[rows], self.y[rows], self.speakers[rows])


def fit(measured: Measured, settings: EmotionStudy, say: Say = lambda _: None) -> Svm:
    """Choose cost, width and prior by cross-validation over the training speakers, calibrate on the speakers held out there, and fit
    on all. Raises `TrainingError` for fewer than two emotions or speakers."""
    side, labels, names = side_of(measured, settings)
    choice = choose(side, settings, say)
    scores, y = held_out(side, choice, settings)
    temperature, bias = calibrate(scores, y)
    start, machine, _ = _fit(side, choice, settings, settings.seed)
    machine = replace(machine, temperature=temperature, bias=bias)
    card = {
        "recordings": len(measured), "speakers": sorted(set(measured.speakers.tolist())), "chosen": choice._asdict(),
        "recall_of_held_out_training_speakers": round(recall(y, scores.argmax(1), len(labels)), 4),
        "settings": settings.model_dump(mode="json", include=_OF_SVM),
    }  # fmt: skip
    return Svm(f"svm on {settings.measures} functionals", labels, names, start, machine, card)


_OF_SVM = {"normalise", "orders", "measures", "c", "gamma", "prior_count", "spread_count", "inner_folds", "seed"}  # fmt: skip


def side_of(measured: Measured, settings: EmotionStudy) -> tuple[Side, tuple[str, ...], tuple[str, ...]]:
    """With the labels and the names of the measures."""
    labels, names = measured.labels(), SETS[settings.measures]
    if len(set(measured.speakers.tolist())) < 2:
        raise TrainingError(f"all recordings are of {measured.speakers[0]}; two speakers are needed.")
    columns = [NAMES.index(name) for name in names]
    y = np.searchsorted(np.array(labels), measured.emotions)
    return Side(measured.values[:, columns], measured.valid[:, columns], y, measured.speakers), labels, names


def choose(side: Side, settings: EmotionStudy, say: Say) -> Choice:
    """The prior first, then cost and width: by recall on training speakers that were held out, in turn."""
    middle = Choice(_middle(settings.c), _middle(settings.gamma), _middle(settings.prior_count))
    counts = settings.prior_count if settings.normalise == "online" else (middle.prior_count,)
    best = _best((middle._replace(prior_count=k) for k in counts), side, settings, say)
    widths = product(settings.c, settings.gamma)
    return _best((best._replace(c=c, gamma=gamma) for c, gamma in widths), side, settings, say)


def _middle(values: tuple[float, ...]) -> float:
    return values[len(values) // 2]


def _best(choices: Iterable[Choice], side: Side, settings: EmotionStudy, say: Say) -> Choice:
    there = list(choices)
    if len(there) == 1:
        return there[0]
    found: list[float] = []
    for choice in there:
        scores, y = held_out(side, choice, settings)
        found.append(recall(y, scores.argmax(1), scores.shape[1]))
        say(
            f"cost {choice.c}, width {choice.gamma}, prior {choice.prior_count}: recall {found[-1]:.3f} within training"
        )
    return there[int(np.argmax(found))]


def held_out(side: Side, choice: Choice, settings: EmotionStudy) -> tuple[Floats, NDArray[np.int_]]:
    """Scores (M, K) of every training speaker by a machine that did not know them, and the classes (M,)."""
    scores, y = [], []
    n_classes = int(side.y.max()) + 1
    for part in parts_of(side.speakers.tolist(), settings.inner_folds):
        out = np.isin(side.speakers, part)
        taught, tested = side.part(~out), side.part(out)
        if len(set(taught.y.tolist())) < 2:
            continue
        start, machine, classes = _fit(taught, choice, settings, settings.seed + 1)
        z, rows = _heard(start, tested, settings, settings.seed + 2)
        found = np.full((len(rows), n_classes), -1e3)  # of a class that only this part has
        found[:, classes] = machine.scores(z)
        scores.append(found)
        y.append(tested.y[rows])
    if not scores:
        raise TrainingError("each emotion has one speaker only; two are needed that show the same emotions.")
    return np.concatenate(scores), np.concatenate(y)


def _fit(
    side: Side, choice: Choice, settings: EmotionStudy, seed: int
) -> tuple[Prior, Machine, NDArray[np.int_]]:
    """The prior, the machine without its calibration, and which classes it knows."""
    start = prior(
        side.values, side.valid, side.speakers, settings.normalise, choice.prior_count, settings.spread_count
    )
    z, rows = _heard(start, side, settings, seed)
    return start, *machine_of(z, side.y[rows], choice.c, choice.gamma / z.shape[1])


def machine_of(z: Floats, y: NDArray[np.int_], c: float, gamma: float) -> tuple[Machine, NDArray[np.int_]]:
    """Fitted to z (M, F) and classes (M,), each class weighing the same; and its classes. (The kernel is made here: numpy is ten times
    quicker at it than libsvm.)"""
    svc = require("sklearn.svm", TRAIN, TrainingError).SVC(
        C=c, kernel="precomputed", class_weight="balanced", decision_function_shape="ovo"
    )
    svc.fit(kernel(z, z, gamma), y)
    n_classes = len(svc.classes_)
    machine = Machine(
        gamma, z[svc.support_], np.asarray(svc.n_support_, np.int64), np.asarray(svc.dual_coef_), np.asarray(svc.intercept_),
        1.0, np.zeros(n_classes),
    )  # fmt: skip
    return machine, np.asarray(svc.classes_)


def _heard(start: Prior, side: Side, settings: EmotionStudy, seed: int) -> tuple[Floats, NDArray[np.int_]]:
    rng = np.random.default_rng(seed)
    return heard(start, side.values, side.valid, side.speakers, settings.normalise, settings.orders, rng)


def calibrate(scores: Floats, y: NDArray[np.int_]) -> tuple[float, Floats]:
    """Temperature and bias (K,) so that softmax(temperature · scores + bias) is likeliest (Platt 1999, for several classes)."""
    from scipy.optimize import minimize

    n = scores.shape[1]

    def loss(x: Floats) -> float:
        p = softmax(np.exp(x[0]) * scores + x[1:])[np.arange(len(y)), y]
        return float(-np.log(np.maximum(p, 1e-12)).mean() + 1e-3 * (x[1:] ** 2).sum())

    found = minimize(loss, np.zeros(n + 1), method="L-BFGS-B", bounds=[(-3, 5)] + [(-3, 3)] * n)
    return float(np.exp(found.x[0])), np.asarray(found.x[1:])


def recall(y: NDArray[np.int_], found: NDArray[np.int_], n_classes: int) -> float:
    """Unweighted, over the classes that there are."""
    there = [k for k in range(n_classes) if (y == k).any()]
    return float(np.mean([(found[y == k] == k).mean() for k in there]))
