"""How a network is trained: every knob, in one record that is kept beside the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from entrain.model import ModelConfig
from entrain.turn import Record
from entrain.words import Words

FIXED = {"variant", "vocabulary", "word_dim", "tokeniser", "features", "profile"}
CHANGES = [name for name in ModelConfig.model_fields if name not in FIXED]
"""What of a variant's `ModelConfig` can be changed."""
WARM_UP = 50  # steps; without them the first steps of Adam, whose variances are not known yet, are too long
PLATEAU = 3  # epochs without a better dev loss before a plateau's rate is halved


class TrainingError(ValueError):
    """The model can't be trained; the message says what to do."""


class Training(Record):
    """Settings. Whatever `ModelConfig` has can be given too, and changes the variant: `Training(variant="base", hidden=128)`."""

    variant: str = "words-lookahead"
    changes: dict[str, Any] = Field(default_factory=dict)
    """To the variant's `ModelConfig`: the five us/both settings, likelihood, normalise, sizes, dropout."""

    epochs: int = Field(default=40, ge=1)
    patience: int = Field(default=8, ge=1)
    """Stop after so many epochs without a better dev loss."""
    batch_size: int = Field(default=16, ge=1)
    """Sides: conversations, or windows of them, each from one speaker's side."""
    window: int = Field(default=160, ge=2)
    """Turns that a side has at most in training; dev conversations are read whole."""
    learning_rate: float = Field(default=3e-3, gt=0, le=1)
    schedule: Literal["cosine", "plateau", "constant"] = "cosine"
    weight_decay: float = Field(default=0.01, ge=0)
    """Of matrices; biases are left alone."""
    clip: float = Field(default=1.0, gt=0)
    """Longest gradient."""

    teacher: float = Field(default=1.0, ge=0, le=1)
    """Probability that our own turn enters as recorded, at the start …"""
    teacher_end: float | None = Field(default=None, ge=0, le=1)
    """… after `teacher_epochs`, linear between; None: the same throughout."""
    teacher_epochs: int = Field(default=10, ge=1)
    teacher_each: Literal["turn", "feature"] = "turn"
    """Is it drawn once a turn, or for each feature?"""
    free_every: int = Field(default=5, ge=0)
    """Epochs between dev losses with our own turns as predicted, not recorded: a loop over turns. 0: at the end only."""

    seed: int = Field(default=0, ge=0)
    split_seed: int = Field(default=0, ge=0)
    """Apart, so that other seeds are trained on the same conversations."""
    vectors: str | None = None
    """File of word vectors; None: those that ship."""
    everything: bool = False
    """No split: all conversations for training, exactly `epochs` epochs. For weights that ship."""

    accelerator: str = "auto"
    """This and the next four are Lightning's."""
    devices: int | str = 1
    nodes: int = Field(default=1, ge=1)
    strategy: str = "auto"
    precision: str = "32-true"
    workers: int = Field(default=0, ge=0)
    """Processes that make batches; that takes 1 % of a step on a CPU, so none are needed there."""

    def __init__(self, **given: Any) -> None:
        changes = {**given.pop("changes", {}), **{name: given.pop(name) for name in CHANGES if name in given}}
        try:
            super().__init__(changes=changes, **given)
        except ValidationError as error:
            raise TrainingError("; ".join(map(_sentence, error.errors()))) from error

    @model_validator(mode="after")
    def _possible(self) -> Training:
        unknown = [name for name in self.changes if name not in CHANGES]
        if unknown:
            raise ValueError(f"{unknown[0]!r} can't be changed. Select from {', '.join(CHANGES)}.")
        try:
            ModelConfig.of(self.variant, **self.changes)
        except ValidationError as error:
            raise ValueError("; ".join(map(_sentence, error.errors()))) from error
        return self

    def config(self, words: Words) -> ModelConfig:
        """Of the network to be trained."""
        return ModelConfig.of(self.variant, **self.changes, vocabulary=words.id, word_dim=words.dim)

    def p_teacher(self, epoch: int) -> float:
        """In `epoch`, which is 0 for the first."""
        if self.teacher_end is None:
            return self.teacher
        gone = min(1.0, epoch / self.teacher_epochs)
        return self.teacher + gone * (self.teacher_end - self.teacher)

    def done(self, n_epochs: int, losses: Sequence[float]) -> bool:
        """After so many epochs with these dev losses (none where there is no dev part)."""
        stale = len(losses) - 1 - losses.index(min(losses)) if losses else 0
        return n_epochs >= self.epochs or stale >= self.patience

    def rate(self, gone: float, step: int, losses: Sequence[float]) -> float:
        """Learning rate when `gone` (0 to 1) of all epochs are done, `step` steps, and these dev losses are known. A function of
        nothing else, so that a training that was stopped goes on exactly."""
        factor = min(1.0, (step + 1) / WARM_UP)
        if self.schedule == "cosine":
            factor *= 0.5 * (1 + math.cos(math.pi * min(1.0, gone)))
        elif self.schedule == "plateau":
            factor *= 0.5 ** halvings(losses)
        return self.learning_rate * factor


def halvings(losses: Sequence[float]) -> int:
    """How often the loss has not been better for `PLATEAU` epochs running."""
    best, since, count = math.inf, 0, 0
    for loss in losses:
        best, since = (loss, 0) if loss < best else (best, since + 1)
        if since == PLATEAU:
            count, since = count + 1, 0
    return count


def _sentence(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        names = sorted([*Training.model_fields, *CHANGES])
        return f"there is no setting {error['loc'][0]!r}. Select from {', '.join(names)}."
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    return f"{'.'.join(map(str, error['loc']))} is {error['input']!r}: {error['msg'].lower()}"
