"""A small residual network over log-Mel frames, from scratch: trained on crops whose speakers are known for a while, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional as F

from entrain.audio import Audio
from entrain.emotion_network import N_MEL, SCHEMA, STEP_S, Mel, log_mel, mean_spectrum, save, seen
from entrain.manner import Running
from entrain.optional import require
from entrain_training.emotion.measured import Measured, Say
from entrain_training.emotion.online import prior
from entrain_training.emotion.study import EmotionStudy
from entrain_training.options import TRAIN
from entrain_training.schedule import TrainingError
from entrain_training.study import learn

SMOOTHING = 0.1  # of labels: actors are not always taken for what they play
STRETCH = 0.15  # speed in training, either way
SHIFT = 2  # bands up or down, as other vocal tracts
HIDDEN_BANDS, HIDDEN_FRAMES = 10, 12  # at most, in training


class Residual(nn.Module):
    """Halves bands and, with `halve`, time; what lies beyond an item's end stays 0 (in training its last frame may be averaged with
    that; live, turns come alone)."""

    def __init__(self, n_in: int, n_out: int, halve: bool) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d((2 if halve else 1, 2), ceil_mode=True)
        self.one, self.two = nn.Conv2d(n_in, n_out, 3, padding=1), nn.Conv2d(n_out, n_out, 3, padding=1)
        self.norm_one, self.norm_two = nn.BatchNorm2d(n_out), nn.BatchNorm2d(n_out)
        self.short = nn.Conv2d(n_in, n_out, 1)
        self.halve = halve

    def forward(self, x: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, T, F) and which frames are there (B, 1, T, 1) → the same, smaller."""
        x = self.pool(x)
        if self.halve:
            there = F.max_pool2d(there, (2, 1), ceil_mode=True)
        inner = torch.relu(self.norm_one(self.one(x))) * there
        return torch.relu(self.norm_two(self.two(inner)) + self.short(x)) * there, there


class Ear(nn.Module):
    """mel (B, T, 64) → logits (B, K)."""

    def __init__(self, n_classes: int, width: int = 24, dropout: float = 0.3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 5, stride=(1, 2), padding=2)
        self.norm = nn.BatchNorm2d(width)
        widths = (width, width, 2 * width, 3 * width)
        self.blocks = nn.ModuleList(Residual(a, b, halve=i > 0) for i, (a, b) in enumerate(pairwise(widths)))
        size = widths[-1] * (N_MEL // 16)
        self.attention = nn.Sequential(nn.Linear(size, 64), nn.Tanh(), nn.Linear(64, 1))
        self.out = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * size, n_classes))

    def forward(self, mel: Tensor, there: Tensor | None = None) -> Tensor:
        """`there` (B, T), 1 where a frame is the item's; all, if not given."""
        mask = mel.new_ones(mel.shape[:2]) if there is None else there
        mask = mask[:, None, :, None]
        x = torch.relu(self.norm(self.stem(mel[:, None] * mask))) * mask
        for block in self.blocks:
            x, mask = block(x, mask)
        x = x.permute(0, 2, 1, 3).flatten(2)  # (B, T/4, C·F)
        inside = mask[:, 0, :, :]  # (B, T/4, 1)
        weight = torch.softmax(self.attention(x) + (inside - 1) * 1e4, 1)
        mean = (weight * x).sum(1)
        spread = ((weight * (x - mean[:, None]) ** 2).sum(1) + 1e-4).sqrt()
        return self.out(torch.cat([mean, spread], 1))


class Group(NamedTuple):
    """Items of a batch, and what is known of each one's speaker."""

    rows: NDArray[np.int_]
    locations: NDArray[np.float64]  # (B, 64)


class Listening:
    """The task: `study.Task`."""

    def __init__(
        self, mels: Sequence[Mel], y: NDArray[np.int_], speakers: NDArray[np.str_], n_classes: int, settings: EmotionStudy
    ) -> None:  # fmt: skip
        self.mels, self.y, self.speakers, self.settings = mels, y, speakers, settings
        self.values = np.stack([mean_spectrum(mel) for mel in mels])
        valid = np.ones(self.values.shape, bool)
        count = settings.prior_count[len(settings.prior_count) // 2]
        self.prior = prior(self.values, valid, speakers, settings.normalise, count, settings.spread_count)
        counts = np.bincount(y, minlength=n_classes)
        self.weights = torch.tensor(len(y) / (n_classes * np.maximum(counts, 1)), dtype=torch.float32)
        torch.manual_seed(settings.seed)
        self.network: nn.Module = Ear(n_classes, settings.width, settings.dropout)

    def about(self) -> dict[str, Any]:
        return {"recordings": len(self.y), "speakers": sorted(set(self.speakers.tolist()))}

    def epoch(self, rng: np.random.Generator) -> list[Group]:
        """Every item once; of its speaker is known what came before in this epoch's random order."""
        locations = np.zeros_like(self.values)
        valid = np.ones(self.values.shape[1], bool)
        for speaker in sorted(set(self.speakers.tolist())):
            state = Running.of(None, self.values.shape[1])
            for i in rng.permutation(np.flatnonzero(self.speakers == speaker)):
                state = self.prior.observe(state, self.values[i], valid)
                locations[i] = self.prior.location_scale(state)[0]
        order = rng.permutation(len(self.y))
        n_batches = max(
            1, len(order) // self.settings.batch_size
        )  # even ones: BatchNorm wants no single item
        return [Group(rows, locations[rows]) for rows in np.array_split(order, n_batches)]

    def batch(self, of: Group, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        n_frames = max(8, round(self.settings.crop_s / STEP_S))
        mel = np.zeros((len(of.rows), n_frames, N_MEL), np.float32)
        there = np.zeros((len(of.rows), n_frames), np.float32)
        for i, (row, location) in enumerate(zip(of.rows, of.locations, strict=True)):
            crop = varied(seen(self.mels[row], location), n_frames, rng)
            mel[i, : len(crop)], there[i, : len(crop)] = crop, 1
        return torch.from_numpy(mel), torch.from_numpy(there), torch.from_numpy(self.y[of.rows])

    def loss(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        mel, there, y = batch
        weights = self.weights.to(mel.device)
        return F.cross_entropy(self.network(mel, there), y, weights, label_smoothing=SMOOTHING)

    def dev(self) -> list[Any]:
        return []  # the speakers at hand are few: all are learnt from, for a number of epochs that is fixed

    def judge(self) -> dict[str, float]:
        return {}


def varied(x: Mel, n_frames: int, rng: np.random.Generator) -> Mel:
    """Another speed, another vocal tract, a crop of at most `n_frames`, and parts hidden (SpecAugment, Park et al. 2019)."""
    speed = float(rng.uniform(1 - STRETCH, 1 + STRETCH))
    at = np.arange(0, len(x) - 1, speed) if len(x) > 1 else np.zeros(1)
    low = at.astype(int)
    part = (at - low)[:, None].astype(np.float32)
    x = x[low] * (1 - part) + x[np.minimum(low + 1, len(x) - 1)] * part
    start = int(rng.integers(max(1, len(x) - n_frames + 1)))
    x = x[start : start + n_frames]
    x = x[:, np.clip(np.arange(N_MEL) + rng.integers(-SHIFT, SHIFT + 1), 0, N_MEL - 1)]
    bands, frames = rng.integers(HIDDEN_BANDS + 1), rng.integers(min(HIDDEN_FRAMES, len(x) // 4) + 1)
    band, frame = rng.integers(N_MEL - bands + 1), rng.integers(len(x) - frames + 1)
    x[:, band : band + bands] = 0
    x[frame : frame + frames] = 0
    return x


def mels(measured: Measured) -> list[Mel]:
    """Of each recording; all have sound, or they would not have been measured."""
    found = [log_mel(Audio.read(item.path)) for item in measured.items]
    return [mel for mel in found if mel is not None]


def fit(
    measured: Measured, out: Path, settings: EmotionStudy, console: Console | None = None, resume: bool = False, say: Say = lambda _: None
) -> Path:  # fmt: skip
    """Train, and write the model for use to `out`. Raises `TrainingError`, and `KeyboardInterrupt` when stopped."""
    for package in ("onnx", "onnxscript"):
        require(package, TRAIN, TrainingError)
    labels = measured.labels()
    say(f"{len(measured)} recordings → log-Mel frames")
    y = np.searchsorted(np.array(labels), measured.emotions)
    task = Listening(mels(measured), y, measured.speakers, len(labels), settings)
    history = learn(task, out, settings, console, resume)
    export(task.network, out / "model.onnx")
    card = task.about() | {
        "epochs": len(history), "train_loss": round(history[-1]["train_loss"], 4), "hears": SCHEMA,
        "settings": settings.model_dump(mode="json", include=_OF_NETWORK),
        "parameters": sum(w.numel() for w in task.network.parameters()),
    }  # fmt: skip
    return save(out, "network over log-Mel", labels, task.prior, card)


_OF_NETWORK = {
    "normalise", "prior_count", "epochs", "batch_size", "learning_rate", "crop_s", "width", "dropout", "seed", "weight_decay",
}  # fmt: skip


def export(network: nn.Module, path: Path) -> None:
    """mel (1, T, 64) → logits (1, K), for any T."""
    example = torch.zeros(1, 50, N_MEL)
    torch.onnx.export(
        network.cpu().eval(), (example,), str(path), input_names=["mel"], output_names=["logits"],
        dynamic_shapes={"mel": {1: torch.export.Dim("frames", min=4, max=6_000)}}, dynamo=True, external_data=False, verbose=False,
    )  # fmt: skip
