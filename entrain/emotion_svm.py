"""Support vectors over a turn's functionals, normalised by speaker: numpy alone, the same decision as scikit-learn's SVC.

config.json        labels, measures by name, kernel, what it was trained on
model.safetensors  the prior of the measures, support vectors and their weights, the calibration
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entrain.audio import Audio
from entrain.emotion import FORMAT, Felt, Manner, feel
from entrain.emotion_folder import read_tensors, write
from entrain.functionals import NAMES, SCHEMA, functionals
from entrain.manner import Prior, Running

Floats = NDArray[np.float64]
Measures = tuple[Floats, NDArray[np.bool_]]  # all functionals (F,), and which are valid (F,)


@dataclass(frozen=True)
class Machine:
    """One-vs-one support vectors with a radial kernel: K classes, S vectors of F values."""

    gamma: float
    vectors: Floats  # (S, F), by class
    n_vectors: NDArray[np.int64]  # (K,)
    weights: Floats  # (K − 1, S), as scikit-learn's dual_coef_
    intercepts: Floats  # (K·(K − 1)/2,), of the pairs 0-1, 0-2 … 1-2 …
    temperature: float
    bias: Floats  # (K,)
    """Calibration: the probabilities are softmax(temperature · class scores + bias)."""

    def decision(self, z: Floats) -> Floats:
        """(B, F) → of each pair, above 0 for its first class (of two classes alone: for the second, as in scikit-learn):
        (B, K·(K − 1)/2)."""
        near = kernel(z, self.vectors, self.gamma)
        ends = np.concatenate([[0], np.cumsum(self.n_vectors)])
        of_class = [slice(ends[k], ends[k + 1]) for k in range(len(self.n_vectors))]
        pairs = [
            near[:, of_class[i]] @ self.weights[j - 1, of_class[i]] + near[:, of_class[j]] @ self.weights[i, of_class[j]]
            for i, j in pairs_of(len(self.n_vectors))
        ]  # fmt: skip
        return np.stack(pairs, 1) + self.intercepts

    def scores(self, z: Floats) -> Floats:
        """(B, F) → (B, K): how far each class is ahead of the others, on average."""
        return class_scores(self.decision(z), len(self.n_vectors))

    def probabilities(self, z: Floats) -> Floats:
        """(B, F) → (B, K), each row together 1."""
        return softmax(self.temperature * self.scores(z) + self.bias)


def kernel(a: Floats, b: Floats, gamma: float) -> Floats:
    """How near each of (A, F) is to each of (B, F), 0 to 1: (A, B)."""
    apart = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.exp(-gamma * np.maximum(apart, 0.0))


def pairs_of(n: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(n) for j in range(i + 1, n)]


def class_scores(decision: Floats, n: int) -> Floats:
    """Of pairs (B, n·(n − 1)/2) as scikit-learn gives them → of classes (B, n)."""
    if n == 2:
        decision = -decision
    scores = np.zeros((len(decision), n))
    for column, (i, j) in enumerate(pairs_of(n)):
        scores[:, i] += decision[:, column]
        scores[:, j] -= decision[:, column]
    return scores / (n - 1)


def softmax(x: Floats) -> Floats:
    raised = np.exp(x - x.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


@dataclass(frozen=True)
class Svm:
    """A model of kind `svm`."""

    name: str
    labels: tuple[str, ...]
    measures: tuple[str, ...]
    """Names of its functionals (F), among `entrain.functionals.NAMES`."""
    prior: Prior
    machine: Machine
    card: dict[str, Any] = field(default_factory=dict[str, Any])
    """What it was trained on, and how: for people."""

    def measure(self, audio: Audio) -> Measures | None:
        """All functionals of a turn; None where there is no speech in it. About .1 s for a turn of 4 s, nearly all of it Praat's."""
        values, valid = functionals(audio)
        return (values, valid) if valid.any() else None

    def judge(self, measured: Measures, manner: Manner | None) -> Felt:
        """A turn that was measured. Quick."""
        values, valid = measured[0][self.columns], measured[1][self.columns]
        state = self.prior.observe(Running.of(manner, len(values)), values, valid)
        found = self.machine.probabilities(self.prior.z(state, values, valid)[None])[0]
        learns = np.isfinite(self.prior.count)
        return Felt(dict(zip(self.labels, found.tolist(), strict=True)), state.manner() if learns else None)

    def feel(self, audio: Audio, manner: Manner | None = None) -> Felt:
        """See `Emotion.feel`."""
        return feel(self, audio, manner)

    @cached_property
    def columns(self) -> list[int]:
        """Where its measures stand in NAMES."""
        place = {name: i for i, name in enumerate(NAMES)}
        return [place[name] for name in self.measures]

    def save(self, folder: Path) -> Path:
        """Write config.json and model.safetensors."""
        m = self.machine
        tensors = self.prior.tensors() | {
            "vectors": m.vectors, "n_vectors": m.n_vectors, "weights": m.weights, "intercepts": m.intercepts, "bias": m.bias,
        }  # fmt: skip
        config = {
            "format": FORMAT, "kind": "svm", "name": self.name, "labels": self.labels, "schema": SCHEMA, "measures": self.measures,
            "gamma": m.gamma, "temperature": m.temperature, "card": self.card,
        }  # fmt: skip
        return write(folder, config, tensors)

    @classmethod
    def load(cls, folder: Path, config: Mapping[str, Any]) -> Svm:
        if config["schema"] != SCHEMA:
            raise ValueError(f"its measures are {config['schema']}; these here are {SCHEMA}")
        tensors = read_tensors(folder / "model.safetensors")
        arrays = {name: tensors[name] for name in ("vectors", "n_vectors", "weights", "intercepts", "bias")}
        model = cls(
            config["name"], tuple(config["labels"]), tuple(config["measures"]), Prior.of(tensors),
            Machine(gamma=float(config["gamma"]), temperature=float(config["temperature"]), **arrays), dict(config["card"]),
        )  # fmt: skip
        _ = model.columns  # raises KeyError for a measure that is not known here
        return model
