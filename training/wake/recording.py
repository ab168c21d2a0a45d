"""Recordings to learn a wake word from: where the word ends in each, cut and faded; and noise where no recordings of noise are given."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from entrain.asr import RATE_HZ
from entrain.vad import VAD, load_vad
from entrain_training.clips import Clip, LeftOut, Samples
from entrain_training.schedule import TrainingError

PIECE_S = 3.0  # of long recordings: a mix has room for several
MAX_S = 4.0  # an activate that is longer could not be placed
MARGIN_S = 0.3  # of a recording with the word, before and after the speech in it
BABBLE = 5  # voices


class Activate(NamedTuple):
    """A recording with the word in it, once."""

    samples: Samples  # (N,)
    end_s: float
    """Where the word ends."""


def found_in(clip: Clip, end_s: float | None, left_out: LeftOut) -> Activate | None:
    """The speech in it, with a little around; the word ends where it does, if no label says otherwise."""
    length_s = len(clip.samples) / RATE_HZ
    spoken = speech_s(clip.samples)
    if end_s is not None and not 0 < end_s <= length_s:
        left_out.add(clip.path, f"labelled to end outside the recording ({end_s} s)")
        return None
    if end_s is None and spoken is None:
        left_out.add(clip.path, "no speech heard in it, and no label says where the word ends")
        return None
    last_s = end_s if end_s is not None else spoken[1] if spoken else length_s
    first_s = max(0.0, min(spoken[0] if spoken else 0.0, last_s - 0.1) - MARGIN_S, last_s + MARGIN_S - MAX_S)
    start, stop = round(first_s * RATE_HZ), round((last_s + MARGIN_S) * RATE_HZ)
    return Activate(faded(clip.samples[start:stop]), last_s - first_s)


def speech_s(samples: Samples, threshold: float = 0.5) -> tuple[float, float] | None:
    """From where to where somebody speaks, by Silero's network, at a level that it knows well; None where nobody does."""
    stream = _detector().stream()
    speech = np.flatnonzero(stream.feed(samples / (np.abs(samples).max() + 1e-9) * 0.5) >= threshold)
    return (speech[0] * stream.step_s, (speech[-1] + 1) * stream.step_s) if len(speech) else None


@lru_cache(maxsize=1)
def _detector() -> VAD:
    return load_vad("silero")


def labelled(path: Path) -> dict[str, float]:
    """File name → where its word ends, in seconds."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {Path(row["file"]).name: float(row["end_s"]) for row in csv.DictReader(file)}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"{path} can't be used ({error!r}); a CSV with the columns file and end_s is needed."
        ) from error


def pieces(samples: Samples) -> list[Samples]:
    """Long recordings in stretches of 3 s."""
    return [
        faded(piece) for piece in np.array_split(samples, max(1, -(-len(samples) // int(PIECE_S * RATE_HZ))))
    ]


def faded(samples: Samples, over_s: float = 0.02) -> Samples:
    """Without a click where it was cut."""
    n = min(int(over_s * RATE_HZ), len(samples) // 2)
    ramp = np.linspace(0, 1, n, dtype=np.float32)
    out = samples.astype(np.float32, copy=True)
    if n:
        out[:n] *= ramp
        out[-n:] *= ramp[::-1]
    return out


def made_backgrounds(speech: Sequence[Samples], rng: np.random.Generator, n: int = 24) -> list[Samples]:
    """Where none are given: noise of several colours, hum, and a babble of what speech there is; 5 s each."""
    length = 5 * RATE_HZ
    hz = np.maximum(np.fft.rfftfreq(length, 1 / RATE_HZ), 20.0)
    found: list[Samples] = []
    for i in range(n):
        spectrum = np.fft.rfft(rng.standard_normal(length)) * hz ** -rng.uniform(0, 1)
        sound = np.fft.irfft(spectrum, length)
        if i % 3 == 1:
            t = np.arange(length) / RATE_HZ
            sound = 0.05 * sound / sound.std() + sum(np.sin(2 * np.pi * k * 50 * t) / k for k in (1, 2, 3, 5))
        if i % 3 == 2 and speech:
            sound = sum(np.resize(speech[int(rng.integers(len(speech)))], length) for _ in range(BABBLE))
        found.append((0.1 * sound / (np.std(sound) + 1e-9)).astype(np.float32))
    return found
