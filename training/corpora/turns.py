"""Units → turns: joined where one speaker pauses briefly, no text doubled, none lost, overlaps marked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from entrain.turn import Word
from entrain_training.corpora import JOIN_S, Spoken, Unit


def join(units: Mapping[str, Iterable[Unit]], where: str) -> tuple[tuple[Spoken, ...], list[str]]:
    """Speaker → units, to turns in order of their starts, and what was left out with why (`where` names the file).

    Left out, and listed: units whose times are not finite, negative or reversed, exact repetitions of a unit, and turns of no
    length. A unit of no length (a word that an aligner squeezed out) stays in the turn around it.
    """
    turns: list[Spoken] = []
    skipped: list[str] = []
    for speaker, said in units.items():
        for group in _groups(_sound(said, f"{where}, {speaker}", skipped)):
            turn = _turn(speaker, group)
            if turn.end_s > turn.start_s:
                turns.append(turn)
            else:
                skipped.append(f"{where}, {speaker}: {turn.text!r} at {turn.start_s} s has no length")
    return tuple(mark_overlaps(turns)), skipped


def mark_overlaps(turns: Iterable[Spoken]) -> list[Spoken]:
    """The turns in order of their starts, each marked if another speaker's earlier one had not ended when it began."""
    ends: dict[str, float] = {}
    marked: list[Spoken] = []
    for turn in sorted(turns, key=lambda t: (t.start_s, t.end_s, t.speaker)):
        overlap = any(end > turn.start_s for who, end in ends.items() if who != turn.speaker)
        ends[turn.speaker] = max(turn.end_s, ends.get(turn.speaker, 0.0))
        marked.append(turn if overlap == turn.overlap else replace(turn, overlap=overlap))
    return marked


def word(start_s: float, end_s: float, text: str) -> Unit:
    """A unit that is one word, for corpora with word times: the turn it joins keeps them."""
    return Unit(start_s, end_s, text, (Word(text=text, start_s=start_s, end_s=end_s),))


def _sound(units: Iterable[Unit], where: str, skipped: list[str]) -> list[Unit]:
    """The units that can be used, in order; the others are added to `skipped`."""
    kept: dict[tuple[float, float, str], Unit] = {}
    for row, unit in enumerate(units, 1):
        key = (unit.start_s, unit.end_s, unit.text)
        if not 0 <= unit.start_s <= unit.end_s < math.inf:
            skipped.append(f"{where}, unit {row}: from {unit.start_s} to {unit.end_s} s is no time")
        elif key in kept:
            skipped.append(f"{where}, unit {row}: the same as one before, from {unit.start_s} s")
        else:
            kept[key] = unit
    return sorted(kept.values(), key=lambda u: (u.start_s, u.end_s))


def _groups(units: Iterable[Unit]) -> Iterator[list[Unit]]:
    """Units of one speaker in order, parted where the gap is `JOIN_S` or more."""
    group: list[Unit] = []
    end_s = 0.0
    for unit in units:
        if group and round(unit.start_s - end_s, 6) >= JOIN_S:  # 4.6 − 4.1 is .4999999999999996
            yield group
            group = []
        end_s = max(end_s, unit.end_s)
        group.append(unit)
    if group:
        yield group


def _turn(speaker: str, units: list[Unit]) -> Spoken:
    start_s = units[0].start_s
    has_words = any(
        unit.words for unit in units
    )  # then every unit gives its own, or words and text would part
    words = tuple(
        Word(text=word.text, start_s=_since(start_s, word.start_s), end_s=_since(start_s, word.end_s))
        for unit in units
        for word in unit.words or (Word(text=text) for text in unit.text.split() if has_words)
    )
    text = " ".join(text for unit in units if (text := unit.text.strip()))
    return Spoken(speaker, start_s, max(unit.end_s for unit in units), text, words)


def _since(start_s: float, time_s: float | None) -> float | None:
    return None if time_s is None else time_s - start_s
