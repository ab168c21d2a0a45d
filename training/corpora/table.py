"""Turn-table CSV: one row a turn (.csv, .csv.gz, or a folder of them).

Required: conv, speaker, start, end (seconds). Optional: corpus (else the file's name), group, text, speech_s (seconds of speech),
n_syll, rate, and any of the seven features by name; turn and n_words are allowed and not used. An empty cell: not known. The turns are
the table's own, they are not joined again. Syllables are counted anew from text, as live, where text and speech_s are given: `rate`,
by whatever count it was, is taken where they are not (a table's vowel groups are 7 % more than a pronouncing dictionary's syllables).

A name is the same person wherever it stands in a corpus, but letters and numbers ("A") only tell the speakers of one conversation
apart (`transcript.person`). Conversations that may share people whom their names don't show have the same `group`. Where a corpus
has its own way, `PEOPLE` knows it. Spjallrómur's a and b are taken as two people a conversation: it isn't told whether any had two.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from entrain.syllables import count_syllables
from entrain.turn import FEATURES, Features
from entrain_training.corpora import Conversation, CorpusError, Spoken
from entrain_training.corpora.rows import Row, csv_rows, header
from entrain_training.corpora.transcript import person
from entrain_training.corpora.turns import mark_overlaps

log = logging.getLogger(__name__)

REQUIRED = ("conv", "speaker", "start", "end")
OPTIONAL = ("corpus", "group", "turn", "text", "n_words", "n_syll", "speech_s", "rate", *FEATURES)


def read(root: Path) -> Iterator[Conversation]:
    """The conversations of a table, or of each table in a folder, with turns in order of their starts.

    Left out, and listed: turns whose times are negative or reversed, and exact repetitions. Kept, with a warning: rows out of
    order (sorted) and conversations of one speaker. Raises `CorpusError` for all else that is wrong, with file and line.
    """
    whence: dict[tuple[str, str], Path] = {}
    for path in _tables(root):
        conversations: dict[tuple[str, str], list[Row]] = {}
        for row in csv_rows(path, REQUIRED, OPTIONAL):
            corpus = row.text("corpus") or path.name.split(".")[0]
            conversations.setdefault((corpus, row.required("conv")), []).append(row)
        for corpus, conv in conversations.keys() & whence.keys():
            raise CorpusError(f"{path}: {corpus} {conv} is also in {whence[corpus, conv]}; keep one.")
        whence |= dict.fromkeys(conversations, path)
        _warn(
            path,
            "not in order of starts: sorted",
            (k for k, rows in conversations.items() if _unsorted(rows)),
        )
        _warn(path, "of one speaker", (k for k, rows in conversations.items() if _alone(rows)))
        for (corpus, conv), rows in conversations.items():
            yield _conversation(corpus, conv, rows)


def looks_like(root: Path) -> bool:
    """A .csv or .csv.gz file, or a folder with one that has the required columns."""
    if root.is_file():
        return root.name.endswith((".csv", ".csv.gz"))
    return any(set(REQUIRED) <= set(header(path)) for path in _tables(root))


def _tables(root: Path) -> list[Path]:
    return [root] if root.is_file() else sorted([*root.glob("*.csv"), *root.glob("*.csv.gz")])


def _conversation(corpus: str, conv: str, rows: list[Row]) -> Conversation:
    skipped: list[str] = []
    turns: dict[tuple[str, float, float, str], Spoken] = {}
    groups: set[str] = set()
    for row in rows:
        speaker, group = _person(corpus, conv, row.required("speaker"))
        groups.add(row.text("group") or group)
        turn = _turn(row, speaker)
        key = (speaker, turn.start_s, turn.end_s, turn.text)
        if not 0 <= turn.start_s < turn.end_s:
            skipped.append(f"{row.where}: from {turn.start_s} to {turn.end_s} s is no time")
        elif key in turns:
            skipped.append(f"{row.where}: the same turn as one before, from {turn.start_s} s")
        else:
            turns[key] = turn
    if len(groups) > 1:
        raise CorpusError(
            f"{rows[0].path}: {conv} is in the groups {sorted(groups)}; a conversation has one."
        )
    return Conversation(
        corpus, conv, tuple(mark_overlaps(turns.values())), group=groups.pop(), skipped=tuple(skipped)
    )


def _turn(row: Row, speaker: str) -> Spoken:
    start_s, end_s = row.seconds("start"), row.seconds("end")
    return Spoken(speaker, start_s, end_s, row.text("text"), features=_features(row, end_s - start_s))


def _features(row: Row, duration_s: float) -> Features:
    values: dict[str, Any] = {name: row.number(name) for name in FEATURES}
    speech_s, n_syllables = row.number("speech_s"), count_syllables(row.text("text"))
    for name in ("rate", "rate_syll_s"):
        rate = row.number(name)
        if rate is not None and rate <= 0:
            row.refuse(f"the {name} is {rate:g}; it must be above 0, or empty where there are no syllables.")
    counted = n_syllables / speech_s if n_syllables and speech_s and speech_s > 0 else row.number("rate")
    rate = values["rate_syll_s"] = counted if values["rate_syll_s"] is None else values["rate_syll_s"]
    return Features(
        **values,
        duration_s=duration_s,
        # A speaker's own units may overlap: 67 turns of Spjallrómur have more speech than time, one of AMI less than none.
        speech_s=duration_s if speech_s is None else min(max(speech_s, 0.0), duration_s),
        n_syllables=n_syllables or round(row.number("n_syll") or 0),
        rate_source="none" if rate is None else "words",
        missing={name: "not in the table" for name, value in values.items() if value is None},
    )


def _ami(conv: str, speaker: str) -> tuple[str, str]:
    """Four people have the meetings of one scenario (ES2002a to d), and no others. In the other meetings (EN, IB, IN) people recur
    under letters that can't be matched."""
    if conv.startswith(("ES", "IS", "TS")):
        return f"{conv.rstrip('abcd')}/{speaker}", ""
    return f"{conv}/{speaker}", f"ami-{conv[:2]}"


def _primock57(conv: str, speaker: str) -> tuple[str, str]:
    """Its 7 doctors recur, and each is only called "doctor"."""
    return f"{conv}/{speaker}", "primock57"


PEOPLE: dict[str, Callable[[str, str], tuple[str, str]]] = {
    "ami": _ami,
    "primock57": _primock57,
}
"""Corpus → conversation and speaker as the table has them, to the person's name in the whole corpus and the group."""


def _person(corpus: str, conv: str, speaker: str) -> tuple[str, str]:
    return PEOPLE[corpus](conv, speaker) if corpus in PEOPLE else (person(speaker, conv), "")


def _unsorted(rows: list[Row]) -> bool:
    return any(later.seconds("start") < row.seconds("start") for row, later in pairwise(rows))


def _alone(rows: list[Row]) -> bool:
    return len({row.text("speaker") for row in rows}) == 1


def _warn(path: Path, what: str, conversations: Iterable[tuple[str, str]]) -> None:
    if names := [conv for _, conv in conversations]:
        log.warning("%s: %d conversations are %s (%s)", path, len(names), what, ", ".join(names))
