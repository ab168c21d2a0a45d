"""The progress of `entrain train` on a terminal."""

from __future__ import annotations

import time
from typing import Any

import lightning as L
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from entrain_training.kept import dev_losses

EVERY_S = 0.2  # reading the loss makes a GPU wait


class Bar(L.Callback):
    """One bar over all epochs (it jumps where training stops early), and a line for each epoch, which stays."""

    def __init__(self, console: Console, epochs: int) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()
        self.bars = Progress(*columns, console=console, transient=True)
        self.task, self.shown_s = self.bars.add_task("Training", total=epochs), 0.0

    def on_train_start(self, trainer: L.Trainer, lesson: Any) -> None:
        if trainer.is_global_zero:
            self.bars.start()

    def on_train_batch_end(
        self, trainer: L.Trainer, lesson: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if time.monotonic() - self.shown_s < EVERY_S:
            return
        self.shown_s, done = time.monotonic(), len(lesson.history)
        completed = done + (batch_idx + 1) / trainer.num_training_batches
        told = f"epoch {done + 1} of at most {lesson.settings.epochs} · loss {float(outputs['loss']):.3f}"
        self.bars.update(self.task, completed=completed, description=told)

    def on_save_checkpoint(self, trainer: L.Trainer, lesson: Any, checkpoint: dict[str, Any]) -> None:
        row, losses = lesson.history[-1], dev_losses(lesson.history)
        parts = [f"epoch {row['epoch']}", f"train loss {row['train_loss']:.4f}"]
        if losses:
            best = "the best" if min(losses) == losses[-1] else f"best {min(losses):.4f}"
            parts.append(f"dev {losses[-1]:.4f} ({best})")
        if "dev_loss_free" in row:
            parts.append(f"free-running {row['dev_loss_free']:.4f}")
        parts += [
            f"{name} {row[name]:.4f}"
            for name in row
            if name.startswith("dev_") and not name.startswith("dev_loss")
        ]
        parts.append(
            f"{row['turns_per_s']:,.0f} turns/s" if "turns_per_s" in row else f"{row['seconds']:.0f} s"
        )
        self.bars.console.print(" · ".join(parts), highlight=False)

    def teardown(self, trainer: L.Trainer, lesson: Any, stage: str) -> None:
        self.bars.stop()
