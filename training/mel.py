"""Audio → log-Mel frames, for the variant of the model that hears a spectrogram beside the seven features."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from entrain.audio import Audio

RATE_HZ = 16_000
N_BANDS = 40
LOW_HZ, HIGH_HZ = 60.0, 7_600.0
HOP = 400  # samples: 25 ms
WINDOW = 800  # samples: 50 ms, Hann
N_FFT = 1_024
STACK = 4  # frames of 25 ms side by side: one row every 100 ms
N_VALUES = N_BANDS * STACK  # 160
FLOOR = 1e-10  # of a band's power: −23 in natural logarithm, which float16 holds to ±.008

MelFrames = NDArray[np.float16]  # (T, 160)


def log_mel(audio: Audio) -> MelFrames:
    """Shape `(T, 160)`, float16, a row every 100 ms, the last one padded with silence: natural logarithm of the power in 40
    bands, 60 to 7,600 Hz, of four frames in order of time. Of a telephone's 8 kHz the bands above 4 kHz are at the floor."""
    samples = audio.resample(RATE_HZ).samples
    n_frames = -(-len(samples) // (HOP * STACK)) * STACK
    if not n_frames:
        return np.zeros((0, N_VALUES), np.float16)
    padded = np.pad(samples, (WINDOW // 2, n_frames * HOP - len(samples) + WINDOW // 2))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[HOP // 2 :: HOP][:n_frames]  # (4T, 800)
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW + 1)[:-1], N_FFT)) ** 2  # (4T, 513)
    bands = power @ _filters().T  # (4T, 40)
    return np.log(np.maximum(bands, FLOOR)).reshape(-1, N_VALUES).astype(np.float16)


@lru_cache(maxsize=1)
def _filters() -> NDArray[np.float64]:
    """Triangles on the Mel scale (2595·log10(1 + f/700)), each from its neighbours' middles: (40, 513)."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (LOW_HZ, HIGH_HZ))
    edges_hz = 700 * (np.power(10.0, np.linspace(low, high, N_BANDS + 2) / 2595) - 1)
    hz = np.arange(N_FFT // 2 + 1) * RATE_HZ / N_FFT
    low_hz, middle_hz, high_hz = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]  # (40, 1) each
    rising = (hz - low_hz) / (middle_hz - low_hz)
    falling = (high_hz - hz) / (high_hz - middle_hz)
    return np.maximum(0, np.minimum(rising, falling))
