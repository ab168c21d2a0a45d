"""Sound for training a wake word: recordings on either side of a split, speech made by the default voice, and both varied."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from hashlib import sha256
from itertools import islice
from pathlib import Path

import numpy as np
import typer
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, fftconvolve, sosfilt

from entrain.asr import RATE_HZ
from entrain.audio import Audio, AudioError
from entrain.tts import load_tts

Samples = NDArray[np.float32]  # (N,) at 16 kHz
TEST_SHARE = 0.2
N_TEXTS = 300  # turns of the table, each hundredth


def recordings(folder: Path) -> Iterator[tuple[str, Samples]]:
    """Name and sound of each; what can't be read is named and left out."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".flac", ".wav", ".ogg"))
    if not paths:
        raise typer.BadParameter(f"{folder} holds no recordings (flac, wav or ogg).")
    for path in paths:
        try:
            yield path.name, Audio.read(path).resample(RATE_HZ).samples
        except AudioError as error:
            print(f"left out: {error}")


def read(folder: Path) -> list[Samples]:
    return [samples for _, samples in recordings(folder)]


def parted(folders: list[Path]) -> tuple[list[Samples], list[Samples]]:
    """For training and for the test: by the hash of the name, so that more recordings do not move the others across."""
    train: list[Samples] = []
    test: list[Samples] = []
    for folder in folders:
        for name, samples in recordings(folder):
            kept = int(sha256(name.encode()).hexdigest()[:8], 16) / 16**8 < TEST_SHARE
            (test if kept else train).append(samples)
    return train, test


def pieces(samples: Samples) -> list[Samples]:
    """Long recordings in stretches of 3 s: each must score low."""
    return np.array_split(samples, max(1, len(samples) // (3 * RATE_HZ)))


def spoken(near: str, word: str, text: Path | None) -> list[Samples]:
    """By the default voice: each near word alone and in a sentence, and what people said in a turn table, where the word is not in it."""
    texts = [
        form.format(like.strip())
        for like in near.split(",")
        if like.strip()
        for form in ("{}.", "I think {} is right.")
    ]
    if text:
        with gzip.open(text, "rt", encoding="utf-8") as file:
            said = (row["text"] for row in csv.DictReader(file) if 6 <= int(row["n_words"]) <= 20)
            texts += islice(
                (line for line in said if word.lower()[:5] not in line.lower()), 0, 100 * N_TEXTS, 100
            )
    voice = load_tts("hibari")
    return [voice.synthesise(text).audio.resample(RATE_HZ).samples for text in texts]


def varied(samples: Samples, noises: list[Samples], rng: np.random.Generator) -> Samples:
    """As it might have been: tempo and pitch ± 12 %, a microphone, a room, noise at 0 to 30 dB, a peak of −40 to −1 dB."""
    tempo = rng.uniform(0.88, 1.12)
    samples = np.interp(np.arange(0, len(samples) - 1, tempo), np.arange(len(samples)), samples)
    if rng.random() < 0.3:
        band_hz = rng.uniform(50, 400), rng.uniform(2_800, 7_500)
        samples = sosfilt(butter(int(rng.integers(1, 3)), band_hz, "band", fs=RATE_HZ, output="sos"), samples)
    if rng.random() < 0.5:
        samples = in_room(samples, rng)
    before, after = rng.uniform(0.1, 1.0), 0.5
    samples = np.pad(samples, (int(before * RATE_HZ), int(after * RATE_HZ)))
    if rng.random() < 0.8:
        samples = mixed(samples, noises[rng.integers(len(noises))], rng.uniform(0, 30), rng)
    peak = np.abs(samples).max() + 1e-9
    return (samples / peak * 10 ** (rng.uniform(-40, -1) / 20)).astype(np.float32)


def in_room(samples: Samples, rng: np.random.Generator) -> Samples:
    """An exponentially decaying tail of noise after the direct sound: 60 dB in .1 to .6 s."""
    decay_s = rng.uniform(0.1, 0.6)
    t = np.arange(int(decay_s * RATE_HZ)) / RATE_HZ
    tail = rng.standard_normal(len(t)) * 10 ** (-3 * t / decay_s)
    tail *= rng.uniform(0.1, 0.8) / np.sqrt(np.sum(tail**2))
    tail[0] = 1
    return fftconvolve(samples, tail)[: len(samples)]


def mixed(samples: Samples, noise: Samples, snr_db: float, rng: np.random.Generator) -> Samples:
    """With noise at `snr_db` below the loudest half second's level."""
    start = int(rng.integers(max(1, len(noise) - 1)))
    noise = np.resize(np.roll(noise, -start), len(samples))
    power = uniform_filter1d(samples**2, RATE_HZ // 2).max()
    gain = np.sqrt(power / (np.mean(noise**2) + 1e-12) * 10 ** (-snr_db / 10))
    return (samples + noise * min(gain, 100.0)).astype(np.float32)
