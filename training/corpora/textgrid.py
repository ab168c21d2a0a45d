"""Praat TextGrids, through praatio: a tier for each speaker, or a file for each (conv_A.TextGrid and conv_B.TextGrid).

Only tiers of intervals are read, and one for each speaker: of words (`words`, or `Ann - words` as forced aligners have it) before
one of utterances. Audio, beside: conv.wav with a channel for each speaker in the tiers' order, or one a speaker, conv_A.wav or
conv_Ann.wav. In all these names there may be . or - for the _ .
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from praatio import textgrid
from praatio.data_classes.textgrid_tier import TextgridTier

from entrain_training.corpora import Conversation, CorpusError, Unit, games, transcript
from entrain_training.corpora.audio import beside, heard
from entrain_training.corpora.turns import join, word

SILENCE = ("", "sp", "sil", "<sil>", "#", "<p:>", "silence", "pause")
SIDE = re.compile(r"(?P<conversation>.+)[._-](?P<side>[a-z]|left|right)", re.I)
WORDS = ("words", "word", "ort-mau")
UTTERANCES = ("utterances", "utterance", "transcription", "transcript", "text", "speech")
NO_TEXT = ("phones", "phone", "phonemes", "syllables", "kan-mau", "mau", "notes", "comments", "noise")
LAYER = re.compile(rf"(?:(?P<who>.+?)[\s._-]+)?(?P<layer>{'|'.join(WORDS + UTTERANCES + NO_TEXT)})", re.I)

N_TIERS = re.compile(r"<exists>\s+(?:size = )?(\d+)")  # in Praat's long format and the short one
NUMBER = r"[-+.\deE]+"
N_ENTRIES = re.compile(
    rf'"(?:Interval|Text)Tier"\s+(?:name = )?"(?:[^"]|"")*"\s+(?:xmin = )?{NUMBER}\s+(?:xmax = )?{NUMBER}\s+(?:\w+: size = )?(\d+)'
)


@dataclass
class _Grid:
    """A file: its side of a pair, if any, and who is named in it ("" where a tier tells no name), with what they say."""

    path: Path
    side: str
    said: dict[str, list[Unit]]
    skipped: list[str]


def read(root: Path) -> Iterator[Conversation]:
    """One conversation a file, or a pair of files with a speaker each. Raises `CorpusError` for a damaged file, or a conversation
    that is there twice."""
    names: dict[str, list[tuple[Path, str]]] = defaultdict(list)
    for path in transcript.files(root, ".textgrid"):
        name = transcript.conversation(root, path)
        match = SIDE.fullmatch(name)
        names[match["conversation"] if match else name].append((path, match["side"] if match else ""))
    for name, sides in names.items():
        grids = [_grid(path, side) for path, side in sides]
        halves = [grid for grid in grids if len(grid.said) == 1]
        if len(grids) > 1 and halves:
            _check_once(name, grids)
        if len(grids) == len(halves) > 1:
            yield _pair(root, name, grids)
        else:
            yield from (_alone(root, transcript.conversation(root, grid.path), grid) for grid in grids)


def looks_like(root: Path) -> bool:
    """It is or has a TextGrid, and isn't Columbia Games, which can have them too."""
    return bool(transcript.files(root, ".textgrid")) and not games.looks_like(root)


def _check_once(name: str, grids: list[_Grid]) -> None:
    sides = [grid.side for grid in grids]
    if "" in sides or len(set(sides)) < len(sides):
        paths = " and ".join(str(grid.path) for grid in grids)
        raise CorpusError(f"{paths} seem to have {name} twice: keep the one file, or one pair.")


def _alone(root: Path, name: str, grid: _Grid) -> Conversation:
    people = {transcript.person(who or "speaker", name): who for who in grid.said}
    units = {speaker: grid.said[who] for speaker, who in people.items()}
    recordings = {speaker: _joined(grid.path.stem, who) for speaker, who in people.items()}
    return _conversation(root, name, [grid], units, recordings)


def _pair(root: Path, name: str, grids: list[_Grid]) -> Conversation:
    named = [who for grid in grids for who in grid.said]
    units: dict[str, list[Unit]] = {}
    recordings: dict[str, list[str]] = {}
    for grid, who in zip(grids, named, strict=True):
        speaker = transcript.person(who if who and named.count(who) == 1 else grid.side, name)
        units[speaker] = grid.said[who]
        recordings[speaker] = _joined(Path(name).name, grid.side)
    return _conversation(root, name, grids, units, recordings)


def _joined(stem: str, who: str) -> list[str]:
    return [f"{stem}{joint}{who}" for joint in "_.-"] if who else []


def _conversation(
    root: Path, name: str, grids: list[_Grid], units: dict[str, list[Unit]], recordings: dict[str, list[str]]
) -> Conversation:
    where = " and ".join(str(grid.path) for grid in grids)
    turns, left_out = join(units, where)
    sounds, missing = heard(beside(grids[0].path.parent), recordings, [Path(name).name])
    skipped = [line for grid in grids for line in grid.skipped] + left_out
    skipped += [f"{where}: {line}" for line in missing]
    return Conversation(transcript.corpus(root), name, turns, sounds, skipped=tuple(skipped))


def _grid(path: Path, side: str) -> _Grid:
    chosen: dict[str, textgrid.IntervalTier] = {}
    skipped: list[str] = []
    for tier in _tiers(path):
        who, layer = _parted(tier.name)
        if not isinstance(tier, textgrid.IntervalTier) or layer in NO_TEXT:
            skipped.append(f"{path}, tier {tier.name!r}: not of words or utterances")
            continue
        best = chosen.setdefault(who, tier)
        if layer in WORDS and _parted(best.name)[1] not in WORDS:
            chosen[who], tier = tier, best
        if tier is not chosen[who]:
            skipped.append(
                f"{path}, tier {tier.name!r}: {who or 'the speaker'} is read from {chosen[who].name!r}"
            )
    return _Grid(path, side, {who: _units(tier) for who, tier in chosen.items()}, skipped)


def _parted(tier: str) -> tuple[str, str]:
    """Whose tier it is and of what: "Ann - words" → Ann, words; "Ann" → Ann, ""; "words" → "", words."""
    match = LAYER.fullmatch(tier.strip())
    return (match["who"] or "", match["layer"].lower()) if match else (tier.strip(), "")


def _units(tier: textgrid.IntervalTier) -> list[Unit]:
    make = word if _parted(tier.name)[1] in WORDS else Unit
    labels = ((entry.start, entry.end, " ".join(entry.label.split())) for entry in tier.entries)
    return [make(start, end, label) for start, end, label in labels if label.lower() not in SILENCE]


def _tiers(path: Path) -> list[TextgridTier]:
    """Raises `CorpusError` if praatio can't read the file, or finds less in it than its heads declare: a file that is cut off
    between two intervals is a whole one to praatio."""
    try:
        tiers = textgrid.openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="silence").tiers
        text = path.read_bytes()
        text = text.decode("utf-16" if text[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8")
    except Exception as error:  # praatio lets through what it stumbles over: IndexError, ValueError, its own
        raise CorpusError(
            f"{path} is no whole TextGrid in UTF-8 or UTF-16 ({error!r}). Save it again from Praat, or copy it again."
        ) from error
    n_tiers, declared = N_TIERS.search(text), [int(n) for n in N_ENTRIES.findall(text)]
    found = [len(tier.entries) for tier in tiers]
    if n_tiers and (int(n_tiers[1]) != len(tiers) or declared != found):
        raise CorpusError(
            f"{path} declares {n_tiers[1]} tiers of {declared} intervals, but has {found}. Is the copy whole?"
        )
    return list(tiers)
