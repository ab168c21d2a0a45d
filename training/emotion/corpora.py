"""Corpora of acted emotion, read by the names of their files, or from a CSV: each recording with who speaks, what, and with which feeling."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from entrain_training.clips import SUFFIXES, LeftOut, find
from entrain_training.schedule import TrainingError


class Item(NamedTuple):
    """A recording and its label. Speakers and sentences carry their corpus, as in `ravdess/07`, so that no two are mixed up."""

    path: Path
    emotion: str
    speaker: str
    sentence: str
    """What is said; empty where the corpus does not tell."""


Reader = Callable[[str], tuple[str, str, str] | None]
"""A file's name without suffix → emotion, speaker, sentence; None where it is not of this corpus."""

_RAVDESS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
_EMODB = dict(
    zip("WLEAFTN", ("angry", "bored", "disgust", "fearful", "happy", "sad", "neutral"), strict=True)
)
_CREMA = {"ANG": "angry", "DIS": "disgust", "FEA": "fearful", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
_EMOVO = {
    "dis": "disgust", "gio": "happy", "pau": "fearful", "rab": "angry", "sor": "surprised", "tri": "sad", "neu": "neutral",
}  # fmt: skip
_NEMO = {
    "anger": "angry", "fear": "fearful", "happiness": "happy", "sadness": "sad", "surprised": "surprised", "surprise": "surprised",
    "neutral": "neutral",
}  # fmt: skip
_URDU = {"A": "angry", "H": "happy", "N": "neutral", "S": "sad"}


def ravdess(stem: str) -> tuple[str, str, str] | None:
    """`03-01-05-01-02-01-07`: modality, speech or song, emotion, intensity, statement, repetition, actor. Of speech only."""
    found = re.fullmatch(r"\d\d-01-0([1-8])-0[12]-(0[12])-0[12]-(\d\d)", stem)
    return (_RAVDESS[int(found[1]) - 1], found[3], found[2]) if found else None


def emodb(stem: str) -> tuple[str, str, str] | None:
    """`03a01Wa`: speaker, text, emotion (by its German initial), version; in front, at times, the emotion again: `angry_03a01Wa`."""
    found = re.fullmatch(r"(?:[a-z]+_)?(\d\d)([ab]\d\d)([WLEAFTN])[a-z]?", stem)
    return (_EMODB[found[3]], found[1], found[2]) if found else None


def crema_d(stem: str) -> tuple[str, str, str] | None:
    """`1001_DFA_ANG_XX`: speaker, sentence, emotion, intensity."""
    found = re.fullmatch(r"(1\d{3})_([A-Z]{3})_([A-Z]{3})_(?:LO|MD|HI|XX|X)", stem)
    return (_CREMA[found[3]], found[1], found[2]) if found and found[3] in _CREMA else None


def emovo(stem: str) -> tuple[str, str, str] | None:
    """`rab-f1-b1`: emotion (its Italian beginning), speaker, sentence."""
    found = re.fullmatch(r"([a-z]{3})-([mf]\d)-([a-z]\d+)", stem)
    return (_EMOVO[found[1]], found[2], found[3]) if found and found[1] in _EMOVO else None


def nemo(stem: str) -> tuple[str, str, str] | None:
    """`ZTM005_anger_86`: speaker, emotion, sentence."""
    found = re.fullmatch(r"([A-Z]+\d+)_([a-z]+)_(\w+)", stem)
    return (_NEMO[found[2]], found[1], found[3]) if found and found[2] in _NEMO else None


def urdu(stem: str) -> tuple[str, str, str] | None:
    """`SM1_F10_A010`: speaker, file, emotion with a number; what is said the corpus does not tell."""
    found = re.fullmatch(r"(S[MF]\d+)_F\d+_([AHNS])\d+", stem)
    return (_URDU[found[2]], found[1], "") if found else None


READERS: dict[str, Reader] = {
    "ravdess": ravdess, "emodb": emodb, "crema-d": crema_d, "emovo": emovo, "nemo": nemo, "urdu": urdu,
}  # fmt: skip


def items(sources: Sequence[Path], left_out: LeftOut) -> list[Item]:
    """The labelled recordings of folders and CSV files, in order. What has no label, or no file, goes to `left_out`. Raises
    `TrainingError` where nothing is left."""
    found: list[Item] = []
    for source in sources:
        found += from_csv(source, left_out) if source.suffix.lower() == ".csv" else by_name(source, left_out)
    if not found:
        raise TrainingError(
            f"no recording with a label in {', '.join(map(str, sources))}. Known by their names are {', '.join(READERS)}; for any other "
            "give a CSV file with the columns path,emotion,speaker[,sentence]."
        )
    return found


def by_name(folder: Path, left_out: LeftOut) -> list[Item]:
    found: list[Item] = []
    for path in find(folder):
        for corpus, reader in READERS.items():
            if told := reader(path.stem):
                emotion, speaker, sentence = told
                found.append(Item(path, emotion, f"{corpus}/{speaker}", sentence and f"{corpus}/{sentence}"))
                break
        else:
            left_out.add(path, "its name tells no emotion")
    return found


def from_csv(table: Path, left_out: LeftOut) -> list[Item]:
    """Columns path (from the CSV's folder, or absolute), emotion, speaker and, if wanted, sentence."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{table} can't be read as a CSV file ({error}).") from error
    needed = ("path", "emotion", "speaker")
    if rows and (missing := [name for name in needed if name not in rows[0]]):
        raise TrainingError(
            f"{table} has no column {missing[0]!r}; it needs {','.join(needed)} and may have sentence."
        )
    corpus, found = table.stem, []
    for row in rows:
        path = table.parent / (row["path"] or "")
        if not all(row[name] for name in needed):
            left_out.add(path, f"no {next(name for name in needed if not row[name])} in the CSV")
        elif not path.is_file():
            left_out.add(path, "in the CSV, but there is no such file")
        else:
            said = row.get("sentence") or ""
            found.append(
                Item(path, row["emotion"], f"{corpus}/{row['speaker']}", said and f"{corpus}/{said}")
            )
    named = {(table.parent / (row["path"] or "")).resolve() for row in rows}
    for path in sorted(table.parent.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.resolve() not in named:
            left_out.add(path, "beside the CSV, but not in it")
    return found
