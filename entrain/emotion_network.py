"""A small network over log-Mel frames, trained from scratch: run by onnxruntime, normalised by speaker.

config.json        labels, what it was trained on
model.safetensors  the prior of a speaker's mean spectrum
model.onnx         mel (1, T, 64) → logits (1, K)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entrain.audio import Audio
from entrain.emotion import FORMAT, EmotionError, Felt, Manner, feel
from entrain.emotion_folder import read_tensors, write
from entrain.manner import Prior, Running
from entrain.optional import require
from entrain.spectrum import LONG, RATE_HZ, filters, powers

Floats = NDArray[np.float64]
Mel = NDArray[np.float32]  # (T, 64), dB re full scale

N_MEL = 64  # narrow enough that the harmonics of a voice, and so its pitch, can be seen
STEP_S = 0.02
TRIM_DB = 40.0  # a turn is looked at from its first to its last frame so near its loudest
SPOKEN_DB = 25.0  # its mean spectrum is that of frames so near
DEEP_DB = 80.0  # deeper below its loudest nothing is looked at
SCALE_DB = 10.0
INSTALL = "pip install 'entrain[onnx]'"
SCHEMA = "mel-64-20ms-1"


def log_mel(audio: Audio) -> Mel | None:
    """A turn's frames (T, 64), every 20 ms, without the silence around it; None for digital silence."""
    samples = audio.resample(RATE_HZ).samples.astype(np.float64)
    times = np.arange(0.01, len(samples) / RATE_HZ, STEP_S)
    bands = powers(samples, times, LONG, LONG) @ filters(N_MEL, LONG).T
    whole = bands.sum(1)
    if not len(whole) or whole.max() <= 0:
        return None
    heard = np.flatnonzero(whole >= whole.max() * 10 ** (-TRIM_DB / 10))
    bands = bands[heard[0] : heard[-1] + 1]
    return (10 * np.log10(np.maximum(bands, bands.max() * 10 ** (-DEEP_DB / 10)))).astype(np.float32)


def mean_spectrum(mel: Mel) -> Floats:
    """Of the frames that are speech: (T, 64) → (64,)."""
    loudness = mel.max(1)
    return mel[loudness >= loudness.max() - SPOKEN_DB].mean(0, dtype=np.float64)


def seen(mel: Mel, location: Floats) -> Mel:
    """What the network gets: (T, 64) re the speaker's mean spectrum (64,), in tens of dB."""
    return ((mel - location) / SCALE_DB).astype(np.float32)


@dataclass(frozen=True)
class Network:
    """A model of kind `network`."""

    name: str
    labels: tuple[str, ...]
    prior: Prior
    session: Any
    card: dict[str, Any] = field(default_factory=dict[str, Any])

    def measure(self, audio: Audio) -> Mel | None:
        return log_mel(audio)

    def judge(self, measured: Mel, manner: Manner | None) -> Felt:
        values = mean_spectrum(measured)
        valid = np.ones(len(values), bool)
        state = self.prior.observe(Running.of(manner, len(values)), values, valid)
        location, _ = self.prior.location_scale(state)
        logits: Floats = self.session.run(None, {"mel": seen(measured, location)[None]})[0][0].astype(
            np.float64
        )
        p = np.exp(logits - logits.max())
        found = dict(zip(self.labels, (p / p.sum()).tolist(), strict=True))
        return Felt(found, state.manner() if np.isfinite(self.prior.count) else None)

    def feel(self, audio: Audio, manner: Manner | None = None) -> Felt:
        """See `Emotion.feel`. Some 10 ms for a turn of 4 s, without Praat."""
        return feel(self, audio, manner)

    @classmethod
    def load(cls, folder: Path, config: Mapping[str, Any]) -> Network:
        if config["schema"] != SCHEMA:
            raise ValueError(f"it hears {config['schema']}; what is made here is {SCHEMA}")
        prior = Prior.of(read_tensors(folder / "model.safetensors"))
        session = load_onnx(folder / "model.onnx")
        return cls(config["name"], tuple(config["labels"]), prior, session, dict(config["card"]))


def save(folder: Path, name: str, labels: tuple[str, ...], prior: Prior, card: Mapping[str, Any]) -> Path:
    """All but model.onnx, which must be there before."""
    config = {
        "format": FORMAT,
        "kind": "network",
        "name": name,
        "labels": labels,
        "schema": SCHEMA,
        "card": dict(card),
    }
    return write(folder, config, prior.tensors())


def load_onnx(path: Path) -> Any:
    """One thread: a turn is short, and other cores have other things to do."""
    runtime = require("onnxruntime", INSTALL, EmotionError)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own kinds, which are not one family
        raise ValueError(f"{path.name}: {error}") from error
