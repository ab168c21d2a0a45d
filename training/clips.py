"""Recordings to train the ears on: found, read at 16 kHz, and what can't be used named and counted, never silently dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from entrain.asr import RATE_HZ
from entrain.audio import Audio, AudioError
from entrain_training.schedule import TrainingError

Samples = NDArray[np.float32]  # (N,) at 16 kHz
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
MIN_S = 0.1  # shorter, and there is no frame to look at


class Clip(NamedTuple):
    """A recording."""

    path: Path
    samples: Samples  # (N,) at 16 kHz, channels averaged


@dataclass
class LeftOut:
    """What was not used, and why."""

    reasons: dict[str, str] = field(default_factory=dict)
    """Path → why."""

    def add(self, path: Path, why: str) -> None:
        self.reasons[str(path)] = why

    def told(self) -> list[str]:
        """A sentence for each reason, with how many and the first of them; none where all was used."""
        count = Counter(self.reasons.values())
        first = {why: path for path, why in reversed(self.reasons.items())}
        return [f"{n} left out, {why} (the first is {first[why]})" for why, n in count.items()]


def find(folder: Path) -> list[Path]:
    """The recordings in a folder and those below it, in order. Raises `TrainingError` where there are none."""
    if not folder.exists():
        raise TrainingError(f"there is no folder {folder}.")
    paths = (
        [folder] if folder.is_file() else sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    )
    if not paths:
        raise TrainingError(f"{folder} holds no recordings ({', '.join(SUFFIXES)}).")
    return paths


def read(paths: Iterable[Path], left_out: LeftOut, min_s: float = MIN_S) -> list[Clip]:
    """Those that can be read, at 16 kHz; the others go to `left_out`."""
    clips: list[Clip] = []
    for path in paths:
        try:
            samples = Audio.read(path).resample(RATE_HZ).samples
        except AudioError as error:
            left_out.add(path, "empty" if "no samples" in str(error) else "not readable as audio")
            continue
        if len(samples) < min_s * RATE_HZ:
            left_out.add(path, f"shorter than {min_s} s")
        elif not samples.any():
            left_out.add(path, "digital silence")
        else:
            clips.append(Clip(path, samples))
    return clips


def read_folders(folders: Sequence[Path], left_out: LeftOut) -> list[Clip]:
    return read((path for folder in folders for path in find(folder)), left_out)


def held_out(name: str, share: float, salt: str = "") -> bool:
    """Is what has this name (a file, a speaker) on the held-out side? By its hash, so that more data does not move the others across."""
    return int(sha256((salt + name).encode()).hexdigest()[:8], 16) / 16**8 < share
