"""ELAN transcripts (.eaf), through pympi: a tier for each speaker, named by its participant or else by itself.

Only tiers without a parent are read: those below them (words, glosses, translations) say the same again. Of a participant's
several tiers the first that has annotations is read. Audio as the transcript links it, or of the same name, beside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlparse
from xml.etree.ElementTree import ParseError

from pympi import Eaf

from entrain_training.corpora import Conversation, CorpusError, Unit, transcript
from entrain_training.corpora.audio import beside, heard
from entrain_training.corpora.sound import SUFFIXES, Channels
from entrain_training.corpora.turns import join


def read(root: Path) -> Iterator[Conversation]:
    """One conversation a file. Raises `CorpusError` for a damaged file, or one whose times aren't milliseconds."""
    for path in transcript.files(root, ".eaf"):
        yield _conversation(root, path)


def looks_like(root: Path) -> bool:
    """It is or has an .eaf file."""
    return bool(transcript.files(root, ".eaf"))


def _conversation(root: Path, path: Path) -> Conversation:
    eaf, name = _open(path), transcript.conversation(root, path)
    tiers, skipped = _tiers(path, eaf)
    units: dict[str, list[Unit]] = {}
    own: dict[str, list[str]] = {}
    for who, tier in tiers.items():
        speaker = transcript.person(who, name)
        units[speaker], left_out = _units(path, eaf, tier)
        own[speaker] = [f"{path.stem}{joint}{who}" for joint in "_.-"]
        skipped += left_out
    turns, left_out = join(units, str(path))
    sounds, missing = _sounds(path, eaf, own)
    skipped += left_out + [f"{path}: {line}" for line in missing]
    return Conversation(transcript.corpus(root), name, turns, sounds, skipped=tuple(skipped))


def _open(path: Path) -> Eaf:
    try:
        eaf = Eaf(str(path), suppress_version_warning=True)
    except Exception as error:  # pympi lets through what it stumbles over: KeyError, IndexError, ValueError
        cause = error.__context__
        line = f", line {cause.position[0]}" if isinstance(cause, ParseError) else ""
        raise CorpusError(
            f"{path}{line}: not as ELAN writes it ({cause or error!r}). Save it again from ELAN, or copy it again."
        ) from error
    unit = eaf.header.get("TIME_UNITS", "milliseconds")
    if unit != "milliseconds":
        raise CorpusError(f"{path}: its times are in {unit}; export it from ELAN with milliseconds.")
    return eaf


def _tiers(path: Path, eaf: Eaf) -> tuple[dict[str, str], list[str]]:
    """Participant, or tier where no tier has one, → the tier to read."""
    top = {tier: parts[2] for tier, parts in eaf.tiers.items() if parts[0] and "PARENT_REF" not in parts[2]}
    named = any(attributes.get("PARTICIPANT") for attributes in top.values())
    chosen: dict[str, str] = {}
    skipped: list[str] = []
    for tier, attributes in top.items():
        who = (attributes.get("PARTICIPANT", "") if named else tier).strip()
        if not who:
            skipped.append(f"{path}, tier {tier!r}: it has no participant, as others have")
        elif who in chosen:
            skipped.append(f"{path}, tier {tier!r}: {who} is read from {chosen[who]!r}")
        else:
            chosen[who] = tier
    return chosen, skipped


def _units(path: Path, eaf: Eaf, tier: str) -> tuple[list[Unit], list[str]]:
    units: list[Unit] = []
    skipped: list[str] = []
    for annotation, (start, end, text, _) in eaf.tiers[tier][0].items():
        start_ms, end_ms, text = eaf.timeslots.get(start), eaf.timeslots.get(end), " ".join(text.split())
        if not text:
            skipped.append(f"{path}, {annotation} of {tier}: no text")
        elif start_ms is None or end_ms is None:
            skipped.append(f"{path}, {annotation} of {tier}: {text!r} has no times")
        else:
            units.append(Unit(start_ms / 1000, end_ms / 1000, text))
    return units, skipped


def _sounds(path: Path, eaf: Eaf, own: dict[str, list[str]]) -> tuple[Channels, list[str]]:
    """From the linked recordings: one a speaker in their order if there are as many, else the first of them for all."""
    linked = sorted(eaf.media_descriptors, key=_is_video)
    media = {
        _name(medium).stem: medium for medium in reversed(linked)
    }  # a video's name tells the audio's beside it
    each = [_name(medium).stem for medium in linked if not _is_video(medium)]
    if any((media[name].get("TIME_ORIGIN") or "0") != "0" for name in each or media):
        return {}, ["no audio: it is shifted against the annotations (TIME_ORIGIN), which isn't supported"]
    if len(each) == len(own) > 1:
        own = {speaker: [name] for speaker, name in zip(own, each, strict=True)}

    def find(name: str) -> Path | None:
        file = path.parent / _name(media[name]) if name in each else path.parent
        return file if file.is_file() else beside(path.parent)(name)

    return heard(find, own, list(dict.fromkeys([*each, *media, path.stem])))


def _is_video(medium: Mapping[str, str]) -> bool:
    return _name(medium).suffix.lower() not in SUFFIXES


def _name(medium: Mapping[str, str]) -> Path:
    """The path relative to the transcript; where ELAN didn't write that, the file's name, as its folder is another computer's."""
    relative, absolute = (
        unquote(urlparse(medium.get(name) or "").path) for name in ("RELATIVE_MEDIA_URL", "MEDIA_URL")
    )
    return Path(relative or Path(absolute).name)
