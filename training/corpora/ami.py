"""AMI meetings: the manual annotations in NXT (release 1.6), and a headset recording for each speaker.

    words/{meeting}.{A–E}.words.xml, corpusResources/meetings.xml     as in ami_public_manual_1.6.2.zip
    {meeting}/audio/{meeting}.Headset-{channel}.wav                   anywhere below the same folder

Turns are made of the words, since a transcriber's segment also holds the pauses and laughs between them. Speakers have their
global names (MEE006), the same in all meetings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from entrain_training.corpora import Conversation, CorpusError, Unit, nxt
from entrain_training.corpora.audio import heard
from entrain_training.corpora.sound import find
from entrain_training.corpora.turns import join

PARTS = ("words", "corpusResources/meetings.xml")

People = dict[str, tuple[str, str]]
"""Agent letter → global name and headset number, of one meeting."""


def read(root: Path) -> Iterator[Conversation]:
    """The meetings that have words. Raises `CorpusError` for damaged XML, or where a part of the release is missing."""
    home = _home(root)
    for part in PARTS:
        if not (home / part).exists():
            raise CorpusError(
                f"there is no {home / part}: unpack all of ami_public_manual_1.6.2.zip in {root}."
            )
    people = _people(home / "corpusResources" / "meetings.xml")
    recordings = find(root)
    for meeting, files in nxt.files(home / "words", "words").items():
        yield _meeting(meeting, files, people.get(meeting, {}), recordings)


def looks_like(root: Path) -> bool:
    """It, or the folder of the release in it, has words/ and corpusResources/meetings.xml."""
    return all((_home(root) / part).exists() for part in PARTS)


def _home(root: Path) -> Path:
    resources = nxt.folder(root, "corpusResources")
    return resources.parent if resources else root


def _people(meetings_xml: Path) -> dict[str, People]:
    people: dict[str, People] = {}
    for meeting in nxt.parse(meetings_xml).iter("meeting"):
        people[meeting.get("observation", "")] = {
            speaker.get("nxt_agent", ""): (speaker.get("global_name", ""), speaker.get("channel", ""))
            for speaker in meeting.iter("speaker")
        }
    return people


def _meeting(
    meeting: str, files: Mapping[str, Path], people: People, recordings: Mapping[str, Path]
) -> Conversation:
    units: dict[str, list[Unit]] = {}
    headsets: dict[str, list[str]] = {}
    skipped: list[str] = []
    for agent in sorted(files.keys() | people.keys()):
        name, channel = people.get(agent, ("", ""))
        if agent not in files:
            skipped.append(f"{meeting}: no words of {name}: looked for {meeting}.{agent}.words.xml")
            continue
        if not name or name in units:
            name = f"{meeting}/{agent}"
            skipped.append(
                f"{meeting}: speaker {agent} has no name of their own in meetings.xml; read as {name}"
            )
        units[name], left_out = nxt.words(files[agent], "w", "starttime", "endtime")
        headsets[name] = [f"{meeting}.Headset-{channel}"]
        skipped += left_out
    turns, left_out = join(units, meeting)
    where, missing = heard(recordings.get, headsets)
    skipped += left_out + [f"{meeting}: {line}" for line in missing]
    return Conversation("ami", meeting, turns, where, skipped=tuple(skipped))
