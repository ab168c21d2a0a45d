"""Lightning's trainer, set up once for every training: stoppable, quiet, with checkpoints to go on from."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from entrain_training.kept import Kept, WholeFiles, dev_losses
from entrain_training.run import CHECKPOINT
from entrain_training.schedule import Schedule, TrainingError


def is_first() -> bool:
    """Of the processes that train together, where there are several."""
    return rank_zero_only.rank == 0


def trainer(settings: Schedule, run: Path, bar: L.Callback, judges: bool) -> L.Trainer:
    """`judges`: is there a dev part?"""
    checkpoint = run / CHECKPOINT
    last = ModelCheckpoint(
        checkpoint.parent, checkpoint.stem, save_on_train_epoch_end=True, enable_version_counter=False
    )
    try:
        return L.Trainer(
            accelerator=settings.accelerator, devices=settings.devices, num_nodes=settings.nodes,
            strategy=settings.strategy, precision=settings.precision, max_epochs=settings.epochs,
            gradient_clip_val=settings.clip, callbacks=[bar, last], plugins=[WholeFiles()],
            logger=TensorBoardLogger(run, "", "logs"), default_root_dir=run, reload_dataloaders_every_n_epochs=1,
            limit_val_batches=None if judges else 0, num_sanity_val_steps=0, use_distributed_sampler=False,
            log_every_n_steps=10, enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
    except (MisconfigurationException, ValueError) as error:
        raise TrainingError(f"Lightning can't train like this: {error}") from error


def teach(trainer: L.Trainer, lesson: Kept, checkpoint: Path) -> None:
    """Train until it is done, on from the checkpoint if there is one; afterwards it has all that came of it."""
    if not checkpoint.exists():
        trainer.fit(lesson)
        return
    history = load(checkpoint)["history"]
    if not lesson.settings.done(len(history), dev_losses(history)):
        trainer.fit(lesson, ckpt_path=checkpoint, weights_only=True)


def load(checkpoint: Path) -> dict[str, Any]:
    try:
        return torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch finds in a file that is not its own
        raise TrainingError(
            f"the checkpoint {checkpoint} can't be read ({error}). Begin anew in another folder."
        ) from error


@contextmanager
def quiet() -> Generator[None]:
    """Without Lightning's tips and warnings, which are for those who program with it."""
    loggers = [logging.getLogger(f"lightning.{name}") for name in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def stoppable() -> Generator[None]:
    """Ctrl-C as `KeyboardInterrupt`: Lightning would exit, and leave the signal ignored; or, where it came before an epoch's first
    batch, fail with a `RuntimeError` while it tidies up."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except (SystemExit, RuntimeError) as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None
