"""A training of the ears: any network, batches drawn anew each epoch, and a folder that has all that was done.

RUN/settings.json     what it was begun with     history.json, logs/        losses of each epoch; the same for TensorBoard
    checkpoints/last.ckpt   to go on after an interruption: torch's pickle, read with weights_only, never for use
What of the network is for use each task writes itself, as config.json beside model.safetensors or model.onnx.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import lightning as L
import numpy as np
import torch
from pydantic import Field, ValidationError
from rich.console import Console
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from entrain_training.bar import Bar
from entrain_training.kept import Kept
from entrain_training.run import (
    CHECKPOINT,
    OF_MACHINE,
    keep_json,
    must_be_of_machine,
    must_be_same,
    must_go_on,
    read,
)
from entrain_training.schedule import Schedule, TrainingError, sentence
from entrain_training.trainer import load, quiet, stoppable, teach, trainer


class Study(Schedule):
    """Settings that the trainings of voice activity, wake word and emotion share; each adds its own. The seed is another every time
    unless it is given, and is kept in settings.json."""

    seed: int = Field(default_factory=lambda: secrets.randbelow(2**31), ge=0)

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            names = list(type(self).model_fields)
            raise TrainingError("; ".join(sentence(e, names) for e in error.errors())) from error


class Task(Protocol):
    """What is learnt, and from what."""

    network: nn.Module

    def about(self) -> dict[str, Any]:
        """For settings.json, JSON-able: the data, with counts, and whatever a training that goes on must find unchanged."""
        ...

    def epoch(self, rng: np.random.Generator) -> Sequence[Any]:
        """What each batch of an epoch is to be made of; cheap, such as rows of a permutation, or `range(n)` for mixes without end."""
        ...

    def batch(self, of: Any, rng: np.random.Generator) -> Any:
        """A batch: tensors in a tuple. `rng` is this batch's own."""
        ...

    def loss(self, batch: Any) -> Tensor: ...

    def dev(self) -> Sequence[Any]:
        """Batches of the dev part, the same each time; the epoch with the lowest mean loss on them is kept. None: the last is."""
        ...

    def judge(self) -> dict[str, float]:
        """What else is told of each epoch, named `dev_…`, such as `dev_auc`. The network is in eval mode."""
        ...


class Batches(Dataset[Any]):
    def __init__(self, task: Task, seed: int, epoch: int) -> None:
        self.task, self.key = task, (seed, epoch)
        self.groups = task.epoch(np.random.default_rng(self.key))

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, place: int) -> Any:
        return self.task.batch(self.groups[place], np.random.default_rng((*self.key, place)))


class Learner(Kept):
    """A task, as Lightning wants it."""

    def __init__(self, task: Task, settings: Schedule) -> None:
        super().__init__(task.network, settings)
        self.task, self.dev = task, task.dev()

    def train_dataloader(self) -> DataLoader[Any]:
        batches = Batches(self.task, self.settings.seed, len(self.history))
        return DataLoader(batches, batch_size=None, num_workers=self.settings.workers)

    def val_dataloader(self) -> Any:
        return DataLoader(self.dev, batch_size=None) if self.dev else []  # pyright: ignore[reportArgumentType]

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = self.task.loss(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=1)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("dev_loss", self.task.loss(batch), on_epoch=True, batch_size=1)

    def losses(self) -> list[str]:
        return ["train_loss", "dev_loss"] if self.dev else ["train_loss"]

    def row(self) -> dict[str, Any]:
        self.model.eval()
        with torch.no_grad():
            found = self.task.judge()
        self.model.train()
        return found


T = TypeVar("T", bound=Study)


def again(run: Path, kind: type[T], given: dict[str, Any]) -> T:
    """The settings to go on with: those of before, but for the machine's, which may be given anew."""
    must_be_of_machine(given)
    return kind(**read(run / "settings.json")["settings"] | given)


def learn(
    task: Task, run: Path, settings: Study, console: Console | None = None, resume: bool = False
) -> list[dict[str, Any]]:
    """Train; afterwards `task.network` has the weights of the best epoch, in eval mode. Returns the history, a row an epoch.

    The weights to begin with are drawn by whoever makes the network: call `torch.manual_seed(settings.seed)` before. `resume` goes on
    after the last epoch that was done, exactly as if there had been no interruption, and returns at once where all is done. Raises
    `TrainingError` for what can't be trained, `KeyboardInterrupt` when stopped.
    """
    console = console or Console(quiet=True)
    begin(run, task, settings, resume)
    with quiet(), stoppable():
        learner = Learner(task, settings)
        teacher = trainer(settings, run, Bar(console, settings.epochs), judges=bool(learner.dev))
        L.seed_everything(settings.seed, workers=True, verbose=False)
        teach(teacher, learner, run / CHECKPOINT)
    kept = load(run / CHECKPOINT)
    task.network.load_state_dict(kept["best"])
    task.network.to("cpu").eval()
    return kept["history"]


def begin(run: Path, task: Task, settings: Study, resume: bool) -> None:
    """Write settings.json; or, where it is, see that the training which goes on is the same."""
    record = {"settings": settings.model_dump(mode="json"), "about": task.about()}
    if not (run / "settings.json").exists():
        keep_json(run / "settings.json", record)
        return
    must_go_on(run, resume, f"with --resume {run}")
    before = read(run / "settings.json")
    changed = [
        f"{name} was {before[part].get(name)!r}, is {value!r}"
        for part in ("settings", "about")
        for name, value in record[part].items()
        if name not in OF_MACHINE and before[part].get(name) != value
    ]
    must_be_same(run, changed)
