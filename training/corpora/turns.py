"""Units → turns: joined where one speaker pauses briefly, no text doubled, none lost, overlaps marked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from entrain.turn import Word
from entrain_training.corpora import JOIN_S, Spoken, Unit


def join(units: Mapping[str, Iterable[Unit]], where: str) -> tuple[tuple[Spoken, ...], list[str]]:
    """Speaker → units, to turns in order of their starts, and what was left out with why (`where` names the file).

    Left out, and listed: units whose times are not finite, negative or reversed, and exact repetitions of a unit.
    """
    turns: list[Spoken] = []
    skipped: list[str] = []
    for speaker, said in units.items():
        open_: list[Unit] = []
        seen: set[tuple[float, float, str]] = set()
        for row, unit in enumerate(said, 1):
            key = (unit.start_s, unit.end_s, unit.text)
            if (
                not (math.isfinite(unit.start_s) and math.isfinite(unit.end_s))
                or not 0 <= unit.start_s < unit.end_s
            ):
                skipped.append(
                    f"{where}, {speaker}, unit {row}: from {unit.start_s} to {unit.end_s} s is no time"
                )
            elif key in seen:
                skipped.append(
                    f"{where}, {speaker}, unit {row}: the same as one before, from {unit.start_s} s"
                )
            else:
                seen.add(key)
                open_.append(unit)
        open_.sort(key=lambda u: (u.start_s, u.end_s))
        group: list[Unit] = []
        for unit in open_:
            if group and unit.start_s - max(u.end_s for u in group) >= JOIN_S:
                turns.append(_turn(speaker, group))
                group = []
            group.append(unit)
        if group:
            turns.append(_turn(speaker, group))
    turns.sort(key=lambda t: (t.start_s, t.end_s, t.speaker))
    return tuple(mark_overlaps(turns)), skipped


def mark_overlaps(turns: Iterable[Spoken]) -> list[Spoken]:
    """Turns in order, each marked if another speaker's earlier one had not ended when it began."""
    ends: dict[str, float] = {}
    marked: list[Spoken] = []
    for turn in turns:
        overlap = any(end > turn.start_s for who, end in ends.items() if who != turn.speaker)
        ends[turn.speaker] = max(turn.end_s, ends.get(turn.speaker, 0.0))
        marked.append(turn if overlap == turn.overlap else Spoken(**{**vars(turn), "overlap": overlap}))
    return marked


def _turn(speaker: str, units: list[Unit]) -> Spoken:
    start_s = units[0].start_s
    words = tuple(
        Word(
            text=w.text,
            start_s=None if w.start_s is None else w.start_s - start_s,
            end_s=None if w.end_s is None else w.end_s - start_s,
        )
        for unit in units
        for w in unit.words
    )
    text = " ".join(u.text.strip() for u in units if u.text.strip())
    return Spoken(speaker, start_s, max(u.end_s for u in units), text, words)
