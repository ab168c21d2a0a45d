"""How far a run of `entrain prepare` is, and how fast."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from entrain_training.parts import Failure, Told


@dataclass
class Tally:
    """`audio_s` and `cpu_s` are of all parts; `new_turns` and `new_audio_s` of those made in this run."""

    n_conversations: int = 0
    n_turns: int = 0
    audio_s: float = 0.0
    cpu_s: float = 0.0
    new_turns: int = 0
    new_audio_s: float = 0.0
    n_kept: int = 0
    """Conversations done in an earlier run."""
    n_remade: int = 0
    """Done before, but with other settings, from other turns or audio, or by another entrain."""
    failed: list[Failure] = field(default_factory=list[Failure])
    """The conversations that are not in the table."""
    skipped: list[str] = field(default_factory=list[str])
    """What the corpus's reader left out."""
    notes: list[str] = field(default_factory=list[str])
    """What could not be heard."""
    started_s: float = field(default_factory=time.monotonic)

    def add(self, told: Told, new: bool) -> None:
        """One more conversation is done."""
        self.n_conversations += 1
        self.n_turns += told.n_turns
        self.audio_s += told.audio_s
        self.cpu_s += told.cpu_s
        self.notes += told.notes
        if new:
            self.new_turns += told.n_turns
            self.new_audio_s += told.audio_s
        else:
            self.n_kept += 1

    @property
    def wall_s(self) -> float:
        return time.monotonic() - self.started_s

    @property
    def real_time_factor(self) -> float | None:
        """Seconds of one core for a second of audio; None where there was none."""
        return self.cpu_s / self.audio_s if self.audio_s else None

    def summary(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "n_conversations": self.n_conversations,
            "n_turns": self.n_turns,
            "n_kept": self.n_kept,
            "n_remade": self.n_remade,
            "audio_s": round(self.audio_s, 2),
            "cpu_s": round(self.cpu_s, 2),
            "real_time_factor_per_core": self.real_time_factor,
            "wall_s": round(self.wall_s, 2),
            "failed": [failure.model_dump() for failure in self.failed],
            "skipped": self.skipped,
            "notes": self.notes,
        }
