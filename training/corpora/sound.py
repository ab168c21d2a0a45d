"""A corpus's audio files: found by name, and looked into before the work begins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import soundfile

from entrain_training.corpora import CorpusError

SUFFIXES = (".wav", ".flac", ".sph")  # a converted copy goes before the .sph it was made from

Channels = dict[str, tuple[Path, int]]
"""Speaker → file and channel (0-based), as in `Conversation.audio`."""


def find(root: Path) -> dict[str, Path]:
    """The audio files anywhere below `root`, by their names without the suffix."""
    found = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)
    found.sort(key=lambda path: SUFFIXES.index(path.suffix.lower()), reverse=True)
    return {path.stem: path for path in found}


def channels(path: Path | None, of: Mapping[str, int], sought: str) -> tuple[Channels, list[str]]:
    """Speaker → channel (0-based), to where each can be heard, and what can't be, with why. `sought` says which file was looked
    for. Raises `CorpusError` as `look` does."""
    if path is None:
        return {}, [f"no audio: {sought} is not there"]
    n_channels, fault = look(path)
    if not fault and n_channels <= max(of.values()):  # then the first may hold a mixture
        fault = f"{path} has {n_channels} channel{'s' * (n_channels > 1)} for {', '.join(of)}"
    return ({}, [f"no audio: {fault}"]) if fault else ({who: (path, n) for who, n in of.items()}, [])


def look(path: Path) -> tuple[int, str]:
    """How many channels a file has, and what is wrong with it, if anything. Raises `CorpusError` for SPHERE compressed with shorten,
    since all of a corpus then is."""
    if not path.is_file():
        return 0, f"{path} is not there"
    try:
        with soundfile.SoundFile(path) as file:
            return file.channels, "" if file.frames else f"{path} holds no samples"
    except soundfile.LibsndfileError as error:
        with path.open("rb") as raw:
            start = raw.read(1024)
        if start.startswith(b"NIST_1A") and b"shorten" in start:
            raise CorpusError(
                f"{path} is compressed with shorten, which libsndfile can't read. Convert such files with LDC's sph2pipe, "
                f"`sph2pipe -p -f wav {path.name} {path.stem}.wav`, and leave the .wav beside them or in their place."
            ) from error
        return 0, f"{path} can't be read ({error})"
