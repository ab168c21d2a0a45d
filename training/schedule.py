"""How long a network is trained, how fast, and on what machine: the settings that every training has."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from entrain.turn import Record

WARM_UP = 50  # steps; without them the first steps of Adam, whose variances are not known yet, are too long
PLATEAU = 3  # epochs without a better dev loss before a plateau's rate is halved


class TrainingError(ValueError):
    """The model can't be trained; the message says what to do."""


class Schedule(Record):
    """What all trainings have; each adds its own."""

    epochs: int = Field(default=40, ge=1)
    patience: int = Field(default=8, ge=1)
    """Stop after so many epochs without a better dev loss."""
    batch_size: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=3e-3, gt=0, le=1)
    schedule: Literal["cosine", "plateau", "constant"] = "cosine"
    warm_up: int = Field(default=WARM_UP, ge=1)
    """Steps in which the rate rises."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Of matrices; biases are left alone."""
    clip: float = Field(default=1.0, gt=0)
    """Longest gradient."""
    seed: int = Field(default=0, ge=0)

    accelerator: str = "auto"
    """This and the next four are Lightning's."""
    devices: int | str = 1
    nodes: int = Field(default=1, ge=1)
    strategy: str = "auto"
    precision: str = "32-true"
    workers: int = Field(default=0, ge=0)
    """Processes that make batches."""

    def done(self, n_epochs: int, losses: Sequence[float]) -> bool:
        """After so many epochs with these dev losses (none where there is no dev part)."""
        stale = len(losses) - 1 - losses.index(min(losses)) if losses else 0
        return n_epochs >= self.epochs or stale >= self.patience

    def rate(self, gone: float, step: int, losses: Sequence[float]) -> float:
        """Learning rate when `gone` (0 to 1) of all epochs are done, `step` steps, and these dev losses are known. A function of
        nothing else, so that a training that was stopped goes on exactly."""
        factor = min(1.0, (step + 1) / self.warm_up)
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


def sentence(error: Mapping[str, Any], names: Sequence[str]) -> str:
    """One of pydantic's errors; `names` are the settings that there are."""
    if error["type"] == "extra_forbidden":
        return f"there is no setting {error['loc'][0]!r}. Select from {', '.join(sorted(names))}."
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    return f"{'.'.join(map(str, error['loc']))} is {error['input']!r}: {error['msg'].lower()}"
