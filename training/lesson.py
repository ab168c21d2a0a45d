"""The entrainment model in training, as Lightning wants it: batches, the loss, the dev loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from entrain.model import Batch, Model, ModelConfig, masked_loss
from entrain.words import Words
from entrain_training.data import Dialogue, Side, all_sides, bounded, collate, epoch
from entrain_training.kept import Kept
from entrain_training.settings import Training

DEV_TURNS = 4096  # of a batch of whole conversations; twice as many are slower on a CPU, and attention takes 4 times the memory


class Batches(Dataset[Batch]):
    """Groups of sides, each made a batch when it is asked for."""

    def __init__(self, groups: Sequence[Sequence[Side]], words: Words) -> None:
        self.groups, self.words = groups, words

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, place: int) -> Batch:
        return collate(self.groups[place], self.words)


class Lesson(Kept):
    """Our model on the turns of conversations."""

    model: Model
    settings: Training

    def __init__(
        self, config: ModelConfig, settings: Training, words: Words, train: Sequence[Dialogue], dev: Sequence[Dialogue]
    ) -> None:  # fmt: skip
        super().__init__(Model(config), settings)
        self.config, self.words = config, words
        self.train_part, self.dev = train, bounded(all_sides(dev), DEV_TURNS)

    # --- batches --------------------------------------------------------------------------------------------------

    def train_dataloader(self) -> DataLoader[Batch]:
        """Of the epoch that comes next. Every process has as many batches, the first ones twice if need be."""
        rng = np.random.default_rng([self.settings.seed, len(self.history)])
        sides = list(epoch(self.train_part, self.settings.window, rng, self.config.train_on))
        size, n_processes = self.settings.batch_size, self.trainer.world_size
        groups = [sides[i : i + size] for i in range(0, len(sides), size)]
        groups += groups[: -len(groups) % n_processes]
        self.n_turns = sum(map(len, sides))
        return self._loader(groups[self.global_rank :: n_processes])

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """The whole dev part in each process: a tenth of an epoch's work."""
        return self._loader(self.dev) if self.dev else []

    def _loader(self, groups: Sequence[Sequence[Side]]) -> DataLoader[Batch]:
        return DataLoader(Batches(groups, self.words), batch_size=None, num_workers=self.settings.workers)

    # --- steps ----------------------------------------------------------------------------------------------------

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        config, p_teacher = self.config, self.settings.p_teacher(len(self.history))
        if p_teacher < 1:
            batch = self.model.free_run(batch, p_teacher, config.train_on, each=self.settings.teacher_each)
        loss = masked_loss(config, self.model(batch, config.train_on), batch, config.train_loss_on)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.real), sync_dist=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        config, feeds = self.config, {"dev_loss": batch}
        if self._runs_free():
            feeds["dev_loss_free"] = self.model.free_run(batch, 0.0, config.eval_on)
        n = int((batch.counted(config.eval_loss_on)[..., None] & batch.valid).sum())
        for name, fed in feeds.items():
            loss = masked_loss(config, self.model(fed, config.eval_on), batch, config.eval_loss_on)
            self.log(name, loss, on_epoch=True, batch_size=n, sync_dist=True)

    def _runs_free(self) -> bool:
        every = self.settings.free_every
        return every > 0 and (len(self.history) + 1) % every == 0

    def losses(self) -> list[str]:
        return ["train_loss", *(["dev_loss", "dev_loss_free"][: 1 + self._runs_free()] if self.dev else [])]

    def row(self) -> dict[str, Any]:
        p_teacher = self.settings.p_teacher(len(self.history))
        return {"p_teacher": p_teacher, "turns_per_s": self.n_turns / self.seconds}
