"""Turn tables → a trained model, in a folder that has all that was done.

RUN/config.json, model.safetensors    the model (`Trained.load(RUN)`): all that its use needs
    settings.json, split.json         what it was trained with, on, and not on
    history.json, logs/               losses of each epoch; the same for TensorBoard
    checkpoints/last.ckpt             to go on after an interruption: torch's pickle, read with weights_only, never for use
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from rich.console import Console

from entrain.model import Model, ModelConfig
from entrain.turn import FEATURES
from entrain.weights import Trained
from entrain.words import Words
from entrain_training import card
from entrain_training.bar import Bar
from entrain_training.data import Dialogue, all_sides, bounded, read_dialogues
from entrain_training.kept import dev_losses
from entrain_training.lesson import DEV_TURNS, Lesson
from entrain_training.run import CHECKPOINT, begin
from entrain_training.scale import calibration, deciles, errors, usual
from entrain_training.settings import Training, TrainingError
from entrain_training.split import split
from entrain_training.trainer import is_first, load, quiet, stoppable, teach, trainer

__all__ = ["Training", "TrainingError", "fit", "is_first"]


def fit(
    tables: Sequence[str | Path], run: str | Path, settings: Training = Training(), resume: bool = False,
    console: Console | None = None,
) -> Trained:  # fmt: skip
    """Train on prepared tables; the model of the best epoch is returned, and is in the folder `run` with all else.

    `resume` goes on after the last epoch that was done, exactly as if there had been no interruption. `console` is where progress and
    remarks go. Raises `ValueError` (`TrainingError`, `TableError`) for what can't be trained, `KeyboardInterrupt` when stopped.
    """
    run, console = Path(run), console if console and is_first() else Console(quiet=True)
    if not tables:
        raise TrainingError("there is no table to train on. Give those that `entrain prepare` wrote.")
    words = Words.load(settings.vectors)
    config = settings.config(words)
    parts = _parts(_read(tables, words, config), settings)
    corpora = card.corpora(parts)
    remarks = card.remarks(corpora, config)
    with quiet(), stoppable():
        teacher = trainer(settings, run, Bar(console, settings.epochs), judges=bool(parts["dev"]))
        if is_first():
            begin(run, tables, settings, parts, resume)
        L.seed_everything(settings.seed, workers=True, verbose=False)
        lesson = Lesson(config, settings, words, parts["train"], parts["dev"])
        for line in (_summary(lesson, parts), *remarks):
            console.print(line, highlight=False)
        teach(teacher, lesson, run / CHECKPOINT)
    trained = _finish(lesson, run, parts, {"corpora": corpora, "remarks": remarks})
    if is_first():
        trained.save(run)
    return trained


def _read(tables: Sequence[str | Path], words: Words, config: ModelConfig) -> list[Dialogue]:
    found = read_dialogues(tables, words, config.normalise, config.mel, config.emotion)
    if config.emotion and not any(d.emotion[:, -1].any() for d in found):
        raise TrainingError(
            f"no turn of {', '.join(map(str, tables))} has a probability of {', '.join(config.emotion)}. Make the tables with "
            "entrain prepare --emotion MODEL, or train without emotions."
        )
    return found


def _parts(dialogues: list[Dialogue], settings: Training) -> dict[str, list[Dialogue]]:
    if settings.everything:
        return {"train": dialogues, "dev": [], "test": []}
    parts = split(dialogues, settings.split_seed)
    for name in ("train", "dev"):
        if not any(d.valid.any() for d in parts[name]):
            raise TrainingError(
                f"no turn of the {name} part has a value. Give more conversations, or another split_seed than "
                f"{settings.split_seed}."
            )
    return parts


def _summary(lesson: Lesson, parts: dict[str, list[Dialogue]]) -> str:
    sizes = {name: card.counts(part) for name, part in parts.items()}
    told = [
        f"{name} {n['turns']:,} turns of {n['conversations']:,} conversations" for name, n in sizes.items()
    ]
    n_parameters = sum(p.numel() for p in lesson.model.parameters())
    return f"{lesson.settings.variant}, {n_parameters:,} parameters · {' · '.join(told)}"


# --- afterwards -------------------------------------------------------------------------------------------------------


def _finish(lesson: Lesson, run: Path, parts: dict[str, list[Dialogue]], about: dict[str, Any]) -> Trained:
    """The best epoch's weights, with scales as errors really are: on the dev part, or where there is none on what was trained on."""
    config, kept = lesson.config, load(run / CHECKPOINT)
    losses = dev_losses(kept["history"])
    model = Model(config)
    model.load_state_dict(kept["best"])
    groups = bounded(all_sides(parts["dev"] or parts["train"]), DEV_TURNS)
    found = errors(model, groups, lesson.words)
    factors, usually = calibration(found, config.likelihood), usual(found, config.likelihood)
    model.calibration.copy_(torch.tensor(factors))
    figures = {
        "part": "dev" if parts["dev"] else "train",
        "loss": replace(found, scale=found.scale * np.float32(factors)).loss(config.likelihood),
        "loss_of_0": replace(found, error=found.target, scale=found.scale * 0 + np.float32(usually)).loss(
            config.likelihood
        ),
    }
    if parts["dev"]:  # a loop over turns: too slow for all that was trained on
        figures["loss_free"] = errors(model, groups, lesson.words, free=True).loss(config.likelihood)
    about = {
        "n_turns": card.counts(parts["train"])["turns"],
        "n_conversations": card.counts(parts["train"])["conversations"],
        "n_values": dict(
            zip(FEATURES, np.sum([d.valid.sum(0) for d in parts["train"]], 0).tolist(), strict=True)
        ),
        "epoch": losses.index(min(losses)) + 1 if losses else len(kept["history"]),
        "n_epochs": len(kept["history"]),
        "judged": figures,
        "seed": lesson.settings.seed,
        "settings": lesson.settings.model_dump(mode="json"),
        "versions": card.versions(),
    } | about
    scales = deciles(replace(found, scale=found.scale * np.float32(factors)))
    return Trained(model.eval(), card.learnt(parts["train"]), usually, about, scales)
