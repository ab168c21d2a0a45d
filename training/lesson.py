"""The network in training, as Lightning wants it: batches, steps, the dev loss, and what is kept of each epoch."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from entrain.model import Batch, Model, ModelConfig, masked_loss
from entrain.words import Words
from entrain_training.data import Dialogue, Side, all_sides, bounded, collate, epoch
from entrain_training.run import keep, keep_json
from entrain_training.settings import Training, TrainingError

DEV_TURNS = 4096  # of a batch of whole conversations; twice as many are slower on a CPU, and attention takes 4 times the memory


class Batches(Dataset[Batch]):
    """Groups of sides, each made a batch when it is asked for."""

    def __init__(self, groups: Sequence[Sequence[Side]], words: Words) -> None:
        self.groups, self.words = groups, words

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, place: int) -> Batch:
        return collate(self.groups[place], self.words)


class Lesson(L.LightningModule):
    """Each epoch is made from the seed and its number, each step from the seed and its own: one that was stopped goes on exactly."""

    def __init__(
        self, config: ModelConfig, settings: Training, words: Words, train: Sequence[Dialogue], dev: Sequence[Dialogue]
    ) -> None:  # fmt: skip
        super().__init__()
        self.model, self.config, self.settings, self.words = Model(config), config, settings, words
        self.train_part, self.dev = train, bounded(all_sides(dev), DEV_TURNS)
        self.history: list[dict[str, Any]] = []
        """A row for each epoch that is done."""
        self.best: dict[str, Tensor] = {}
        """The weights of the epoch with the best dev loss, or the last where there is no dev part."""

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

    def configure_optimizers(self) -> torch.optim.Optimizer:
        weights = list(self.model.parameters())
        decayed = {"params": [w for w in weights if w.ndim > 1], "weight_decay": self.settings.weight_decay}
        return torch.optim.AdamW(
            [decayed, {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0}]
        )

    def on_train_epoch_start(self) -> None:
        self.started_s = time.perf_counter()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        seeds = np.random.SeedSequence([self.settings.seed, self.global_step, self.global_rank])
        torch.manual_seed(int(seeds.generate_state(1)[0]))
        gone = (len(self.history) + batch_idx / self.trainer.num_training_batches) / self.settings.epochs
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.settings.rate(gone, self.global_step, dev_losses(self.history))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        config, p_teacher = self.config, self.settings.p_teacher(len(self.history))
        if p_teacher < 1:
            batch = self.model.free_run(batch, p_teacher, config.train_on, each=self.settings.teacher_each)
        loss = masked_loss(config, self.model(batch, config.train_on), batch, config.train_loss_on)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.real), sync_dist=True)
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        self.seconds = time.perf_counter() - self.started_s

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

    # --- what is kept ---------------------------------------------------------------------------------------------

    def on_train_epoch_end(self) -> None:
        self.history.append(self._row())
        losses = dev_losses(self.history)
        if not losses or losses.index(min(losses)) == len(losses) - 1:
            self.best = {name: t.detach().cpu().clone() for name, t in self.model.state_dict().items()}
        self.trainer.should_stop = self.settings.done(len(self.history), losses)
        if self.trainer.is_global_zero:
            keep_json(Path(self.trainer.default_root_dir) / "history.json", self.history)

    def _row(self) -> dict[str, Any]:
        names = ["train_loss", *(["dev_loss", "dev_loss_free"][: 1 + self._runs_free()] if self.dev else [])]
        losses = {name: float(self.trainer.callback_metrics[name]) for name in names}
        epoch = len(self.history)
        if not all(map(math.isfinite, losses.values())):
            raise TrainingError(
                f"the loss is not a number any more in epoch {epoch + 1} ({losses}). Train again with a smaller learning "
                f"rate than {self.settings.learning_rate}."
            )
        return {
            "epoch": epoch + 1, **losses, "p_teacher": self.settings.p_teacher(epoch),
            "learning_rate": self.trainer.optimizers[0].param_groups[0]["lr"],
            "seconds": self.seconds, "turns_per_s": self.n_turns / self.seconds,
        }  # fmt: skip

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"], checkpoint["best"] = self.history, self.best

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history, self.best = checkpoint["history"], checkpoint["best"]


def dev_losses(history: Sequence[dict[str, Any]]) -> list[float]:
    """Of each epoch; none where there is no dev part."""
    return [row["dev_loss"] for row in history if "dev_loss" in row]


class WholeFiles(TorchCheckpointIO):
    """Checkpoints, each there whole or not at all. (Lightning's own are written in /tmp, and then copied if that is another disk: a
    full one cuts the copy short, after the last good checkpoint is gone.)"""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        content = io.BytesIO()
        torch.save(checkpoint, content)
        keep(Path(path), content.getvalue())
