"""What a wake word's network learns: to score high after each activate of a mix, and low everywhere else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from entrain_training.augment import room_responses
from entrain_training.schedule import TrainingError
from entrain_training.wake.mix import Mix, Mixer
from entrain_training.wake.network import ConvGRU, Embedding
from entrain_training.wake.settings import Wake
from entrain_training.wake.sounds import Part

Example = tuple[NDArray[np.float32], NDArray[np.int64]]  # features; labels (T,)
Batch = tuple[Tensor, Tensor]
OTHER, WORD, NEITHER = 0, 1, -1  # labels; from 2 on, one number for each word: somewhere in there
BEFORE_S, AFTER_S = 0.15, 0.5  # of the word's end: where the head's highest score is wanted
GONE_S = 1.5  # after the end, the head no longer sees the word
BLOCK = 12  # steps, 1 s: the highest of each is to be low
SILENT = -10.0  # logit before the first step
DEV_SEED = 20_000


class Spotting:
    """`study.Task` of either network."""

    def __init__(self, settings: Wake, parts: dict[str, Part], about: dict[str, Any]) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.described = settings, about
        is_head = settings.network == "embedding"
        self.network: Embedding | ConvGRU = (
            Embedding(settings.hidden, settings.n_embeddings, settings.dropout, settings.blur, settings.heads)
            if is_head
            else ConvGRU(settings.dropout)
        )
        rooms = room_responses()
        self.mixer, self.dev_mixer = (Mixer(parts[name], settings, rooms) for name in ("train", "dev"))
        self.made: dict[int, Example] = {}
        self.judged: tuple[Batch, ...] = ()
        if is_head:
            self._standardise()

    def about(self) -> dict[str, Any]:
        return self.described

    def epoch(self, rng: np.random.Generator) -> Sequence[Any]:
        """New mixes, by their seeds, in another order each pass."""
        self.made.clear()
        seeds = rng.integers(2**62, size=self.settings.mixes)
        order = np.concatenate([rng.permutation(seeds) for _ in range(self.settings.passes)])
        return [
            order[i : i + self.settings.batch_size] for i in range(0, len(order), self.settings.batch_size)
        ]

    def batch(self, of: Any, rng: np.random.Generator) -> Batch:
        for seed in map(int, of):
            if seed not in self.made:
                self.made[seed] = self.example(self.mixer.mix(np.random.default_rng(seed)))
        return stacked([self.made[int(seed)] for seed in of])

    def example(self, mix: Mix) -> Example:
        features = self.network.features(mix.samples)
        n = int(len(mix.samples) / 1280) * round(0.08 / self.network.step_s)
        ends_s = (np.arange(n) + 1) * self.network.step_s
        return features, labels(mix, ends_s, self.settings, isinstance(self.network, Embedding))

    def loss(self, batch: Batch) -> Tensor:
        features, wanted = batch
        logits = self.network(features)
        if isinstance(self.network, ConvGRU):
            return torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted.float())
        wanted = wanted.repeat(len(logits) // len(wanted), 1)  # for each head
        words, others = highest(smoothed(logits, self.settings.smooth), wanted)
        if not len(words) + len(others):
            raise TrainingError("a batch holds nothing to learn from; make mix_s longer.")
        parts = [
            torch.nn.functional.binary_cross_entropy_with_logits(found, torch.full_like(found, is_word))
            for found, is_word in ((words, 1.0), (others, 0.0))
            if len(found)
        ]
        return torch.stack(parts).sum()

    def dev(self) -> Sequence[Batch]:
        mixes = [
            self.example(self.dev_mixer.mix(np.random.default_rng(DEV_SEED + i)))
            for i in range(self.settings.dev_mixes)
        ]
        size = self.settings.batch_size
        self.judged = tuple(stacked(mixes[i : i + size]) for i in range(0, len(mixes), size))
        return self.judged

    def judge(self) -> dict[str, float]:
        """The share of dev words that score below the highest hundredth of the dev seconds without one."""
        if isinstance(self.network, ConvGRU):
            return {}
        found = [
            highest(smoothed(self.network(x.to(self._device())), self.settings.smooth), y)
            for x, y in self.judged
        ]
        words, others = (torch.cat(scores).cpu() for scores in zip(*found, strict=True))
        if not len(words) or not len(others):
            return {}
        return {"dev_miss": float((words < torch.quantile(others, 0.99)).float().mean())}

    def _device(self) -> torch.device:
        return next(self.network.parameters()).device

    def _standardise(self) -> None:
        rng = np.random.default_rng(DEV_SEED)
        assert isinstance(self.network, Embedding)
        self.network.standardise(
            np.concatenate([self.network.features(self.mixer.mix(rng).samples) for _ in range(8)])
        )


def labels(mix: Mix, ends_s: NDArray[np.float64], settings: Wake, is_head: bool) -> NDArray[np.int64]:
    """For each step that ends at `ends_s` `(T,)`. conv-gru: 1 in the 50 steps after each activate's end. A head: a number from 2 on
    where its word's highest score is wanted, −1 where part of the word is still seen, else 0."""
    found = np.full(len(ends_s), OTHER, np.int64)
    for i, word in enumerate(mix.words):
        if is_head:
            found[(ends_s > word.start_s + 0.1) & (ends_s < word.end_s + GONE_S) & (found < 2)] = NEITHER
            found[(ends_s > word.end_s - BEFORE_S) & (ends_s <= word.end_s + AFTER_S)] = 2 + i
        else:
            first = int(np.searchsorted(ends_s, word.end_s))
            found[first : first + settings.label_steps] = WORD
    return found


def stacked(examples: Sequence[Example]) -> Batch:
    features, wanted = zip(*examples, strict=True)
    return torch.from_numpy(np.stack(features)), torch.from_numpy(np.stack(wanted))


def smoothed(logits: Tensor, n: int) -> Tensor:
    """Mean of the last `n` `(B, T)`."""
    before = torch.nn.functional.pad(logits, (n - 1, 0), value=SILENT)
    return torch.nn.functional.avg_pool1d(before[:, None], n, 1)[:, 0]


def highest(logits: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The highest logit of each word, and of each second without one: `(B, T)` twice → `(words,)`, `(seconds,)`."""
    wanted = wanted.to(logits.device)
    words = [
        logits[i][wanted[i] == number].max()
        for i in range(len(logits))
        for number in wanted[i].unique().tolist()
        if number >= 2
    ]
    n = logits.shape[1] // BLOCK * BLOCK
    others = logits.masked_fill(wanted != OTHER, -torch.inf)[:, :n].reshape(-1, BLOCK).amax(1)
    return torch.stack(words) if words else logits.new_zeros(0), others[others.isfinite()]
