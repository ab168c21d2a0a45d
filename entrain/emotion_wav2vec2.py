"""wav2vec 2.0, fine-tuned: the transformer's states pooled over the turn, and a head with one hidden layer of tanh.

config.json        labels, pooling, what it was trained on
checkpoint/        the fine-tuned network, as transformers saves it (safetensors)
head.safetensors   pooling and head

Each turn is judged alone: such a model keeps no manner. Its own scaling of the sound, to mean 0 and variance 1, takes the gain out.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from entrain.audio import Audio
from entrain.emotion import EmotionError, Felt, Manner, feel
from entrain.optional import require

RATE_HZ = 16_000
MAX_S = 30.0  # attention costs time and memory by the square: of a longer turn the first so much is heard
INSTALL = "pip install 'entrain[wav2vec]'"
Samples = NDArray[np.float32]
Pooling = Literal["mean", "attention"]


class Head(nn.Module):
    """States over time (B, T, H) → logits (B, K)."""

    def __init__(self, size: int, n_classes: int, pooling: Pooling, dropout: float = 0.1) -> None:
        super().__init__()
        self.attention = nn.Linear(size, 1) if pooling == "attention" else None
        self.hidden, self.drop, self.out = (
            nn.Linear(size, size),
            nn.Dropout(dropout),
            nn.Linear(size, n_classes),
        )

    def forward(self, states: Tensor, there: Tensor) -> Tensor:
        """`there` (B, T): True where a state is the turn's own."""
        if self.attention is None:
            weight = there / there.sum(1, keepdim=True)
        else:
            weight = torch.softmax(self.attention(states)[..., 0].masked_fill(~there, -1e9), 1)
        pooled = (weight[..., None] * states).sum(1)
        return self.out(self.drop(torch.tanh(self.hidden(self.drop(pooled)))))


class Tuned(nn.Module):
    """Sound (B, N) at 16 kHz, padded with 0, and its lengths (B,) → logits (B, K)."""

    def __init__(self, encoder: nn.Module, n_classes: int, pooling: Pooling, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder: Any = encoder
        self.head = Head(int(self.encoder.config.hidden_size), n_classes, pooling, dropout)

    def forward(self, samples: Tensor, lengths: Tensor) -> Tensor:
        inside = torch.arange(samples.shape[1], device=samples.device) < lengths[:, None]
        # Base models normalise over time in their first layer and were trained without a mask; large ones want one.
        masked = self.encoder.config.feat_extract_norm == "layer"
        given = {"attention_mask": inside.long()} if masked else {}
        states = self.encoder(samples, **given).last_hidden_state
        n_states = self.encoder._get_feat_extract_output_lengths(lengths).clamp(1, states.shape[1])
        there = torch.arange(states.shape[1], device=samples.device) < n_states[:, None]
        return self.head(states, there)


def scaled(samples: Samples) -> Samples:
    """Mean 0 and variance 1, as wav2vec 2.0 was trained."""
    return ((samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)).astype(np.float32)


@dataclass(frozen=True)
class Wav2Vec2:
    """A model of kind `wav2vec2`."""

    name: str
    labels: tuple[str, ...]
    network: Tuned
    card: dict[str, Any] = field(default_factory=dict[str, Any])

    def measure(self, audio: Audio) -> Samples | None:
        samples = audio.part(0, MAX_S).resample(RATE_HZ).samples
        return scaled(samples) if len(samples) else None

    def judge(self, measured: Samples, manner: Manner | None) -> Felt:
        given = torch.tensor(measured)[None]
        with torch.inference_mode():
            p: Any = torch.softmax(self.network(given, torch.tensor([given.shape[1]]))[0], 0)
        return Felt(dict(zip(self.labels, p.tolist(), strict=True)), None)

    def feel(self, audio: Audio, manner: Manner | None = None) -> Felt:
        """See `Emotion.feel`. A base model takes some .2 s on a core for a turn of 4 s."""
        return feel(self, audio, manner)

    @classmethod
    def load(cls, folder: Path, config: Mapping[str, Any]) -> Wav2Vec2:
        encoder = load_encoder(str(folder / "checkpoint"))
        network = Tuned(encoder, len(config["labels"]), config["pooling"]).eval()
        tensors = import_module("safetensors.torch").load_file(folder / "head.safetensors")
        network.head.load_state_dict(tensors)
        return cls(config["name"], tuple(config["labels"]), network, dict(config["card"]))


def load_encoder(checkpoint: str) -> nn.Module:
    """A pretrained network by its name on the hub, or in a folder. Raises `EmotionError` where there is none."""
    with without("torchaudio"):
        models = require("transformers.models.wav2vec2", INSTALL, EmotionError)
        model: Any = models.Wav2Vec2Model  # the import itself
    require("transformers.utils.logging", INSTALL, EmotionError).disable_progress_bar()
    try:
        return model.from_pretrained(checkpoint)
    except (OSError, ValueError) as error:
        raise EmotionError(
            f"no wav2vec 2.0 checkpoint {checkpoint!r} could be loaded ({str(error).splitlines()[0]}). Give a folder that has one, or a "
            "name on the hub where that can be reached."
        ) from error


@contextmanager
def without(package: str) -> Generator[None]:
    """An empty package in its place: transformers imports torchaudio where it finds it, has no need of it here, and fails where its
    compiled part can't be loaded, as that of PyPI can't beside a CPU build of torch."""
    before, empty = sys.modules.get(package), ModuleType(package)
    empty.__spec__ = ModuleSpec(package, None)
    sys.modules[package] = empty
    try:
        yield
    finally:
        del sys.modules[package]
        if before is not None:
            sys.modules[package] = before
