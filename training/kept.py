"""What every training keeps of each epoch, and how its steps are drawn and paced, so that one that was stopped goes on exactly."""

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
from torch import Tensor, nn

from entrain_training.run import keep, keep_json
from entrain_training.schedule import Schedule, TrainingError


class Kept(L.LightningModule):
    """Each epoch is made from the seed and its number, each step from the seed and its own."""

    def __init__(self, model: nn.Module, settings: Schedule) -> None:
        super().__init__()
        self.model, self.settings = model, settings
        self.history: list[dict[str, Any]] = []
        """A row for each epoch that is done."""
        self.best: dict[str, Tensor] = {}
        """The weights of the epoch with the best dev loss, or the last where there is no dev part."""

    def losses(self) -> list[str]:
        """Those that were logged in the epoch that was done just now (Lightning keeps older ones too)."""
        raise NotImplementedError

    def row(self) -> dict[str, Any]:
        """What else is told of the epoch that was done just now."""
        return {}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        weights = [w for w in self.model.parameters() if w.requires_grad]
        decayed = {"params": [w for w in weights if w.ndim > 1], "weight_decay": self.settings.weight_decay}
        return torch.optim.AdamW(
            [decayed, {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0}]
        )

    def on_train_epoch_start(self) -> None:
        self.started_s = time.perf_counter()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        seeds = np.random.SeedSequence([self.settings.seed, self.global_step, self.global_rank])
        torch.manual_seed(int(seeds.generate_state(1)[0]))
        gone = (len(self.history) + batch_idx / self.trainer.num_training_batches) / self.settings.epochs
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.settings.rate(gone, self.global_step, dev_losses(self.history))

    def on_train_batch_end(self, *_: Any) -> None:
        self.seconds = time.perf_counter() - self.started_s

    def on_train_epoch_end(self) -> None:
        self.history.append(self._row())
        losses = dev_losses(self.history)
        if not losses or losses.index(min(losses)) == len(losses) - 1:
            self.best = {name: t.detach().cpu().clone() for name, t in self.model.state_dict().items()}
        self.trainer.should_stop = self.settings.done(len(self.history), losses)
        if self.trainer.is_global_zero:
            keep_json(Path(self.trainer.default_root_dir) / "history.json", self.history)

    def _row(self) -> dict[str, Any]:
        losses = {name: float(self.trainer.callback_metrics[name]) for name in self.losses()}
        epoch = len(self.history) + 1
        if not all(map(math.isfinite, losses.values())):
            raise TrainingError(
                f"the loss is not a number any more in epoch {epoch} ({losses}). Train again with a smaller learning rate "
                f"than {self.settings.learning_rate}."
            )
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        return {"epoch": epoch, **losses, "learning_rate": rate, "seconds": self.seconds, **self.row()}

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
