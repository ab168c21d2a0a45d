"""The scale that errors really have: the predicted one is multiplied by it, so that confidence means something."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from entrain.model import Likelihood, Model, N, negative_log_likelihood
from entrain.words import Words
from entrain_training.data import Side, collate

MIN_VALUES = 30  # of a feature, below which its scale is left as it is: of 30 values the estimate is ±13 %
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Errors:
    """Of all turns that count, whether valid or not: R of them."""

    target: Array  # (R, 7)
    error: Array  # (R, 7)
    scale: Array  # (R, 7) as predicted
    valid: NDArray[np.bool_]  # (R, 7)

    def loss(self, likelihood: Likelihood) -> float:
        """Mean over the valid values."""
        return loss(likelihood, self.error[self.valid], self.scale[self.valid])


@torch.no_grad()
def errors(model: Model, groups: Sequence[Sequence[Side]], words: Words, *, free: bool = False) -> Errors:
    """Of predictions by the config's eval settings. `free`: our turns enter as predicted, not as recorded."""
    config, found = model.eval().config, list[list[torch.Tensor]]()
    for sides in groups:
        batch = collate(sides, words)
        fed = model.free_run(batch, 0.0, config.eval_on) if free else batch
        predicted, chosen = model(fed, config.eval_on), batch.counted(config.eval_loss_on)
        parts = (batch.target, batch.target - predicted.location, predicted.scale, batch.valid)
        found.append([part[chosen] for part in parts])
    return Errors(*(torch.cat(parts).numpy() for parts in zip(*found, strict=True)))


def calibration(found: Errors, likelihood: Likelihood) -> tuple[float, ...]:
    """What each feature's predicted scale is to be multiplied by; for "smooth_l1", which predicts none, the scale itself (Laplace's).
    Shape (7,)."""
    if likelihood == "smooth_l1":
        return _each("laplace", found.error, np.ones_like(found.scale), found.valid)
    return _each(likelihood, found.error, found.scale, found.valid)


def usual(found: Errors, likelihood: Likelihood) -> tuple[float, ...]:
    """Scale of each feature about 0, which is what to expect of a turn where nothing is known. Shape (7,)."""
    kind = "laplace" if likelihood == "smooth_l1" else likelihood
    return _each(kind, found.target, np.ones_like(found.scale), found.valid)


def deciles(found: Errors) -> tuple[tuple[float, ...], ...]:
    """Of the predicted scales of each feature, over all turns: (7, 9)."""
    return tuple(tuple(of) for of in np.quantile(found.scale, np.arange(1, 10) / 10, axis=0).T.tolist())


def loss(likelihood: Likelihood, error: Array, scale: Array) -> float:
    tensors = torch.from_numpy(error.astype(float)), torch.from_numpy(scale.astype(float))
    return float(negative_log_likelihood(likelihood, *tensors).mean())


def _each(likelihood: Likelihood, error: Array, scale: Array, valid: NDArray[np.bool_]) -> tuple[float, ...]:
    of = ((error[valid[:, i], i], scale[valid[:, i], i]) for i in range(N))
    return tuple(best_factor(likelihood, e, s) if len(e) >= MIN_VALUES else 1.0 for e, s in of)


def best_factor(likelihood: Likelihood, error: Array, scale: Array) -> float:
    """The factor for `scale` under which `error`, of the same shape (n,), is likeliest."""
    if likelihood == "laplace":
        return max(float(np.mean(np.abs(error) / scale)), 1e-3)
    found = minimize_scalar(lambda log: loss(likelihood, error, scale * math.exp(log)), bounds=(-7, 7))
    return math.exp(float(found.x))
