"""Kaldi data folder: wav.scp, segments, text, utt2spk and, where recordings are channels, reco2file_and_channel.

With reco2file_and_channel the recordings of one file are one conversation; without it, those whose names differ only in a last -A
or -B, and each other recording by itself. Channel A or 1 is the first of a file of two. Speakers are those of utt2spk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from entrain_training.corpora import Conversation, CorpusError, Unit
from entrain_training.corpora.rows import lines
from entrain_training.corpora.sound import Channels, look
from entrain_training.corpora.turns import join

NEEDED = ("wav.scp", "segments", "text", "utt2spk")
SIDE = re.compile(r"(.+)[._-]([AB])")
CHANNELS = {"A": 0, "B": 1, "1": 0, "2": 1}

Places = dict[str, tuple[str, int | None]]  # recording → conversation, and channel if it is told


def read(root: Path) -> Iterator[Conversation]:
    """The conversations that `wav.scp` has recordings of. Raises `CorpusError` where a file or line is missing that another file
    speaks of, and for audio that is a command. Audio files that are not there are listed."""
    wav, segments, text, people = (_table(root / name) for name in NEEDED)
    _check_whole(root, segments, {"text": text, "utt2spk": people})
    files = {recording: _file(root, recording, rest) for recording, rest in wav.items()}
    places = _places(root / "reco2file_and_channel", files)
    units: dict[str, list[tuple[str, str, Unit]]] = {talk: [] for talk, _ in places.values()}
    for utterance, rest in segments.items():
        recording, unit = _unit(root / "segments", utterance, rest, text[utterance])
        if recording not in places:
            raise CorpusError(
                f"{root / 'wav.scp'} has no {recording}, where {utterance} is. Is the copy whole?"
            )
        units[places[recording][0]].append((people[utterance], recording, unit))
    for talk, of_talk in units.items():
        yield _conversation(root, talk, of_talk, files, places)


def looks_like(root: Path) -> bool:
    return any((root / name).is_file() for name in ("wav.scp", "utt2spk"))


def _table(path: Path) -> dict[str, str]:
    """First word of a line → the rest."""
    if not path.is_file():
        raise CorpusError(f"{path} is not there. Is the copy whole? A Kaldi folder has {', '.join(NEEDED)}.")
    table: dict[str, str] = {}
    for where, line in lines(path):
        key, *rest = line.split(maxsplit=1)
        if key in table:
            raise CorpusError(f"{where}: {key} is there a second time.")
        table[key] = rest[0] if rest else ""
    return table


def _check_whole(root: Path, segments: dict[str, str], others: dict[str, dict[str, str]]) -> None:
    for name, table in others.items():
        for more, less, file in ((segments, table, name), (table, segments, "segments")):
            if lost := [utterance for utterance in more if utterance not in less]:
                raise CorpusError(
                    f"{root / file} has no line for {lost[0]} and {len(lost) - 1} more utterances. Is the copy whole? "
                    "Kaldi's utils/fix_data_dir.sh takes them out of the other files."
                )


def _file(root: Path, recording: str, rest: str) -> Path:
    """Relative paths start from the folder, or as Kaldi has them from where the program runs."""
    if "|" in rest or re.search(r"\.ark(:\d+)?$", rest):
        raise CorpusError(
            f"{root / 'wav.scp'}: {recording} is a command or archive ({rest}), which is not run here. Convert it to wav files "
            "(Kaldi: wav-copy scp:wav.scp, or the command itself) and put their paths there."
        )
    return root / rest if (root / rest).is_file() else Path(rest)


def _places(path: Path, recordings: Iterable[str]) -> Places:
    if not path.is_file():
        sides = {recording: SIDE.fullmatch(recording) for recording in recordings}
        return {name: (side[1], CHANNELS[side[2]]) if side else (name, None) for name, side in sides.items()}
    table = _table(path)
    places: Places = {}
    for recording in recordings:
        rest = table.get(recording, "(no line)")
        file, _, channel = rest.partition(" ")
        if channel.strip() not in CHANNELS:
            raise CorpusError(
                f"{path}: {recording} {rest}; a file and a channel are needed, A, B, 1 or 2. Is the copy whole?"
            )
        places[recording] = file, CHANNELS[channel.strip()]
    return places


def _unit(path: Path, utterance: str, rest: str, text: str) -> tuple[str, Unit]:
    try:
        recording, start, end = rest.split()[:3]
        return recording, Unit(float(start), float(end), text)
    except ValueError:
        raise CorpusError(
            f"{path}: {utterance} {rest}; the recording, start and end in seconds are needed."
        ) from None


def _conversation(
    root: Path, talk: str, units: list[tuple[str, str, Unit]], files: dict[str, Path], places: Places
) -> Conversation:
    said: dict[str, list[Unit]] = {}
    sounds: Channels = {}
    missing = [] if units else [f"{root / 'segments'}: nothing of {talk}"]
    for speaker, recording, unit in units:
        if speaker not in said:
            channel, fault = _channel(files[recording], places[recording][1])
            if fault:
                missing.append(f"no audio of {speaker}: {fault}")
            else:
                sounds[speaker] = files[recording], channel
        said.setdefault(speaker, []).append(unit)
    turns, unfit = join(said, f"{root / 'segments'}, {talk}")
    return Conversation(root.resolve().name, talk, turns, sounds, skipped=(*unfit, *missing))


def _channel(path: Path, told: int | None) -> tuple[int, str]:
    """The channel of a speaker who is told to be on this one (of two that may be two files), or what is wrong."""
    n_channels, fault = look(path)
    if n_channels > 1 and told is None:
        fault = f"{path} has {n_channels} channels; reco2file_and_channel must say whose is whose"
    return (0 if n_channels == 1 else told or 0), fault
