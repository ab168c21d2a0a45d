"""Does the exported graph say what the network says? Random conversations, turn by turn, each with its own carried state."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from entrain.model import CONTEXT, MEL_BANDS, SHAPE, Model, N, Now, State
from entrain.optional import require
from entrain.weights import INPUTS, OUTPUTS, Trained, WeightsError

MAX_DIFFERENCE = 1e-5  # of any output; single precision alone makes about 1e-6
LONGEST = 20  # words, and Mel vectors, of a random turn


@torch.no_grad()
def parity(
    trained: Trained, path: str | Path, n_conversations: int = 10, n_turns: int = 30, seed: int = 0
) -> float:
    """The largest difference of any output, the carried state included, between torch and the graph under onnxruntime."""
    require("onnxruntime", "pip install 'entrain[onnx]'", WeightsError)
    session = import_module("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    asked = {given.name for given in session.get_inputs()}
    model, generator, worst = trained.model.eval(), torch.Generator().manual_seed(seed), 0.0
    for _ in range(n_conversations):
        state, past = model.start(), [part.numpy() for part in model.start()]
        for _ in range(n_turns):
            now = _random_turn(model, generator)
            foreseen = model.foresee(state, now)
            state = model.observe(state, now, foreseen)
            given = dict(zip(INPUTS, [*past, *(part.numpy() for part in now)], strict=True))
            found = session.run(OUTPUTS, {name: value for name, value in given.items() if name in asked})
            past = found[-len(State._fields) :]
            for ours, theirs in zip([*foreseen[:4], *state], found, strict=True):
                worst = max(worst, _difference(ours, theirs))
    return worst


def _random_turn(model: Model, generator: torch.Generator) -> Now:
    """Of any sound, of words that may be none: then one row is given, and the length 0."""

    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=generator)

    def bits(*size: int) -> Tensor:
        return (normal(*size) > 0).float()

    n_words, n_mel = torch.randint(LONGEST, (2, 1), generator=generator)
    words = normal(max(1, int(n_words)), model.config.word_dim)
    mel = normal(max(1, int(n_mel)), MEL_BANDS)
    n_emotion = model.config.n_emotion
    emotion = torch.cat([normal(1, max(n_emotion - 1, 0)), bits(1, min(n_emotion, 1))], 1)
    return Now(
        normal(1, N), bits(1, N), bits(1), normal(1, len(CONTEXT)), emotion, normal(1, len(SHAPE)), words, n_words, mel, n_mel, bits(1)
    )  # fmt: skip


def _difference(ours: Tensor, theirs: NDArray[np.float32]) -> float:
    if tuple(ours.shape) != theirs.shape:
        raise WeightsError(
            f"the exported graph gives {theirs.shape} where the model gives {tuple(ours.shape)}."
        )
    return float(np.abs(ours.numpy() - theirs).max(initial=0.0))
