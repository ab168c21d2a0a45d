"""Switchboard-1 (LDC97S62) with the word times of Mississippi State University, its folders as they are, anywhere below one.

`swNNNNA-ms98-a-word.text` and `…B…` have a line a word, "sw2001A-ms98-a-0001 0.977625 1.156500 hi"; audio is `sw0NNNN.sph` or
`swNNNN.sph` with A and B as channels. Speakers are the caller numbers of `call_con_tab.csv` or `conv.tab`; without these each side
of each call counts as a person of its own.

Left out as not being words: [silence], [noise], [vocalized-noise], [laughter], and the marks of asides (what was said aside is kept).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from entrain_training.corpora import Conversation, CorpusError, Unit
from entrain_training.corpora.fisher import People, sides
from entrain_training.corpora.rows import TIME, opened, timed
from entrain_training.corpora.sound import channels, find
from entrain_training.corpora.turns import join, word

TRANSCRIPT = re.compile(r"sw(\d{4})([AB])-ms98-a-word")
AUDIO = re.compile(r"sw0?(\d{4})")
LINE = re.compile(rf"\S+\s+{TIME}\s+{TIME}\s+(\S.*)")


def read(root: Path) -> Iterator[Conversation]:
    """The calls that have word times or audio below `root`; of what is missing, the file looked for is listed."""
    transcripts = {name: path for path in sorted(root.rglob("sw*-word.text")) if (name := _side(path))}
    audio = {f"sw{name[1]}": path for stem, path in find(root).items() if (name := AUDIO.fullmatch(stem))}
    people = _people(root)
    for call in sorted({call for call, _ in transcripts} | audio.keys()):
        of_call = {side: transcripts[call, side] for side in "AB" if (call, side) in transcripts}
        yield _conversation(call, of_call, audio.get(call), people)


def looks_like(root: Path) -> bool:
    return any(TRANSCRIPT.fullmatch(path.stem) for path in root.rglob("sw*-word.text"))


def said(token: str) -> str:
    """The word as it was said; empty for what is no word.

    [laughter-right] → right, [it'n/isn't] → it'n, th[is]- → th-, -[th]is → -is, {yuppiedom} → yuppiedom, them_1 → them.
    """
    token = re.sub(r"^\[laughter-(.+)\]$", r"\1", token)
    token = re.sub(r"^\[(.+)/.+\](-?)$", r"\1\2", token)
    if re.fullmatch(r"\[[^][]*\]|<.*>", token):
        return ""
    token = re.sub(r"-?\[[^][]+\]-?", "-", token)
    return re.sub(r"_\d+", "", token.strip("{}"))


def _side(path: Path) -> tuple[str, str] | None:
    name = TRANSCRIPT.fullmatch(path.stem)
    return (f"sw{name[1]}", name[2]) if name else None


def _conversation(
    call: str, transcripts: dict[str, Path], audio: Path | None, people: People
) -> Conversation:
    names = sides(call, people)
    sounds, missing = channels(audio, {names["A"]: 0, names["B"]: 1}, f"sw0{call[2:]}.sph or {call}.sph")
    skipped = [
        f"no words of {side}: {call}{side}-ms98-a-word.text is not there"
        for side in "AB"
        if side not in transcripts
    ]
    units = {names[side]: list(_words(path, skipped)) for side, path in transcripts.items()}
    turns, unfit = join(units, call)
    return Conversation("switchboard", call, turns, sounds, skipped=(*skipped, *unfit, *missing))


def _words(path: Path, skipped: list[str]) -> Iterator[Unit]:
    for start_s, end_s, (token,) in timed(path, LINE, "sw2001A-ms98-a-0001 0.97 1.15 hi", skipped):
        if text := said(token):
            yield word(start_s, end_s, text)


def _people(root: Path) -> People:
    """`call_con_tab.csv` has `2001, "A", 1397, …` a side, `conv.tab` has `2001, …, 1397, 1018, …` a call."""
    people: People = {}
    for path in sorted(root.rglob("conv.tab")):
        people |= {
            (f"sw{row[0]}", side): row[column]
            for row in _table(path, 4)
            for side, column in (("A", 2), ("B", 3))
        }
    for path in sorted(root.rglob("call_con_tab.csv")):
        people |= {(f"sw{row[0]}", row[1]): row[2] for row in _table(path, 3)}
    return people


def _table(path: Path, n_columns: int) -> list[list[str]]:
    """Its rows, each of at least `n_columns`. Raises `CorpusError` for a shorter one."""
    with opened(path) as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file, skipinitialspace=True) if row]
    for number, row in enumerate(rows, 1):
        if len(row) < n_columns:
            raise CorpusError(f"{path}, row {number}: {row} has {len(row)} cells, {n_columns} are needed.")
    return rows
