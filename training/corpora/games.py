"""Columbia Games and UBA Games: words and audio a channel, for each task of a session.

`s01.objects.1.A.words` and `…B.words` have a line a word, "0.286443 0.363380 a", `#` where nothing is said; or the same as Praat
TextGrids with a tier `words`. Audio is a wav a channel by the same name, or one of two channels for both, `s01.objects.1.wav`.
The channel may also be parted by - or _ .

A and B are the same two people throughout a session (s01/A). Most of Columbia's took part in two sessions, and no name tells who:
all sessions are one `group`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from praatio import textgrid

from entrain_training.corpora import Conversation, CorpusError, Unit
from entrain_training.corpora.audio import heard
from entrain_training.corpora.rows import TIME, timed
from entrain_training.corpora.sound import find
from entrain_training.corpora.turns import join, word

SIDE = re.compile(r"(.+)[._-]([AB])")
TASK = re.compile(r"(s\d+)\.\w+\.\d+")
LINE = re.compile(rf"{TIME}\s+{TIME}\s+(\S.*)")
NO_WORD = re.compile(r"#|<.*>|\[.*\]|\s*")


def read(root: Path) -> Iterator[Conversation]:
    """The tasks that have words or audio below `root`; of what is missing, the file looked for is listed."""
    transcripts = _transcripts(root)
    audio = find(root)
    recorded = {task[0] for name in audio if (task := TASK.match(name))}
    for task in sorted({task for task, _ in transcripts} | recorded):
        yield _conversation(task, {side: transcripts.get((task, side)) for side in "AB"}, audio)


def looks_like(root: Path) -> bool:
    """TextGrids only count by the names of Games' tasks: any corpus can have them."""
    return any(
        path.suffix == ".words" or TASK.match(path.stem)
        for pattern in ("*.words", "*.TextGrid")
        for path in root.rglob(pattern)
        if SIDE.fullmatch(path.stem)
    )


def _transcripts(root: Path) -> dict[tuple[str, str], Path]:
    """Task and side → file; .words go before TextGrids, which may hold tones only."""
    files = [*sorted(root.rglob("*.TextGrid")), *sorted(root.rglob("*.words"))]
    return {(name[1], name[2]): path for path in files if (name := SIDE.fullmatch(path.stem))}


def _conversation(task: str, transcripts: dict[str, Path | None], audio: dict[str, Path]) -> Conversation:
    session = TASK.fullmatch(task)
    names = {side: f"{session[1] if session else task}/{side}" for side in "AB"}
    own = {name: [f"{task}{mark}{side}" for mark in ".-_"] for side, name in names.items()}
    sounds, missing = heard(audio.get, own, [task])
    skipped = [
        f"no words of {side}: {task}.{side}.words is not there"
        for side, path in transcripts.items()
        if not path
    ]
    units = {names[side]: list(_words(path, skipped)) for side, path in transcripts.items() if path}
    turns, unfit = join(units, task)
    return Conversation(
        "games", task, turns, sounds, "games" if session else "", (*skipped, *unfit, *missing)
    )


def _words(path: Path, skipped: list[str]) -> Iterator[Unit]:
    rows = _intervals(path) if path.suffix == ".TextGrid" else timed(path, LINE, "0.286 0.363 a", skipped)
    for start_s, end_s, (text,) in rows:
        if not NO_WORD.fullmatch(text):
            yield word(start_s, end_s, text)


def _intervals(path: Path) -> Iterator[tuple[float, float, list[str]]]:
    """Of the tier `words`, or of the only tier of intervals."""
    try:
        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True)
    except Exception as error:  # praatio lets through what it stumbles over: IndexError, ValueError, its own
        raise CorpusError(f"{path} is no whole TextGrid ({error!r}); copy it again.") from error
    tiers = [tier for tier in grid.tiers if isinstance(tier, textgrid.IntervalTier)]
    words = [tier for tier in tiers if tier.name.lower() == "words"] or tiers
    if len(words) != 1:
        names = ", ".join(grid.tierNames)
        raise CorpusError(f"{path} has the tiers {names}; give the one that has the words the name `words`.")
    entries: Any = words[0].entries
    if not entries or entries[-1].end < grid.maxTimestamp:  # praatio reads on where a file is cut off
        raise CorpusError(f"{path} ends before {grid.maxTimestamp} s, which it declares; copy it again.")
    for entry in entries:
        yield entry.start, entry.end, [entry.label.strip()]
