"""Recordings measured once: functionals and log-Mel frames, kept by what is in the file, so that nothing is measured twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from entrain.audio import Audio, AudioError
from entrain.emotion import MIN_S
from entrain.functionals import NAMES, SCHEMA, functionals
from entrain_training.clips import LeftOut
from entrain_training.emotion.corpora import Item
from entrain_training.run import keep
from entrain_training.schedule import TrainingError

SAVE_EVERY = 200  # recordings, some 20 s of work
Say = Callable[[str], None]


@dataclass(frozen=True)
class Measured:
    """Labelled recordings and their functionals; N of them, in order."""

    items: tuple[Item, ...]
    values: NDArray[np.float64]  # (N, F)
    valid: NDArray[np.bool_]  # (N, F)
    sha256: tuple[str, ...]  # of each file

    def __len__(self) -> int:
        return len(self.items)

    def part(self, rows: NDArray[np.int_] | Sequence[int]) -> Measured:
        picked = [int(i) for i in rows]
        return Measured(
            tuple(self.items[i] for i in picked), self.values[picked], self.valid[picked], tuple(self.sha256[i] for i in picked)
        )  # fmt: skip

    @property
    def emotions(self) -> NDArray[np.str_]:
        return np.array([item.emotion for item in self.items])

    @property
    def speakers(self) -> NDArray[np.str_]:
        return np.array([item.speaker for item in self.items])

    def labels(self) -> tuple[str, ...]:
        """In alphabetical order. Raises `TrainingError` where there is but one."""
        found = tuple(sorted(set(self.emotions.tolist())))
        if len(found) < 2:
            raise TrainingError(
                f"all {len(self)} recordings are {', '.join(found) or 'left out'}; two emotions are needed."
            )
        return found


def measure(items: Sequence[Item], cache: Path, left_out: LeftOut, say: Say = lambda _: None) -> Measured:
    """Those that can be measured; the others go to `left_out`. `cache` is a folder; a file that is there as it was is not measured
    again. About .1 s for each that is."""
    kept = _load(cache / "functionals.npz")
    rows: list[tuple[Item, NDArray[np.float64], NDArray[np.bool_], str]] = []
    n_new = 0
    for number, item in enumerate(items):
        content = _bytes(item.path, left_out)
        if content is None:
            continue
        digest = sha256(content).hexdigest()
        if digest not in kept:
            audio = _audio(item.path, content, left_out)
            if audio is None:
                continue
            kept[digest] = functionals(audio)
            n_new += 1
            say(f"measuring {number + 1} of {len(items)}")
            if n_new % SAVE_EVERY == 0:
                _save(cache / "functionals.npz", kept)
        if not kept[digest][1].any():
            left_out.add(item.path, "no speech in it")
            continue
        rows.append((item, *kept[digest], digest))
    if n_new:
        _save(cache / "functionals.npz", kept)
    if not rows:
        raise TrainingError(f"none of {len(items)} recordings can be used: {'; '.join(left_out.told())}")
    found, values, valid, digests = zip(*rows, strict=True)
    return Measured(found, np.stack(values), np.stack(valid), digests)


def twins(measured: Measured) -> list[tuple[Path, Path]]:
    """Recordings that are the same byte for byte, each with the first that is so."""
    first: dict[str, Path] = {}
    pairs: list[tuple[Path, Path]] = []
    for item, digest in zip(measured.items, measured.sha256, strict=True):
        if digest in first:
            pairs.append((first[digest], item.path))
        first.setdefault(digest, item.path)
    return pairs


def _bytes(path: Path, left_out: LeftOut) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        left_out.add(path, "not readable")
        return None
    if not content:
        left_out.add(path, "empty")
    return content or None


def _audio(path: Path, content: bytes, left_out: LeftOut) -> Audio | None:
    try:
        audio = Audio.read(BytesIO(content))  # with its own rate; channels averaged
    except AudioError as error:
        left_out.add(path, "empty" if "no samples" in str(error) else "not readable as audio")
        return None
    if audio.duration_s < MIN_S:
        left_out.add(path, f"shorter than {MIN_S} s")
        return None
    return audio


Kept = dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]]


def _load(path: Path) -> Kept:
    """What was measured before, by the same definitions; nothing where they have changed."""
    try:
        with np.load(path, allow_pickle=False) as found:
            if tuple(found["names"].tolist()) != (SCHEMA, *NAMES):
                return {}
            rows = zip(found["sha256"].tolist(), found["values"], found["valid"], strict=True)
            return {digest: (values, valid) for digest, values, valid in rows}
    except (OSError, ValueError, KeyError):
        return {}


def _save(path: Path, kept: Kept) -> None:
    buffer = BytesIO()
    values, valid = zip(*kept.values(), strict=True)
    np.savez(
        buffer,
        names=np.array((SCHEMA, *NAMES)),
        sha256=np.array(list(kept)),
        values=np.stack(values),
        valid=np.stack(valid),
    )
    keep(path, buffer.getvalue())
