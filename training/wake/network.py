"""The two networks that hear a wake word, as torch trains them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from entrain.asr import RATE_HZ
from entrain.embedding import EMBEDDING, FRAME
from entrain_training.clips import Samples
from entrain_training.wake.embed import whole

STEP_S = FRAME / RATE_HZ  # .08


class Embedding(nn.Module):
    """A head: one hidden layer on the last `n` embeddings. In training it is `heads` of them, each on its own; in use their mean, which
    is one head with as many times the units."""

    step_s = STEP_S

    def __init__(self, hidden: int, n: int, dropout: float, blur: float = 0.0, heads: int = 1) -> None:
        super().__init__()
        self.n, self.blur, self.heads = n, blur, heads
        self.mean, self.scale = nn.Buffer(torch.zeros(EMBEDDING)), nn.Buffer(torch.ones(EMBEDDING))
        self.hidden, self.drop = nn.Conv1d(EMBEDDING, hidden * heads, n), nn.Dropout(dropout)
        self.out = nn.Conv1d(hidden * heads, heads, 1, groups=heads)

    def features(self, samples: Samples) -> NDArray[np.float32]:
        """`(N,)` → `(n − 1 + T, 96)`: silence was before, as live."""
        embeddings = whole()
        return np.concatenate((np.repeat(embeddings.silence, self.n - 1, 0), embeddings.embed(samples)))

    def standardise(self, features: NDArray[np.float32]) -> None:
        """Each value by its mean and spread in `features` `(T, 96)`."""
        self.mean.copy_(torch.from_numpy(features.mean(0)))
        self.scale.copy_(torch.from_numpy(features.std(0) + 1e-3))

    def forward(self, features: Tensor) -> Tensor:
        """`(B, n − 1 + T, 96)` → logits, 80 ms apart: `(B, T)`, or in training `(heads · B, T)`, all of each head together."""
        x = ((features - self.mean) / self.scale).transpose(1, 2)
        if self.training and self.blur:
            x = x + self.blur * torch.randn_like(x)
        each = self.out(self.drop(torch.relu(self.hidden(x)))).transpose(0, 1)  # (heads, B, T)
        return each.flatten(0, 1) if self.training else each.mean(0)

    def weights(self) -> dict[str, NDArray[Any]]:
        """As `entrain.wake_net.Head` has them."""
        values = {
            "mean": self.mean, "scale": self.scale,
            "hidden.weight": self.hidden.weight.permute(0, 2, 1).flatten(1), "hidden.bias": self.hidden.bias,
            "out.weight": self.out.weight.reshape(1, -1) / self.heads, "out.bias": self.out.bias.mean(0, keepdim=True),
        }  # fmt: skip
        return {name: np.ascontiguousarray(value.detach().numpy()) for name, value in values.items()}

    def take(self, weights: dict[str, NDArray[np.float32]]) -> None:
        """Another head's, as it has them."""
        w = {name: torch.from_numpy(np.asarray(value, np.float32)) for name, value in weights.items()}
        w["hidden.weight"] = (
            w["hidden.weight"].reshape(len(w["hidden.bias"]), self.n, EMBEDDING).permute(0, 2, 1)
        )
        w["out.weight"] = w["out.weight"].reshape(self.heads, -1, 1) * self.heads
        w["out.bias"] = w["out.bias"].repeat(self.heads)
        self.load_state_dict(w)


# --- conv-gru ------------------------------------------------------------------------------------------------------

HOP, WINDOW, BANDS = 80, 400, 40  # samples: 5 ms and 25 ms
FILTERS, WIDTH, STRIDE, UNITS, LAYERS = 196, 15, 4, 128, 2  # as published
STEPS = FRAME // (HOP * STRIDE)  # of 20 ms in each 80 ms frame: 4
HOPS = (STEPS - 1) * STRIDE + WIDTH  # that a frame's steps look at: 27
CONTEXT = (HOPS - 1) * HOP + WINDOW - FRAME  # samples before each frame: 1,200
MEMORY = 0.97  # of the level, each 80 ms: 2.6 s


class ConvGRU(nn.Module):
    """Log-Mel less its level so far → convolution 196 × 15, stride 4 → two GRUs of 128 → a logit every 20 ms. Nothing looks ahead."""

    step_s = STEP_S / STEPS

    def __init__(self, dropout: float) -> None:
        super().__init__()
        waves, mel = spectrum()
        self.waves, self.mel = nn.Buffer(waves, persistent=False), nn.Buffer(mel, persistent=False)
        self.conv, self.norm = nn.Conv1d(BANDS, FILTERS, WIDTH, STRIDE), nn.BatchNorm1d(FILTERS)
        self.gru = nn.GRU(FILTERS, UNITS, LAYERS, batch_first=True, dropout=dropout)
        self.drop, self.out = nn.Dropout(dropout), nn.Linear(UNITS, 1)

    def features(self, samples: Samples) -> NDArray[np.float32]:
        """`(N,)` → `(1200 + N′,)`, N′ whole frames: silence was before, as live."""
        return np.pad(samples[: len(samples) // FRAME * FRAME], (CONTEXT, 0)).astype(np.float32)

    def forward(self, samples: Tensor) -> Tensor:
        """`(B, 1200 + 1280·T)` → logits `(B, 4·T)`."""
        level = torch.zeros(len(samples), 2, device=samples.device)
        return self.step(samples, level, None)[0]

    def step(self, samples: Tensor, level: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """With the states: `level` `(B, 2)` and `memory` `(2, B, 128)`; `(B, 1200 + 1280·T)` → logits `(B, 4·T)` and both after."""
        x, level = self._normalised(self._log_mel(samples), level)  # (B, T, 27, 40)
        n, t = x.shape[:2]
        x = torch.relu(self.norm(self.conv(x.flatten(0, 1).transpose(1, 2))))  # (B·T, 196, 4)
        x = self.drop(x.transpose(1, 2).reshape(n, t * STEPS, FILTERS))
        x, memory = self.gru(x) if memory is None else self.gru(x, memory)
        return self.out(self.drop(x))[..., 0], level, memory

    def _log_mel(self, samples: Tensor) -> Tensor:
        """`(B, 1200 + 1280·T)` → `(B, T, 27, 40)`: what each frame looks at."""
        waves = nn.functional.conv1d(samples[:, None], self.waves, stride=HOP)  # (B, 2·201, hops)
        power = waves[:, : len(self.mel[0])].square() + waves[:, len(self.mel[0]) :].square()
        mel = torch.log(torch.matmul(power.transpose(1, 2), self.mel.T) + 1e-8)  # (B, hops, 40)
        return mel.unfold(1, HOPS, FRAME // HOP).transpose(2, 3)

    def _normalised(self, mel: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Less the mean level so far, which the newest part of each frame enters; `level` is its sum and weight."""
        out: list[Tensor] = []
        new = mel[:, :, HOPS - FRAME // HOP :].mean((2, 3))  # (B, T)
        for t in range(mel.shape[1]):
            entered = torch.stack((new[:, t], torch.ones_like(new[:, t])), 1)
            level = MEMORY * level + (1 - MEMORY) * entered
            out.append(mel[:, t] - (level[:, 0] / level[:, 1])[:, None, None])
        return torch.stack(out, 1) / 4, level  # log-Mel varies by about 4


def spectrum() -> tuple[Tensor, Tensor]:
    """Cosines and sines under a Hann window `(402, 1, 400)`, and Mel triangles from 60 to 7,600 Hz `(40, 201)`."""
    t, k = np.arange(WINDOW), np.arange(WINDOW // 2 + 1)[:, None]
    angle, hann = 2 * np.pi * k * t / WINDOW, np.hanning(WINDOW + 1)[:-1]
    waves = np.concatenate((np.cos(angle) * hann, np.sin(angle) * hann))
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (60.0, 7_600.0))
    edges = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)  # Hz
    hz = k[:, 0] * RATE_HZ / WINDOW
    rising = (hz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hz) / (edges[2:] - edges[1:-1])[:, None]
    mel = np.maximum(0, np.minimum(rising, falling))
    return torch.tensor(waves[:, None], dtype=torch.float32), torch.tensor(mel, dtype=torch.float32)
