"""Five networks that hear speech, by name. Each takes the raw samples of its frames, so that what is exported needs no features from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from entrain.asr import RATE_HZ
from entrain_training.schedule import TrainingError
from entrain_training.vad.labels import FRAME, WINDOW

N_BANDS, N_MFCC, TAPS = 40, 20, 401
LOW_HZ, HIGH_HZ = 60.0, 7_600.0
FLOOR = 1e-8  # of a band's power, −100 dB re full scale: meetings whisper at −75 dB
STRIDE = 4  # samples: the learned filters' outputs are looked at every quarter of a millisecond

States = tuple[Tensor, Tensor]  # (layers, B, hidden) each


@dataclass(frozen=True)
class Kind:
    """What a network is made of."""

    front: Literal["mfcc", "mel", "raw"]
    hidden: int
    layers: int = 1
    both_ways: bool = False
    convolves: bool = False
    """Along frequency, before the recurrence."""


NETWORKS = {
    "lstm": Kind("mfcc", 256),
    "blstm": Kind("mfcc", 256, both_ways=True),
    "lstm2": Kind("mfcc", 256, layers=2),
    "cdnn": Kind("mel", 192, convolves=True),
    "cdnn-raw": Kind("raw", 192, convolves=True),
}


class Detector(nn.Module):
    """Frames of samples → logits of speech, frame by frame. All but `blstm` are causal."""

    def __init__(self, name: str) -> None:
        super().__init__()
        if name not in NETWORKS:
            raise TrainingError(f"there is no network {name!r}. Select one of {', '.join(NETWORKS)}.")
        self.name, kind = name, NETWORKS[name]
        self.streams = not kind.both_ways
        self.front: LogMel | MFCC | Filterbank = {"mfcc": MFCC, "mel": LogMel, "raw": Filterbank}[
            kind.front
        ]()
        self.norm = nn.BatchNorm1d(self.front.n_values)
        self.along = Along(self.front.n_values) if kind.convolves else nn.Identity()
        width = self.along.n_values if isinstance(self.along, Along) else self.front.n_values
        self.recurrent = nn.LSTM(
            width, kind.hidden, kind.layers, batch_first=True, bidirectional=kind.both_ways
        )
        self.out = nn.Linear(kind.hidden * (1 + kind.both_ways), 1)

    @property
    def context(self) -> int:
        """Samples before each frame that it is shown again."""
        return self.front.n_samples - FRAME

    def forward(self, frames: Tensor, states: States | None = None) -> tuple[Tensor, States]:
        """Frames `(B, T, context + 160)` → logits `(B, T)`, and the states to go on with."""
        values = self.values(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])  # (B, T, F)
        heard, states = self.recurrent(values, states)  # (B, T, H)
        return self.out(heard)[..., 0], states

    def values(self, frames: Tensor) -> Tensor:
        """What the recurrence reads of each frame by itself: `(N, context + 160)` → `(N, F)`."""
        return self.along(self.norm(self.front(frames)))

    def framed(self, sound: Tensor) -> Tensor:
        """Sound `(B, T · 160)` → `(B, T, context + 160)`, silence before the first."""
        return nn.functional.pad(sound, (self.context, 0)).unfold(1, self.context + FRAME, FRAME)


# --- front ends: frames (N, samples) → (N, values) --------------------------------------------------------------------------


class LogMel(nn.Module):
    """Log power in 40 Mel bands, 60 to 7,600 Hz, of a Hann window of 25 ms. The transform is a product with matrices, of the frame folded
    in its middle: cosines are the same on both sides of it, sines the opposite, so that half of the work does."""

    n_samples, n_values = WINDOW, N_BANDS

    def __init__(self) -> None:
        super().__init__()
        bands, half = triangles(), WINDOW // 2
        bins = np.flatnonzero(bands.any(1))  # 188 that a band hears
        turns, window = (
            np.outer(np.arange(half + 1), bins) * (2 * np.pi / WINDOW),
            np.hanning(WINDOW + 1)[:-1],
        )
        cosines, sines = (wave(turns) * window[: half + 1, None] for wave in (np.cos, np.sin))
        self.register_buffer(
            "cosines", fixed(cosines[1:]), persistent=False
        )  # (200, 188): the window begins at 0
        self.register_buffer(
            "sines", fixed(sines[1:-1]), persistent=False
        )  # (199, 188): of its middle the sine is 0
        self.register_buffer("bands", fixed(bands[bins]), persistent=False)  # (188, 40)

    def forward(self, frames: Tensor) -> Tensor:
        half = WINDOW // 2
        before, middle, after = frames[:, 1:half], frames[:, half : half + 1], frames[:, half + 1 :].flip(1)
        real = torch.cat((before + after, middle), 1) @ self.cosines
        imaginary = (before - after) @ self.sines
        return torch.log((real * real + imaginary * imaginary) @ self.bands + FLOOR)


class MFCC(nn.Module):
    """The first 20 cepstral coefficients of the log-Mel spectrum (DCT-II, orthonormal)."""

    n_samples, n_values = WINDOW, N_MFCC

    def __init__(self) -> None:
        super().__init__()
        self.mel = LogMel()
        waves = np.cos(np.pi / N_BANDS * np.outer(np.arange(N_BANDS) + 0.5, np.arange(N_MFCC)))
        waves *= np.sqrt(np.where(np.arange(N_MFCC) == 0, 1, 2) / N_BANDS)
        self.register_buffer("cosines", fixed(waves), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        return self.mel(frames) @ self.cosines


class Filterbank(nn.Module):
    """40 learned filters of 401 taps over the raw waveform, the highest value within the frame, log (Sainath et al. 2015). They begin
    as gammatones in the places of the Mel bands."""

    n_samples, n_values = TAPS - 1 + FRAME, N_BANDS

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Conv1d(1, N_BANDS, TAPS, STRIDE, bias=False)
        self.filters.weight.data = fixed(gammatones())[:, None]

    def forward(self, frames: Tensor) -> Tensor:
        highest = self.filters(frames[:, None]).amax(-1)  # (N, 40)
        return torch.log(torch.relu(highest) + FLOOR**0.5)


class Along(nn.Module):
    """A convolution along frequency, eight bands wide, the highest of three neighbours, and down to 64 values."""

    n_values = 64

    def __init__(self, n_bands: int, n_maps: int = 32, width: int = 8, pool: int = 3) -> None:
        super().__init__()
        self.pool, self.highest = pool, nn.MaxPool1d(pool)
        places = torch.arange(n_bands - width + 1)[:, None] + torch.arange(width)
        self.register_buffer("places", places, persistent=False)  # (33, 8)
        self.maps = nn.Conv1d(1, n_maps, width)
        self.down = nn.Linear(n_maps * ((n_bands - width + 1) // pool), self.n_values)

    def forward(self, values: Tensor) -> Tensor:
        """`(N, bands)` → `(N, 64)`."""
        highest = (
            self._product(values) if self.training else self.highest(self.maps(values[:, None]))
        )  # (N, 32, 11)
        return torch.relu(
            self.down(torch.relu(highest).flatten(1))
        )  # after the pool: a third of the work, and the same

    def _product(self, values: Tensor) -> Tensor:
        """Convolution and pool as a product of matrices, three times as fast where many frames come at once."""
        maps = values[:, self.places] @ self.maps.weight[:, 0].T  # (N, 33, 8) · (8, 32)
        return (maps.unflatten(1, (-1, self.pool)).amax(2) + self.maps.bias).transpose(1, 2)


def fixed(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def centres_hz(n: int) -> np.ndarray:
    """`n` places, even on the Mel scale (2595·log10(1 + f/700)), from the lowest to the highest."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (LOW_HZ, HIGH_HZ))
    return 700 * (np.power(10.0, np.linspace(low, high, n) / 2595) - 1)


def triangles() -> np.ndarray:
    """Each band from its neighbours' middles: (201, 40)."""
    edges, hz = centres_hz(N_BANDS + 2), np.arange(WINDOW // 2 + 1)[:, None] * RATE_HZ / WINDOW
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    return np.maximum(0, np.minimum((hz - low) / (middle - low), (high - hz) / (high - middle)))


def gammatones() -> np.ndarray:
    """Fourth order, as wide as the ear's filters (24.7 + .108 f Hz), newest sample last, each of unit energy: (40, 401)."""
    t, hz = np.arange(TAPS)[::-1] / RATE_HZ, centres_hz(N_BANDS + 2)[1:-1, None]
    waves = t**3 * np.exp(-2 * np.pi * 1.019 * (24.7 + 0.108 * hz) * t) * np.cos(2 * np.pi * hz * t)
    return waves / np.linalg.norm(waves, axis=1, keepdims=True)
