"""Sound as it might have been: rooms (pyroomacoustics), microphones, codecs and levels (pedalboard), and noise at a known ratio."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import fftconvolve

from entrain.asr import RATE_HZ
from entrain.optional import require
from entrain_training.options import TRAIN
from entrain_training.schedule import TrainingError

Samples = NDArray[np.float32]  # (N,) at 16 kHz
N_ROOMS = 64


def room_responses(n: int = N_ROOMS, seed: int = 0) -> list[Samples]:
    """Impulse responses of `n` shoebox rooms of 2 to 10 m, reverberation .1 to .7 s, a talker .3 to 5 m from the microphone, by the
    image method; each with its direct sound first and of height 1."""
    acoustics: Any = require("pyroomacoustics", TRAIN, TrainingError)
    rng, found = np.random.default_rng(seed), []
    while len(found) < n:
        size_m = rng.uniform([2.5, 2.0, 2.2], [10, 8, 3.5])
        try:
            absorption, order = acoustics.inverse_sabine(rng.uniform(0.1, 0.7), size_m)
        except ValueError:  # so short a reverberation needs walls that take up more than all
            continue
        room = acoustics.ShoeBox(
            size_m, fs=RATE_HZ, materials=acoustics.Material(absorption), max_order=min(order, 12)
        )
        microphone, talker = rng.uniform(0.3, size_m - 0.3), rng.uniform(0.3, size_m - 0.3)
        room.add_microphone(microphone)
        room.add_source(talker)
        room.compute_rir()
        response = np.asarray(room.rir[0][0])
        direct = int(np.argmax(np.abs(response)))
        found.append((response[direct:] / response[direct]).astype(np.float32))
    return found


def in_room(samples: Samples, response: Samples) -> Samples:
    """As heard in that room, at the same time: `(N,)` → `(N,)`."""
    return fftconvolve(samples, response)[: len(samples)].astype(np.float32)


def microphone(rng: np.random.Generator) -> Callable[[Samples], Samples]:
    """A random microphone and line: band limits always, at times a resonance, a compressor, a telephone's GSM or an MP3 coder."""
    board: Any = import_module("pedalboard")
    chain = [
        board.HighpassFilter(float(rng.uniform(30, 300))),
        board.LowpassFilter(float(rng.uniform(3_400, 7_900))),
        board.PeakFilter(
            float(rng.uniform(200, 5_000)), float(rng.uniform(-8, 8)), float(rng.uniform(0.5, 2))
        ),
    ]
    chance = rng.random()
    if chance < 0.1:
        chain.append(board.GSMFullRateCompressor())
    elif chance < 0.2:
        chain.append(board.MP3Compressor(float(rng.uniform(4, 9.5))))
    elif chance < 0.35:
        chain.append(board.Compressor(float(rng.uniform(-35, -15)), float(rng.uniform(2, 6))))
    heard: Any = board.Pedalboard(chain)

    def through(samples: Samples) -> Samples:
        out = np.asarray(heard(samples[None], RATE_HZ, reset=True))[0]
        return np.pad(out, (0, max(0, len(samples) - len(out))))[: len(samples)].astype(np.float32)

    return through


def mixed(speech: Samples, noise: Samples, snr_db: float, rng: np.random.Generator) -> Samples:
    """Speech `(N,)` with noise, from anywhere in it and repeated as need be, at `snr_db` below the loudest half second of speech."""
    noise = stretch(noise, len(speech), rng)
    power = loudest(speech)
    gain = np.sqrt(power / (np.mean(noise**2) + 1e-12) * 10 ** (-snr_db / 10))
    return (speech + noise * min(gain, 1e4)).astype(np.float32)


def loudest(samples: Samples) -> float:
    """Mean square of the loudest half second."""
    width = max(1, min(RATE_HZ // 2, len(samples)))
    return float(uniform_filter1d(samples.astype(np.float64) ** 2, width).max())


def stretch(noise: Samples, n: int, rng: np.random.Generator) -> Samples:
    """`n` samples of it, from a random place on, round and round."""
    return np.resize(np.roll(noise, -int(rng.integers(max(1, len(noise))))), n)


def at_peak(samples: Samples, peak_db: float) -> Samples:
    """Scaled so that its highest sample is at `peak_db` re full scale; silence stays silence."""
    peak = float(np.abs(samples).max(initial=0))
    return (samples * (10 ** (peak_db / 20) / peak)).astype(np.float32) if peak > 0 else samples


def one_of(choices: Sequence[Samples], rng: np.random.Generator) -> Samples:
    return choices[int(rng.integers(len(choices)))]
