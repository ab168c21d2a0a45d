"""Corpora of conversations: one reader per layout, each a function Path → Iterator[Conversation]."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from entrain.turn import Features, Word

JOIN_S = 0.5  # units of one speaker parted by less are one turn


class CorpusError(ValueError):
    """The corpus can't be read; the message names the file and row, and says what to do."""


@dataclass(frozen=True)
class Unit:
    """A stretch of one speaker's talk as the corpus marks it: an utterance, a segment, or a word. Seconds from the start."""

    start_s: float
    end_s: float
    text: str
    words: tuple[Word, ...] = ()
    """With times from the *conversation's* start, where the corpus has them."""


@dataclass(frozen=True)
class Spoken:
    """One turn: a speaker's consecutive units with gaps under `JOIN_S`."""

    speaker: str
    """The same person has the same name throughout the corpus, as far as the corpus tells."""
    start_s: float
    end_s: float
    text: str = ""
    words: tuple[Word, ...] = ()
    """With times from the turn's start."""
    overlap: bool = False
    """Another was speaking when it began."""
    features: Features | None = None
    """Where the corpus itself tells them (turn tables); else they are extracted from the audio."""


@dataclass(frozen=True)
class Conversation:
    """A conversation of a corpus: its turns in order of their starts, and where each speaker can be heard."""

    corpus: str
    id: str
    turns: tuple[Spoken, ...]
    audio: Mapping[str, tuple[Path, int]] = field(default_factory=dict[str, tuple[Path, int]])
    """Speaker → file and channel (0-based); empty where there is no audio."""
    group: str = ""
    """Conversations of one group may share speakers that their names do not show: they are never split apart."""
    skipped: tuple[str, ...] = ()
    """What was left out, each with its file, row and reason."""


Reader = Callable[[Path], Iterable[Conversation]]

LAYOUTS = {
    "table": "turn-table CSV: conv, speaker, start, end, text, and features or rate (.csv, .csv.gz, or a folder of them)",
    "plain": "plain layout: one folder a conversation, {speaker}.wav beside turns.csv",
    "fisher": "Fisher English (LDC): transcripts and SPHERE audio",
    "switchboard": "Switchboard (MS-State word alignments) and its audio",
    "games": "Columbia Games: .words or TextGrid a channel, wav a session",
    "ami": "AMI meetings (NXT XML) and headset wavs",
    "maptask": "HCRC Map Task (NXT XML) and its audio",
    "chat": "CHAT transcripts (.cha) with time marks, audio beside",
    "textgrid": "Praat TextGrids, one tier or one file a speaker, audio beside",
    "elan": "ELAN .eaf, a tier a speaker, audio linked or beside",
    "kaldi": "Kaldi data folder: wav.scp, segments, text, utt2spk, reco2file_and_channel",
}
"""Layout → what it is. Each is a module here of that name with `read(root)` and `looks_like(root)`."""


def read_corpus(root: str | Path, layout: str = "auto") -> Iterator[Conversation]:
    """The conversations of the corpus at `root`. Raises `CorpusError` for an unknown or unrecognised layout, or one that has no
    conversations."""
    root = Path(root)
    if not root.exists():
        raise CorpusError(f"there is no {root}; give the corpus's folder or file.")
    layout = guess_layout(root) if layout == "auto" else layout
    module = _module(layout)
    empty = True
    for conversation in module.read(root):
        empty = False
        yield conversation
    if empty:
        raise CorpusError(f"{root} has no conversation in the layout {layout!r} ({module.__doc__}).")


def guess_layout(root: Path) -> str:
    """The layout whose `looks_like` says so. Raises `CorpusError` for none or several."""
    found = [name for name in LAYOUTS if _module(name).looks_like(root)]
    if len(found) != 1:
        kinds = "\n".join(f"  {name}: {what}" for name, what in LAYOUTS.items())
        few = f"could be {' or '.join(found)}" if found else "is in no layout known here"
        raise CorpusError(f"{root} {few}. Give one by --layout:\n{kinds}")
    return found[0]


def _module(layout: str):
    if layout not in LAYOUTS:
        raise CorpusError(f"there is no layout {layout!r}. Select one of {', '.join(LAYOUTS)}.")
    return import_module(f"entrain_training.corpora.{layout}")
