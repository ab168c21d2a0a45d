"""Losses, R², likelihood and skill of predictions: by feature, corpus, and which turns; with intervals over conversations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student

from entrain.model import STUDENT_DF, Likelihood, N, negative_log_likelihood
from entrain.turn import FEATURES, Finite, Record
from entrain_training.baselines import MIN_VALUES, PREDICTORS, Guess, smooth_l1
from entrain_training.pooled import Bits, Pooled
from entrain_training.predict import Predictions
from entrain_training.statistics import Estimate, Sums, estimate, mean, r2, sign_flip, skill

Fed = Literal["recorded", "free"]
FED: dict[Fed, str] = {
    "recorded": "our turns as they were recorded",
    "free": "our turns as the model itself said them",
}
MIN_WORDS = 3
CHOICES = {"all turns": 0, f"turns of {MIN_WORDS} words or more": MIN_WORDS}
"""Which turns → the fewest words. The rate of a turn of a word or two is mostly noise."""
ALL = "all"
MEASURES = ("smooth_l1", "mae", "squared", "nll", "value", "square", "n")
MODEL = "model"


class Trivial(Record):
    """A trivial predictor on the turns that the model is scored on."""

    smooth_l1: Finite
    mae: Finite
    r2: Finite
    nll: Finite
    """Under Student's t of one width, fitted on the development part."""
    skill: Estimate
    """Of the model over this predictor: 1 − the ratio of their smooth L1."""


class Score(Record):
    """How well a run predicts one feature of one corpus ("all": all together)."""

    corpus: str
    feature: str
    turns: str
    fed: Fed
    n: int
    n_conversations: int
    smooth_l1: Estimate
    mae: Estimate
    r2: Estimate
    nll: Estimate | None
    """Nats a value; None for the likelihood "smooth_l1", which is none."""
    best: str
    """The trivial predictor with the least loss among those that hear no more than the model."""
    skill: Estimate
    """Over that one."""
    trivial: dict[str, Trivial]


@dataclass(frozen=True)
class Sheet:
    """Sums by conversation, feature and measure, for the model and each trivial predictor: name → (C, 7, 7)."""

    fed: Fed
    turns: str
    corpora: tuple[str, ...]  # of the C conversations
    ids: tuple[tuple[str, str], ...]
    sums: dict[str, Sums]


def tabulate(
    turns: Pooled, predictions: Predictions, guesses: Mapping[str, Guess], likelihood: Likelihood,
    features: Bits, fed: Fed, choice: str,
) -> Sheet:  # fmt: skip
    """The sums of the model and of all that may be compared with it: a model that runs free is not compared with what hears our turns."""
    row = predictions.turn
    counted = turns.valid[row] & features & (turns.n_words[row] >= CHOICES[choice])[:, None]
    target, of = turns.target[row].astype(float), turns.conversation[row]
    allowed = [name for name, whose in PREDICTORS.items() if fed == "recorded" or "own" not in whose]
    location, scale = predictions.location.astype(float), predictions.scale.astype(float)
    log_likelihood = _nll(likelihood, target - location, scale)
    found = {MODEL: _sums(target, location, log_likelihood, counted, of, len(turns.dialogues))}
    for name in allowed:
        guess = guesses[name]
        nll = -student.logpdf(target - guess.location[row], STUDENT_DF, scale=guess.scale)
        found[name] = _sums(target, guess.location[row], nll, counted, of, len(turns.dialogues))
    ids = tuple((d.corpus, d.id) for d in turns.dialogues)
    return Sheet(fed, choice, tuple(turns.corpora), ids, found)


def _nll(likelihood: Likelihood, error: NDArray[Any], scale: NDArray[Any]) -> NDArray[Any]:
    if likelihood == "smooth_l1":
        return np.zeros_like(error)
    return negative_log_likelihood(likelihood, torch.from_numpy(error), torch.from_numpy(scale)).numpy()


def _sums(
    target: NDArray[Any], location: NDArray[Any], nll: NDArray[Any], counted: Bits, of: NDArray[Any], n: int
) -> Sums:
    """Of MEASURES by conversation: (n, 7, 7)."""
    error = target - location
    measures = (smooth_l1(error), np.abs(error), error**2, nll, target, target**2, np.ones_like(error))
    cells = (of[:, None] * N + np.arange(N))[counted]
    return np.stack(
        [np.bincount(cells, m[counted], n * N).reshape(n, N) for m in measures], -1
    )  # fmt: skip


def scores(sheet: Sheet, likelihood: Likelihood) -> tuple[list[Score], list[str]]:
    """A score for each corpus and feature that has 100 values; and what has fewer."""
    rows: list[Score] = []
    left_out: list[str] = []
    names = sorted(set(sheet.corpora))
    for corpus in names if len(names) == 1 else [ALL, *names]:
        there = np.array([corpus in (ALL, name) for name in sheet.corpora])
        count = sheet.sums[MODEL][there, :, -1].sum(0)  # (7,)
        enough = count >= MIN_VALUES
        left_out += [
            f"{name} of {corpus} ({sheet.turns}): too few, {int(count[i])} values; {MIN_VALUES} are needed"
            for i, name in enumerate(FEATURES)
            if 0 < count[i] < MIN_VALUES
        ]
        wanted = {name: np.arange(N) == i for i, name in enumerate(FEATURES) if enough[i]}
        wanted = ({ALL: enough} if len(wanted) > 1 else {}) | wanted
        for feature, which in wanted.items():
            sums = {name: s[there][:, which].sum(1) for name, s in sheet.sums.items()}  # (C, 7) each
            rows.append(_score(sums, corpus, feature, sheet, likelihood))
    return rows, left_out


def _score(sums: dict[str, Sums], corpus: str, feature: str, sheet: Sheet, likelihood: Likelihood) -> Score:
    has = sums[MODEL][:, -1] > 0
    sums = {name: s[has] for name, s in sums.items()}
    own = sums[MODEL]
    trivial = {name: _trivial(own, s) for name, s in sums.items() if name != MODEL}
    best = min(trivial, key=lambda name: trivial[name].smooth_l1)
    return Score(
        corpus=corpus, feature=feature, turns=sheet.turns, fed=sheet.fed, n=int(own[:, -1].sum()),
        n_conversations=len(own), smooth_l1=_of(own, mean, "smooth_l1", "n"), mae=_of(own, mean, "mae", "n"),
        r2=_of(own, r2, "squared", "value", "square", "n"),
        nll=None if likelihood == "smooth_l1" else _of(own, mean, "nll", "n"),
        best=best, skill=trivial[best].skill, trivial=trivial,
    )  # fmt: skip


def _trivial(own: Sums, sums: Sums) -> Trivial:
    total = sums.sum(0)
    at = {name: total[i] for i, name in enumerate(MEASURES)}
    return Trivial(
        smooth_l1=at["smooth_l1"] / at["n"], mae=at["mae"] / at["n"], nll=at["nll"] / at["n"],
        r2=float(r2(total[[MEASURES.index(name) for name in ("squared", "value", "square", "n")]])),
        skill=estimate(np.stack([own[:, 0], sums[:, 0]], 1), skill),
    )  # fmt: skip


def _of(sums: Sums, figure: Callable[[Sums], NDArray[Any]], *measures: str) -> Estimate:
    return estimate(sums[:, [MEASURES.index(name) for name in measures]], figure)


class Paired(Record):
    """Two runs on the same turns of the same conversations."""

    run: str
    other: str
    fed: Fed
    turns: str
    less_percent: Estimate
    """How much lower the loss (smooth L1) of `run` is than that of `other`."""
    p: Finite
    """Two-sided, by sign-flips over conversations."""
    n: int
    n_conversations: int


def compare(run: str, sheet: Sheet, other: str, other_sheet: Sheet) -> Paired | None:
    """On the conversations that both were scored on; None where there are none, or they don't count the same values there."""
    places = {name: i for i, name in enumerate(other_sheet.ids)}
    both = [(i, places[name]) for i, name in enumerate(sheet.ids) if name in places]
    if not both:
        return None
    mine, theirs = (
        s.sums[MODEL][list(rows)]
        for s, rows in zip((sheet, other_sheet), zip(*both, strict=True), strict=True)
    )  # (C, 7, 7)
    if not np.array_equal(mine[..., -1], theirs[..., -1]) or not np.allclose(mine[..., 4], theirs[..., 4]):
        return None
    loss, other_loss, n = mine[..., 0].sum(1), theirs[..., 0].sum(1), mine[..., -1].sum(1)
    has = n > 0
    if not has.any():
        return None
    loss, other_loss = loss[has], other_loss[has]
    return Paired(
        run=run, other=other, fed=sheet.fed, turns=sheet.turns, n=int(n.sum()), n_conversations=int(has.sum()),
        less_percent=estimate(np.stack([loss, other_loss], 1), lambda s: 100 * skill(s)),
        p=sign_flip(other_loss - loss)[1],
    )  # fmt: skip
