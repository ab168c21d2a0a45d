"""Where the speakers of a conversation can be heard: in a recording each, or in one that they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from entrain_training.corpora.sound import SUFFIXES, Channels, channels, look


def beside(folder: Path) -> Callable[[str], Path | None]:
    """Finds an audio file in this folder by its name without the suffix."""

    def find(name: str) -> Path | None:
        paths = (folder / f"{name}{end}" for suffix in SUFFIXES for end in (suffix, suffix.upper()))
        return next((path for path in paths if path.is_file()), None)

    return find


def heard(
    find: Callable[[str], Path | None], own: Mapping[str, Sequence[str]], shared: Sequence[str] = ()
) -> tuple[Channels, list[str]]:
    """Speaker → file and channel, and what is missing, saying which file was looked for.

    `own`: speaker → names (without suffix) that a recording of theirs alone may have. `shared`: names of one for all; it is used
    if it is there and somebody has none of their own. With as many channels as there are speakers it has one for each, in order;
    with one channel it has all of them, and where they overlap they are heard together.
    """
    alone = {speaker: _first(find, names) for speaker, names in own.items()}
    together = _first(find, shared)
    if together and not all(alone.values()):
        return _parted(together, list(own))
    where: Channels = {}
    missing: list[str] = []
    for speaker, path in alone.items():
        found, faults = channels(path, {speaker: 0}, f"{_names(*own[speaker], *shared)} of {speaker}")
        where |= found
        missing += faults
    return where, missing


def _parted(path: Path, speakers: list[str]) -> tuple[Channels, list[str]]:
    n_channels, _ = look(path)
    each = n_channels == len(speakers)
    where, faults = channels(path, {speaker: n if each else 0 for n, speaker in enumerate(speakers)}, "")
    if n_channels > 1 and not each:
        faults.append(
            f"{path} has {n_channels} channels for {len(speakers)} speakers: the first is used for all"
        )
    return where, faults


def _first(find: Callable[[str], Path | None], names: Sequence[str]) -> Path | None:
    return next((path for name in names if (path := find(name))), None)


def _names(*names: str) -> str:
    return " or ".join(f"{name}.wav" for name in names)
