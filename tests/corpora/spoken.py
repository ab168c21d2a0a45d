"""The same talk for all readers: hypothesis makes it, each test writes it in its layout, and the turns must come out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from hypothesis import strategies as st

from entrain_training.corpora import Conversation


@dataclass(frozen=True)
class Said:
    """One unit of one speaker."""

    speaker: str
    start_ms: int
    end_ms: int
    text: str

    @property
    def start_s(self) -> str:
        return f"{self.start_ms / 1000:.3f}"

    @property
    def end_s(self) -> str:
        return f"{self.end_ms / 1000:.3f}"


@st.composite
def talks(draw: st.DrawFn, speakers: tuple[str, ...] = ("A", "B")) -> list[Said]:
    """Some units a speaker, in order and apart, with the gaps that decide: none, 499 ms, 500 ms. No text is said twice."""
    said: list[Said] = []
    for speaker in speakers:
        now_ms = draw(st.integers(0, 3_000))
        for number in range(draw(st.integers(1, 8))):
            length_ms = draw(st.integers(1, 2_000))
            said.append(Said(speaker, now_ms, now_ms + length_ms, f"{speaker.lower()}word{number}"))
            now_ms += length_ms + draw(st.sampled_from((0, 1, 250, 499, 500, 501, 3_000)))
    return said


def turns(said: list[Said], names: dict[str, str]) -> list[tuple[str, int, int, str, bool]]:
    """The turns that a talk is: speaker, start and end in ms, text, and whether another was speaking when it began."""
    joined: list[tuple[str, int, int, str]] = []
    for unit in said:
        last = joined[-1] if joined else None
        if last and last[0] == names[unit.speaker] and unit.start_ms - last[2] < 500:
            joined[-1] = (last[0], last[1], unit.end_ms, f"{last[3]} {unit.text}")
        else:
            joined.append((names[unit.speaker], unit.start_ms, unit.end_ms, unit.text))
    joined.sort(key=lambda turn: (turn[1], turn[2], turn[0]))
    return [
        (*turn, any(before[0] != turn[0] and before[2] > turn[1] for before in joined[:number]))
        for number, turn in enumerate(joined)
    ]


def found(conversation: Conversation) -> list[tuple[str, int, int, str, bool]]:
    """What a reader made of it, in the same form."""
    return [
        (turn.speaker, round(turn.start_s * 1000), round(turn.end_s * 1000), turn.text, turn.overlap)
        for turn in conversation.turns
    ]


def record(path: Path, n_channels: int = 1) -> Path:
    """A tenth of a second of silence."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros((1_600, n_channels), np.float32), 16_000)
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path
