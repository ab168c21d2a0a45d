"""Short-time spectra of a turn at given times: Mel bands, cepstrum and shape; all re the turn's own level, so that no gain is in them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RATE_HZ = 16_000
WINDOW = 400  # samples, 25 ms, Hann
LONG = 1_024  # samples, 64 ms: harmonics of a low voice lie 80 Hz apart
N_FFT = 512
N_BANDS = 26
LOW_HZ, HIGH_HZ = 20.0, 8_000.0  # as in eGeMAPS
N_CEPSTRA = 13
FLOOR = 1e-7  # of a band, re the turn's mean power


def powers(samples: Floats, times_s: Floats, window: int, n_fft: int) -> Floats:
    """Power spectra (T, n_fft/2 + 1) of the stretches of `window` samples around `times_s` (T,); silence beyond the ends."""
    middles = np.round(times_s * RATE_HZ).astype(int)
    padded = np.pad(samples, window)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[middles + window - window // 2]
    return np.abs(np.fft.rfft(frames * np.hanning(window + 1)[:-1], n_fft)) ** 2 / window


def log_bands(power: Floats) -> Floats:
    """(T, 257) → dB in 26 Mel bands (T, 26)."""
    return 10 * np.log10(np.maximum(power @ filters().T, FLOOR))


def cepstra(bands_db: Floats) -> Floats:
    """(T, 26) → MFCC 1 to 13 (T, 13); 0, which is the level, is left out."""
    return bands_db @ cosines()


def deltas(x: Floats) -> Floats:
    """Slope by regression over five frames, per frame: (T, D) → (T, D)."""
    p = np.pad(x, ((2, 2), (0, 0)), mode="edge")
    return (2 * (p[4:] - p[:-4]) + p[3:-1] - p[1:-3]) / 10


SHAPE = (
    "alpha_db",
    "hammarberg_db",
    "slope_0_500",
    "slope_500_1500",
    "centroid",
    "flatness_db",
    "rolloff",
    "flux",
)


def shape(power: Floats) -> Floats:
    """(T, 257) → the columns of SHAPE (T, 8). The first four as in eGeMAPS (Eyben et al. 2016, IEEE TAC 7): energy in 50–1,000 over
    1–5 kHz; highest peak below over that in 2–5 kHz; regression of dB on kHz. Centroid and 85 % roll-off in octaves re 1 kHz."""
    hz = np.linspace(0, RATE_HZ / 2, int(power.shape[1]))
    db = 10 * np.log10(power + FLOOR * 1e-2)
    low, high = (hz >= 50) & (hz < 1_000), (hz >= 1_000) & (hz < 5_000)
    whole = power.sum(1) + FLOOR
    alpha = 10 * np.log10((power[:, low].sum(1) + FLOOR) / (power[:, high].sum(1) + FLOOR))
    hammarberg = db[:, hz < 2_000].max(1) - db[:, (hz >= 2_000) & (hz < 5_000)].max(1)
    centroid = np.log2((power @ hz + FLOOR) / whole / 1_000 + 1e-3)
    flatness = db.mean(1) - 10 * np.log10(whole / len(hz))
    rolloff = np.log2(hz[(power.cumsum(1) < 0.85 * whole[:, None]).sum(1).clip(1, len(hz) - 1)] / 1_000)
    root = np.sqrt(power / whole[:, None])
    flux = np.sqrt(np.square(np.diff(root, axis=0, prepend=root[:1])).sum(1))
    slopes = [_slope(db[:, part], hz[part]) for part in ((hz > 0) & (hz < 500), (hz >= 500) & (hz < 1_500))]
    return np.stack([alpha, hammarberg, *slopes, centroid, flatness, rolloff, flux], 1)


def _slope(db: Floats, hz: Floats) -> Floats:
    """dB per kHz: (T, K) → (T,)."""
    x = (hz - hz.mean()) / 1_000
    return db @ x / (x @ x)


HARMONIC = ("h1_h2_db", "h1_a3_db", "a1_db", "a2_db", "a3_db")


def harmonic(power: Floats, f0_hz: Floats, formants_hz: Floats) -> Floats:
    """First harmonic over the second and over the one nearest the third formant; and those at the three formants over the first.
    `power` (T, 513) by the long window → (T, 5), for voiced frames."""
    db, frames, last = 10 * np.log10(power + FLOOR * 1e-2), np.arange(len(power)), int(power.shape[1]) - 1

    def at(hz: Floats) -> Floats:
        middle = np.round(hz * 2 * last / RATE_HZ).astype(np.int64)
        return np.max([db[frames, np.clip(middle + k, 0, last)] for k in (-1, 0, 1)], axis=0)

    f0_hz = np.maximum(f0_hz, 1.0)
    first, second = at(f0_hz), at(2 * f0_hz)
    a1, a2, a3 = (at(np.maximum(1.0, np.round(formants_hz[:, i] / f0_hz)) * f0_hz) for i in range(3))
    return np.stack([first - second, first - a3, a1 - first, a2 - first, a3 - first], 1)


@lru_cache(maxsize=1)
def cosines() -> Floats:
    """The orthonormal DCT-II without its constant: (26, 13)."""
    angle: Floats = np.pi / N_BANDS * (np.arange(N_BANDS) + 0.5)[:, None] * np.arange(1.0, 1 + N_CEPSTRA)
    return np.cos(angle) * (2 / N_BANDS) ** 0.5


@lru_cache(maxsize=4)
def filters(n_bands: int = N_BANDS, n_fft: int = N_FFT) -> Floats:
    """Triangles on the Mel scale, each from its neighbours' middles: (n_bands, n_fft/2 + 1)."""
    low, high = (2595 * float(np.log10(1 + hz / 700)) for hz in (LOW_HZ, HIGH_HZ))
    edges_hz: Floats = 700 * (np.power(10.0, np.linspace(low, high, n_bands + 2) / 2595) - 1)
    hz = np.linspace(0, RATE_HZ / 2, n_fft // 2 + 1)
    low_hz, middle_hz, high_hz = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising = (hz - low_hz) / (middle_hz - low_hz)
    falling = (high_hz - hz) / (high_hz - middle_hz)
    return np.maximum(0.0, np.minimum(rising, falling))
