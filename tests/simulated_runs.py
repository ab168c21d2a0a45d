"""Small networks trained on simulated conversations in two seconds, in folders as `entrain train` writes them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from entrain.model import Model, ModelConfig, context_of, masked_loss, shape_of
from entrain.turn import FEATURES
from entrain.weights import Trained
from entrain.words import Words
from entrain_training.coupling import COUPLINGS
from entrain_training.data import Dialogue, Side, all_sides, collate, read_dialogues
from entrain_training.simulate import simulate, to_table
from entrain_training.split import split
from entrain_training.table import write_table

FOLDER = tempfile.TemporaryDirectory()
WORDS = Words.load()


@lru_cache
def table(coupling: str) -> Path:
    path = Path(FOLDER.name) / f"{coupling}.parquet"
    write_table([to_table(simulate(150, 40, COUPLINGS[coupling], 1), f"simulated-{coupling}")], path)
    return path


@lru_cache
def parts(coupling: str) -> dict[str, list[Dialogue]]:
    return split(read_dialogues([table(coupling)], WORDS))


@lru_cache
def run(coupling: str, variant: str = "base", epochs: int = 8, **changes: object) -> Path:
    """The folder of a network of that variant; 0 epochs: untrained."""
    torch.manual_seed(0)
    small = {"hidden": 32, "word_hidden": 8, "dropout": 0.0, "vocabulary": WORDS.id}
    model = Model(ModelConfig.of(variant, **(small | changes)))
    if epochs:
        _learn(model, all_sides(parts(coupling)["train"]), epochs)
    marks = [f"{name}-{value}" for name, value in changes.items()]
    folder = Path(FOLDER.name) / "-".join([coupling, variant, str(epochs), *marks])
    Trained(model.eval(), dict.fromkeys(FEATURES, "simulated")).save(folder)
    names = {part: [[d.corpus, d.id] for d in found] for part, found in parts(coupling).items()}
    (folder / "split.json").write_text(json.dumps(names))
    (folder / "settings.json").write_text(json.dumps({"epochs": epochs}))
    return folder


def _learn(model: Model, sides: list[Side], epochs: int, size: int = 16, rate: float = 5e-3) -> None:
    n_steps, rng = epochs * (len(sides) // size), np.random.default_rng(0)
    optimizer = torch.optim.AdamW(model.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, n_steps + 1)
    for order in (rng.permutation(len(sides)) for _ in range(epochs)):
        for i in range(len(sides) // size):
            batch = collate([sides[j] for j in order[i * size : (i + 1) * size]], WORDS)
            optimizer.zero_grad()
            masked_loss(model.config, model(batch), batch).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()


def dialogue(
    speaker: Sequence[int], z: np.ndarray, valid: np.ndarray | None = None, texts: Sequence[str] = (), id: str = "a",
    corpus: str = "made", names: Sequence[str] = (), target: np.ndarray | None = None,
) -> Dialogue:  # fmt: skip
    """A conversation of turns by `speaker` (T,) with z (T, 7), of which all is valid unless told."""
    z = np.asarray(z, np.float32)
    valid = np.ones_like(z, bool) if valid is None else valid
    texts = tuple(texts) or ("yes",) * len(z)
    found = [WORDS.find(text) for text in texts]
    return Dialogue(
        corpus=corpus, id=id, group="", names=tuple(names) or tuple(f"{id}/{n}" for n in range(max(speaker) + 1)),
        speaker=np.array(speaker), z=np.where(valid, z, 0), valid=valid,
        target=np.asarray(z if target is None else target, np.float32),
        context=np.array([context_of(1.0 + t, 0.0, 0.1, False) for t in range(len(z))], np.float32),
        emotion=np.zeros((len(z), 0), np.float32), shape=np.array([shape_of(text) for text in texts], np.float32),
        rows=np.concatenate([rows for rows, _ in found]), forms=np.concatenate([forms for _, forms in found]),
        n_words=np.array([len(rows) for rows, _ in found]), mel=np.zeros((0, 160), np.float16),
        n_mel=np.zeros(len(z), np.int64), texts=texts, start_s=np.arange(len(z), dtype=float),
    )  # fmt: skip
