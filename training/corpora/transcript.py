"""What CHAT, TextGrid and ELAN have in common: a corpus is any folder of such files, and says nothing of itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

LOCAL = re.compile(
    r"[a-z]|\d|(?:s|p|ch)[_.-]?\d|left|right|(?:speaker|spkr?|participant|channel)[\s_.-]*(?:[a-z]|\d+)?",
    re.I,
)


def files(root: Path, suffix: str) -> list[Path]:
    """The files with this suffix, in capitals or not, in `root` and below; or `root` itself."""
    paths: Iterable[Path] = root.rglob("*") if root.is_dir() else [root]
    return sorted(
        p for p in paths if p.suffix.lower() == suffix and p.is_file() and not p.name.startswith(".")
    )


def corpus(root: Path) -> str:
    """What a corpus is called that has no name: as its folder is."""
    return (root if root.is_dir() else root.parent).resolve().name


def conversation(root: Path, path: Path) -> str:
    """A conversation's name: its file's, without the suffix, after the folders below `root`."""
    return (path.relative_to(root) if root.is_dir() else Path(path.name)).with_suffix("").as_posix()


def person(name: str, conversation: str) -> str:
    """As given, the same in all conversations; but "A", "S2" or "left" only tell two speakers of one `conversation` apart."""
    return f"{conversation}/{name}" if LOCAL.fullmatch(name) else name
