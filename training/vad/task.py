"""What a detector of speech learns, and from what: scenes made on the fly, and crops of labelled meetings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from entrain_training.augment import Samples
from entrain_training.study import Study
from entrain_training.vad.labels import FRAME, auc
from entrain_training.vad.mixes import Example, Source
from entrain_training.vad.networks import Detector

RAREST = 0.1  # a class counts at least as if it had this share: one breath in a minute of talk is not worth the minute
DEV_FRAMES, DEV_BATCH = 1_000, 16
DEV_SEED = 1

Batch = tuple[Tensor, Tensor, Tensor]
"""Sound (B, T · 160), speech or not (B, T), and whether the frame counts (B, T)."""


class Settings(Study):
    """Of a detector's training."""

    network: Literal["lstm", "blstm", "lstm2", "cdnn", "cdnn-raw"] = "cdnn"
    seconds: float = Field(default=3.0, ge=0.1, le=600)
    """Of each example."""
    epochs: int = Field(default=20, ge=1)
    steps: int = Field(default=60, ge=1)
    """Batches an epoch."""
    real: float = Field(default=0.4, ge=0, le=1)
    """Share of the examples that come from meetings, where there are any; 0 leaves the meetings for the test."""
    texts: int = Field(default=300, ge=0)
    """Turns of the turn table that the default voice says."""
    dev_scenes: int = Field(default=64, ge=1)
    """Of ten seconds each."""
    keep: Literal["best", "last"] = "best"
    """The epoch with the lowest loss on dev scenes; or the last, where meetings should lead away from the scenes."""
    noise_alarm: float = Field(default=0.02, gt=0, le=1)
    """At threshold .5, the share of dev noise alone that may be taken for speech; 1 leaves the scores as they were learnt."""


class Part(NamedTuple):
    """Examples from one source, and how often."""

    source: Source
    share: float


class Detection:
    """A `study.Task`."""

    def __init__(self, settings: Settings, parts: Sequence[Part], dev: Source, about: dict[str, Any]) -> None:
        torch.manual_seed(settings.seed)
        self.network = Detector(settings.network)
        self.settings, self.parts, self._about = settings, parts, about
        self._judged = batches(dev, settings.dev_scenes)

    def about(self) -> dict[str, Any]:
        return self._about

    def epoch(self, rng: np.random.Generator) -> Sequence[int]:
        return range(self.settings.steps)

    def batch(self, of: int, rng: np.random.Generator) -> Batch:
        n, shares = round(self.settings.seconds * 100), np.array([part.share for part in self.parts])
        chosen = rng.choice(len(self.parts), self.settings.batch_size, p=shares / shares.sum())
        return stacked([self.parts[i].source.draw(n, rng) for i in chosen])

    def loss(self, batch: Batch) -> Tensor:
        sound, speech, counts = batch
        logits, _ = self.network(self.network.framed(sound))
        return balanced(logits, speech, counts)

    def dev(self) -> Sequence[Batch]:
        return self._judged if self.settings.keep == "best" else []

    def judge(self) -> dict[str, float]:
        device = next(self.network.parameters()).device
        scores, labels = [], []
        for sound, speech, counts in self._judged:
            logits, _ = self.network(self.network.framed(sound.to(device)))
            scores.append(logits.cpu()[counts])
            labels.append(speech[counts])
        return {"dev_auc": auc(torch.cat(scores).numpy(), torch.cat(labels).numpy() > 0.5)}


@torch.no_grad()
def quieten(network: Detector, noise: Sequence[Samples], share: float) -> None:
    """Lower all scores alike, until no more than `share` of what is heard in recordings of noise alone passes .5. Balanced classes make
    a detector eager; the order of its scores, and so the area under its curve, stays. The recordings are as they are: held to
    2 % in scenes, with hiss and other microphones, a network took 7 to 9 % of test recordings for speech."""
    network.eval()
    heard = []
    for samples in noise:
        sound = torch.from_numpy(samples[: len(samples) // FRAME * FRAME])[None]
        heard.append(network(network.framed(sound))[0].flatten())
    network.out.bias -= torch.cat(heard).quantile(1 - share).clamp(min=0)


def stacked(examples: Sequence[Example]) -> Batch:
    sound, labels, counts = (np.stack(column) for column in zip(*examples, strict=True))
    return torch.from_numpy(sound), torch.from_numpy(labels).float(), torch.from_numpy(counts)


def batches(source: Source, n_scenes: int) -> list[Batch]:
    """The same scenes each time, in batches."""
    rng = np.random.default_rng(DEV_SEED)
    found = [source.draw(DEV_FRAMES, rng) for _ in range(n_scenes)]
    return [stacked(found[i : i + DEV_BATCH]) for i in range(0, len(found), DEV_BATCH)]


def balanced(logits: Tensor, speech: Tensor, counts: Tensor) -> Tensor:
    """Mean binary cross-entropy over the frames that count, both classes weighing the same however rare one is (down to a tenth)."""
    losses = torch.nn.functional.binary_cross_entropy_with_logits(logits, speech, reduction="none")
    share = speech[counts].mean().clamp(RAREST, 1 - RAREST)
    weights = torch.where(speech > 0.5, 0.5 / share, 0.5 / (1 - share)) * counts
    return (losses * weights).sum() / counts.sum()
