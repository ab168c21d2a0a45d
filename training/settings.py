"""How a network is trained: every knob, in one record that is kept beside the weights."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from entrain.model import ModelConfig
from entrain.words import Words
from entrain_training.schedule import Schedule, TrainingError, sentence

__all__ = ["CHANGES", "Training", "TrainingError"]

FIXED = {"variant", "vocabulary", "word_dim", "tokeniser", "features", "profile"}
CHANGES = [name for name in ModelConfig.model_fields if name not in FIXED]
"""What of a variant's `ModelConfig` can be changed."""


class Training(Schedule):
    """Settings. Whatever `ModelConfig` has can be given too, and changes the variant: `Training(variant="base", hidden=128)`."""

    variant: str = "words-lookahead"
    changes: dict[str, Any] = Field(default_factory=dict)
    """To the variant's `ModelConfig`: the five us/both settings, likelihood, normalise, sizes, dropout."""

    batch_size: int = Field(default=16, ge=1)
    """Sides: conversations, or windows of them, each from one speaker's side."""
    window: int = Field(default=160, ge=2)
    """Turns that a side has at most in training; dev conversations are read whole."""
    teacher: float = Field(default=1.0, ge=0, le=1)
    """Probability that our own turn enters as recorded, at the start …"""
    teacher_end: float | None = Field(default=None, ge=0, le=1)
    """… after `teacher_epochs`, linear between; None: the same throughout."""
    teacher_epochs: int = Field(default=10, ge=1)
    teacher_each: Literal["turn", "feature"] = "turn"
    """Is it drawn once a turn, or for each feature?"""
    free_every: int = Field(default=5, ge=0)
    """Epochs between dev losses with our own turns as predicted, not recorded: a loop over turns. 0: at the end only."""

    split_seed: int = Field(default=0, ge=0)
    """Apart, so that other seeds are trained on the same conversations."""
    vectors: str | None = None
    """File of word vectors; None: those that ship."""
    everything: bool = False
    """No split: all conversations for training, exactly `epochs` epochs. For weights that ship."""

    def __init__(self, **given: Any) -> None:
        changes = {**given.pop("changes", {}), **{name: given.pop(name) for name in CHANGES if name in given}}
        try:
            super().__init__(changes=changes, **given)
        except ValidationError as error:
            raise TrainingError(_sentences(error)) from error

    @model_validator(mode="after")
    def _possible(self) -> Training:
        unknown = [name for name in self.changes if name not in CHANGES]
        if unknown:
            raise ValueError(f"{unknown[0]!r} can't be changed. Select from {', '.join(CHANGES)}.")
        try:
            ModelConfig.of(self.variant, **self.changes)
        except ValidationError as error:
            raise ValueError(_sentences(error)) from error
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


def _sentences(error: ValidationError) -> str:
    return "; ".join(sentence(e, [*Training.model_fields, *CHANGES]) for e in error.errors())
