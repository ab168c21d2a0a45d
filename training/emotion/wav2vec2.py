"""wav2vec 2.0, fine-tuned for emotion: the convolution stays as it is, the transformer learns slowly, the head fast."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from scipy.ndimage import uniform_filter1d
from torch import Tensor, nn
from torch.nn import functional as F

from entrain.audio import Audio
from entrain.emotion import FORMAT
from entrain.emotion_wav2vec2 import RATE_HZ, Tuned, load_encoder, scaled
from entrain.optional import require
from entrain_training.emotion.measured import Measured, Say
from entrain_training.emotion.study import EmotionStudy
from entrain_training.run import keep_json
from entrain_training.schedule import TrainingError
from entrain_training.study import learn

WAV2VEC = "pip install 'entrain[wav2vec]'"
Samples = NDArray[np.float32]  # (N,) at 16 kHz
PAUSE_S = 0.15  # a stretch this long of …
PAUSE_DB = 30.0  # … sound so far below the loudest parts two stretches of words
WINDOW = 400  # samples, 25 ms, that loudness is taken over


class FasterHead(nn.Module):
    """The network, its head's weights held `rate` times smaller: a gradient step of the same size then moves it so much further."""

    # One learning rate serves all weights of a `study.Task`; Adam's steps don't depend on the gradient's size, so the weights' must.

    def __init__(self, network: Tuned, rate: float) -> None:
        super().__init__()
        self.network, self.rate = network, rate
        with torch.no_grad():
            for weight in network.head.parameters():
                weight /= rate

    def forward(self, samples: Tensor, lengths: Tensor) -> Tensor:
        larger = {f"head.{name}": weight * self.rate for name, weight in self.network.head.named_parameters()}
        return torch.func.functional_call(self.network, larger, (samples, lengths))

    def finished(self) -> Tuned:
        """The network as it is to be used."""
        with torch.no_grad():
            for weight in self.network.head.parameters():
                weight *= self.rate
        return self.network


class Tuning:
    """The task: `study.Task`."""

    def __init__(
        self, sounds: Sequence[Samples], y: NDArray[np.int_], speakers: Sequence[str], n_classes: int, settings: EmotionStudy
    ) -> None:  # fmt: skip
        self.sounds, self.y, self.speakers, self.settings, self.n_classes = (
            sounds,
            y,
            speakers,
            settings,
            n_classes,
        )
        torch.manual_seed(settings.seed)
        encoder: Any = load_encoder(settings.checkpoint)
        encoder.freeze_feature_encoder()
        for layer in encoder.encoder.layers[: settings.frozen_layers]:
            layer.requires_grad_(False)
        self.network: nn.Module = FasterHead(Tuned(encoder, n_classes, settings.pooling), settings.head_rate)

    def about(self) -> dict[str, Any]:
        return {"recordings": len(self.y), "speakers": sorted(set(self.speakers))}

    def epoch(self, rng: np.random.Generator) -> list[NDArray[np.int_]]:
        order = rng.permutation(len(self.y))
        return np.array_split(order, max(1, -(-len(order) // self.settings.batch_size)))

    def batch(self, of: NDArray[np.int_], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Sound (B, N), lengths (B,), and what share each label has (B, K)."""
        sounds, shares = [], np.zeros((len(of), self.n_classes), np.float32)
        for i, row in enumerate(of):
            sound = self._varied(int(row), rng)
            shares[i, self.y[row]] = 1
            if rng.random() < self.settings.mixup:
                other = int(rng.integers(len(self.y)))
                sound, share = one_after_the_other(sound, self._varied(other, rng))
                shares[i] *= share
                shares[i, self.y[other]] += 1 - share
            sounds.append(scaled(self._cut(sound, rng)))
        lengths = torch.tensor([len(sound) for sound in sounds])
        padded = nn.utils.rnn.pad_sequence([torch.from_numpy(s) for s in sounds], batch_first=True)
        return padded, lengths, torch.from_numpy(shares)

    def _varied(self, row: int, rng: np.random.Generator) -> Samples:
        return swapped(self.sounds[row], rng) if rng.random() < self.settings.swap else self.sounds[row]

    def _cut(self, sound: Samples, rng: np.random.Generator) -> Samples:
        n = round(self.settings.max_s * RATE_HZ)
        start = int(rng.integers(max(1, len(sound) - n + 1)))
        return sound[start : start + n]

    def loss(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        samples, lengths, shares = batch
        return F.cross_entropy(self.network(samples, lengths), shares)

    def dev(self) -> list[Any]:
        return []  # as with the network from scratch

    def judge(self) -> dict[str, float]:
        return {}


def one_after_the_other(a: Samples, b: Samples) -> tuple[Samples, float]:
    """Mixup by concatenation: both sounds, each at the same level, and the first one's share of the time."""
    level = [np.sqrt(np.mean(x.astype(np.float64) ** 2)) + 1e-9 for x in (a, b)]
    both = np.concatenate([a, b * np.float32(level[0] / level[1])])
    return both, len(a) / len(both)


def swapped(sound: Samples, rng: np.random.Generator) -> Samples:
    """The stretches between its pauses in another order, pauses and all; itself where it has none. Same length, same samples."""
    pieces = np.split(sound, pauses(sound))
    order = rng.permutation(len(pieces))
    return np.concatenate([pieces[i] for i in order])


def pauses(sound: Samples) -> NDArray[np.int_]:
    """Middles, as sample numbers, of the pauses inside a sound."""
    power = uniform_filter1d(sound.astype(np.float64) ** 2, WINDOW)
    quiet = power < power.max(initial=0) * 10 ** (-PAUSE_DB / 10)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], quiet, [False]))))
    starts, ends = edges[::2], edges[1::2]
    inner = (ends - starts >= PAUSE_S * RATE_HZ) & (starts > 0) & (ends < len(sound))
    return (starts[inner] + ends[inner]) // 2


def fit(
    measured: Measured, out: Path, settings: EmotionStudy, console: Console | None = None, resume: bool = False, say: Say = lambda _: None
) -> Path:  # fmt: skip
    """Fine-tune, and write the model for use to `out`; on a GPU when there is one. Raises `TrainingError`, `EmotionError` where there is
    no checkpoint, and `KeyboardInterrupt` when stopped."""
    require("transformers", WAV2VEC, TrainingError)
    labels = measured.labels()
    say(f"{settings.checkpoint}: {len(measured)} recordings")
    sounds = [Audio.read(item.path).resample(RATE_HZ).samples for item in measured.items]
    y = np.searchsorted(np.array(labels), measured.emotions)
    task = Tuning(sounds, y, measured.speakers.tolist(), len(labels), settings)
    history = learn(task, out, settings, console, resume)
    assert isinstance(task.network, FasterHead)
    card = task.about() | {
        "epochs": len(history), "train_loss": round(history[-1]["train_loss"], 4),
        "settings": settings.model_dump(mode="json", include=_OF_WAV2VEC2),
    }  # fmt: skip
    return save(task.network.finished(), out, labels, settings, card)


_OF_WAV2VEC2 = {
    "checkpoint", "pooling", "head_rate", "frozen_layers", "max_s", "mixup", "swap", "epochs", "batch_size", "learning_rate", "warm_up",
    "clip", "seed",
}  # fmt: skip


def save(
    network: Tuned, out: Path, labels: Sequence[str], settings: EmotionStudy, card: dict[str, Any]
) -> Path:
    network.encoder.save_pretrained(out / "checkpoint")
    head = {name: t.detach().contiguous() for name, t in network.head.state_dict().items()}
    require("safetensors.torch", WAV2VEC, TrainingError).save_file(head, out / "head.safetensors")
    keep_json(out / "config.json", {
        "format": FORMAT, "kind": "wav2vec2", "name": f"wav2vec 2.0 from {settings.checkpoint}", "labels": list(labels),
        "pooling": settings.pooling, "card": card,
    })  # fmt: skip
    return out
