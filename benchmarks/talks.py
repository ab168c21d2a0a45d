"""Batches as long and as wordy as real ones: what the network costs does not depend on what is said."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from entrain.model import CONTEXT, MEL_BANDS, SHAPE, Batch, ModelConfig, N
from entrain.turn import FEATURES
from entrain.words import kept_tokens

TABLES = Path(__file__).parents[2] / "shared" / "data" / "conversations"
MEL_PER_S = 10


@dataclass(frozen=True)
class Talk:
    """One conversation of T turns."""

    speaker: NDArray[np.int64]  # (T,)
    n_words: NDArray[np.int64]  # (T,)
    duration_s: NDArray[np.float64]  # (T,)

    def part(self, start: int, stop: int) -> Talk:
        return Talk(self.speaker[start:stop], self.n_words[start:stop], self.duration_s[start:stop])


@lru_cache
def talks(seed: int = 0) -> tuple[list[Talk], str]:
    """The conversations of the AMI and PriMock57 tables where they are, else some like them; and which."""
    paths = [TABLES / f"{name}.csv.gz" for name in ("ami", "primock57")]
    if all(path.is_file() for path in paths):
        return [talk for path in paths for talk in _read(path)], "AMI and PriMock57"
    rng = np.random.default_rng(seed)
    return [_like(rng) for _ in range(100)], "made up like AMI"


def _read(path: Path) -> list[Talk]:
    turns: dict[str, list[tuple[str, int, float]]] = {}
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            duration_s = float(row["end"]) - float(row["start"])
            turns.setdefault(row["conv"], []).append(
                (row["speaker"], len(kept_tokens(row["text"])), duration_s)
            )
    found: list[Talk] = []
    for rows in turns.values():
        names, n_words, duration_s = zip(*rows, strict=True)
        found.append(Talk(np.unique(names, return_inverse=True)[1], np.array(n_words), np.array(duration_s)))
    return found


def _like(rng: np.random.Generator) -> Talk:
    """By the quartiles of AMI: 2, 6 and 18 words a turn, 240, 342 and 504 turns."""
    n_turns = int(np.clip(rng.lognormal(np.log(342), 0.55), 50, 1_034))
    n_words = rng.lognormal(np.log(6), 1.6, n_turns).astype(np.int64).clip(1, 64)
    return Talk(rng.integers(0, 4, n_turns), n_words, 0.3 + 0.37 * n_words)


def batches(n: int, n_sides: int, window: int, mean_s: float | None = None, seed: int = 0) -> list[Batch]:
    """`n` batches of `n_sides` stretches of at most `window` turns, from anywhere; values, words and sounds are noise.

    `mean_s`: how long turns are on average, seconds; None leaves out the Mel vectors.
    """
    rng = np.random.default_rng(seed)
    everyone = talks(seed)[0]
    parts = [talk.part(a, a + window) for talk in everyone for a in range(0, len(talk.speaker), window)]
    usual_s = float(np.mean(np.concatenate([talk.duration_s for talk in everyone])))
    per_s = 0.0 if mean_s is None else MEL_PER_S * mean_s / usual_s
    order = rng.permutation(len(parts))
    groups = [[parts[i] for i in order[k * n_sides : (k + 1) * n_sides]] for k in range(n)]
    torch.manual_seed(seed)
    return [_batch(group, per_s) for group in groups]


def _batch(sides: list[Talk], mel_per_s: float) -> Batch:
    n, t = len(sides), max(len(side.speaker) for side in sides)
    real, us, n_words, n_mel = (torch.zeros(n, t, dtype=torch.long) for _ in range(4))
    for i, side in enumerate(sides):
        here = (i, slice(len(side.speaker)))
        real[here] = 1
        us[here] = torch.from_numpy(side.speaker == side.speaker[0]).long()
        n_words[here] = torch.from_numpy(side.n_words)
        n_mel[here] = torch.from_numpy(np.ceil(mel_per_s * side.duration_s).astype(np.int64))
    valid = real.bool()[..., None] & torch.tensor(
        [name == "rate_syll_s" for name in FEATURES]
    )  # as in the tables
    return Batch(
        z=torch.randn(n, t, N) * valid, valid=valid, target=torch.randn(n, t, N), us=us.bool(), real=real.bool(),
        context=torch.randn(n, t, len(CONTEXT)), emotion=torch.zeros(n, t, 0), shape=torch.rand(n, t, len(SHAPE)),
        words=torch.randn(int(n_words.sum()), ModelConfig().word_dim), n_words=n_words,
        mel=torch.randn(int(n_mel.sum()), MEL_BANDS), n_mel=n_mel,
    )  # fmt: skip
