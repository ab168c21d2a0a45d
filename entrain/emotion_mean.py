"""The mean of other models: each in a folder of its own below, their probabilities averaged.

config.json        labels, and the names of the folders
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from entrain.audio import Audio
from entrain.emotion import FORMAT, Felt, Judge, Manner, feel, load_emotion


@dataclass(frozen=True)
class Mean:
    """A model of kind `mean`. Its manner is theirs, one after the other."""

    name: str
    labels: tuple[str, ...]
    members: tuple[Judge, ...]
    sizes: tuple[int, ...]
    """How many measures each member's manner has; 0 of those that keep none."""

    def measure(self, audio: Audio) -> tuple[Any, ...] | None:
        measured = tuple(member.measure(audio) for member in self.members)
        return None if any(m is None for m in measured) else measured

    def judge(self, measured: Sequence[Any], manner: Manner | None) -> Felt:
        each = [m.judge(x, of) for m, x, of in zip(self.members, measured, self._parts(manner), strict=True)]
        known = [felt.probabilities for felt in each if felt.probabilities]
        found = {label: sum(p[label] for p in known) / len(known) for label in self.labels}
        return Felt(found, _joined([felt.manner for felt in each]))

    def feel(self, audio: Audio, manner: Manner | None = None) -> Felt:
        """See `Emotion.feel`."""
        return feel(self, audio, manner)

    def _parts(self, manner: Manner | None) -> list[Manner | None]:
        if manner is None or len(manner.mean) != sum(self.sizes):
            return [None] * len(self.members)
        ends = [sum(self.sizes[: i + 1]) for i in range(len(self.sizes))]
        return [
            Manner(n=manner.n, mean=manner.mean[end - size : end], m2=manner.m2[end - size : end]) if size else None
            for end, size in zip(ends, self.sizes, strict=True)
        ]  # fmt: skip

    @classmethod
    def load(cls, folder: Path, config: Mapping[str, Any]) -> Mean:
        members = tuple(cast("Judge", load_emotion(folder / name)) for name in config["of"])
        labels = tuple(config["labels"])
        if not members or any(set(member.labels) != set(labels) for member in members):
            raise ValueError("its models do not know the same emotions")
        return cls(config["name"], labels, members, tuple(int(size) for size in config["sizes"]))


def save(folder: Path, name: str, labels: Sequence[str], sizes: Mapping[str, int]) -> Path:
    """Folders below that hold the members → how many measures the manner of each has."""
    config = {
        "format": FORMAT, "kind": "mean", "name": name, "labels": list(labels), "of": list(sizes), "sizes": list(sizes.values()),
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    return folder


def _joined(manners: Sequence[Manner | None]) -> Manner | None:
    there = [manner for manner in manners if manner]
    if not there:
        return None
    return Manner(n=there[0].n, mean=sum((m.mean for m in there), ()), m2=sum((m.m2 for m in there), ()))
