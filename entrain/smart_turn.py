"""Smart Turn: the sound of a turn → the probability that its speaker has finished, or only paused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entrain.asr import RATE_HZ
from entrain.network import EARS, open_network
from entrain.optional import bundled

WINDOW_S = 8
N_FFT, HOP, N_MELS = 400, 160, 80


class SmartTurnError(RuntimeError):
    """Smart Turn can't run; the message says what to install or to change."""


class SmartTurn:
    """Smart Turn v3.2 (Daily, BSD-2), int8, from the wheel of pipecat-ai 1.14.0: a Whisper-tiny encoder with a head."""

    def __init__(self) -> None:
        path = bundled("pipecat", "audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx", EARS, SmartTurnError)
        self._session: Any = open_network(path, SmartTurnError)

    def complete(self, samples: NDArray[np.float32]) -> float:
        """0…1, that the turn is over. `samples` `(N,)` at 16 kHz, from the turn's start to now, the pause included; what is
        older than 8 s is not looked at."""
        features = log_mel(last_window(np.nan_to_num(samples, nan=0, posinf=0, neginf=0)))
        return float(self._session.run(None, {"input_features": features[None]})[0][0, 0])


def last_window(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The last 8 s, with silence before a shorter turn: `(128000,)`."""
    n = WINDOW_S * RATE_HZ
    samples = np.asarray(samples, np.float32)[-n:]
    return np.pad(samples, (n - len(samples), 0))


def log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """What Whisper hears of `(N,)` samples: `(80, N / 160)`, log-Mel within 8 decades of the loudest, scaled to about ±1.

    As transformers' WhisperFeatureExtractor with `do_normalize`: the samples first get mean 0 and variance 1.
    """
    x = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    x = np.pad(x.astype(np.float64), N_FFT // 2, mode="reflect")
    window = np.hanning(N_FFT + 1)[:-1]  # periodic
    frames = np.lib.stride_tricks.sliding_window_view(x, N_FFT)[::HOP][
        :-1
    ]  # (T, 400), Whisper drops the last
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2  # (T, 201)
    log_power = np.log10(np.maximum(1e-10, MEL @ power.T))  # (80, T)
    return ((np.maximum(log_power, log_power.max() - 8) + 4) / 4).astype(np.float32)


def mel_filters() -> NDArray[np.float64]:
    """Triangles of equal area, Slaney's Mel scale (linear to 1 kHz, then logarithmic), 0–8 kHz: `(80, 201)`."""
    step = math.log(6.4) / 27  # 27 Mel steps from 1 to 6.4 kHz
    top_mel = 15 + math.log(RATE_HZ / 2 / 1000) / step
    mels = np.arange(N_MELS + 2) * (top_mel / (N_MELS + 1))
    corners_hz: NDArray[np.float64] = np.where(
        mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * step)
    )  # (82,)
    low, centre, high = corners_hz[:-2, None], corners_hz[1:-1, None], corners_hz[2:, None]
    hz: NDArray[np.float64] = np.linspace(0, RATE_HZ / 2, N_FFT // 2 + 1)
    rising, falling = (hz - low) / (centre - low), (high - hz) / (high - centre)
    return np.maximum(0, np.minimum(rising, falling)) * 2 / (high - low)


MEL = mel_filters()
