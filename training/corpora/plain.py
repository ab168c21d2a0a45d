"""Plain layout: a folder a conversation, with `{speaker}.wav` (or .flac) and `turns.csv`; or one such folder.

`turns.csv` has the columns speaker, start, end (seconds) and, if known, text; its rows may be utterances, they are joined to turns.
A name is the same person in all conversations; letters and numbers ("A") only tell those of one apart (`transcript.person`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from entrain_training.corpora import Conversation, Unit
from entrain_training.corpora.audio import beside, heard
from entrain_training.corpora.rows import csv_rows
from entrain_training.corpora.sound import SUFFIXES
from entrain_training.corpora.transcript import person
from entrain_training.corpora.turns import join

TURNS = "turns.csv"


def read(root: Path) -> Iterator[Conversation]:
    """The folders with turns or audio; of what is missing, the file looked for is listed. Raises `CorpusError` for a table with
    other columns or cells that are no times."""
    corpus = root.resolve().name
    folders = [root] if (root / TURNS).is_file() else sorted(path for path in root.glob("*") if path.is_dir())
    for folder in folders:
        audio = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES]
        if (folder / TURNS).is_file():
            yield _conversation(corpus, folder, audio)
        elif audio:
            yield Conversation(corpus, folder.name, (), skipped=(f"{folder}: audio, but no {TURNS}",))


def looks_like(root: Path) -> bool:
    return (root / TURNS).is_file() or any(root.glob(f"*/{TURNS}"))


def _conversation(corpus: str, folder: Path, audio: list[Path]) -> Conversation:
    name, table = folder.resolve().name, folder / TURNS
    units: dict[str, list[Unit]] = {}
    for row in csv_rows(table, ("speaker", "start", "end"), ("text",)):
        unit = Unit(row.seconds("start"), row.seconds("end"), row.text("text"))
        units.setdefault(row.required("speaker"), []).append(unit)
    people = {speaker: person(speaker, name) for speaker in units}
    turns, unfit = join({people[speaker]: said for speaker, said in units.items()}, str(table))
    sounds, missing = heard(beside(folder), {people[speaker]: [speaker] for speaker in units})
    silent = [f"{path}: nobody of that name in {TURNS}" for path in audio if path.stem not in units]
    faults = (*unfit, *(f"{folder}: {line}" for line in missing), *silent)
    return Conversation(corpus, name, turns, sounds, skipped=faults)
