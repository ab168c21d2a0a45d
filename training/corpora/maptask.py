"""HCRC Map Task: the NXT release (2.1) and its two-channel audio.

    Data/timed-units/{conversation}.{g|f}.timed-units.xml     the giver's and the follower's words
    Data/corpus-resources/maptask-corpus.xml                  who they were
    {conversation}.mix.wav, or {conversation}.{g|f}.wav       anywhere below the same folder

Four people, a quad, had eight conversations among them, each of them four: q1ec1 to q1ec8 (who saw each other) are one quad and
q1nc1 to q1nc8 (who did not) another. In a .mix.wav the giver is left: so do those who have split them (Roddy et al. 2018).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from entrain_training.corpora import Conversation, CorpusError, Unit, nxt
from entrain_training.corpora.audio import heard
from entrain_training.corpora.sound import find
from entrain_training.corpora.turns import join

ROLES = ("g", "f")  # giver, follower: left, right
QUAD = re.compile(r"q\d+[en]")


def read(root: Path) -> Iterator[Conversation]:
    """The conversations that have timed units. Raises `CorpusError` for damaged XML."""
    timed_units = nxt.folder(root, "timed-units")
    if timed_units is None:
        raise CorpusError(f"{root} needs Data/timed-units: unpack hcrcmaptask.nxtformatv2-1.zip there.")
    people = _people(timed_units.parent / "corpus-resources" / "maptask-corpus.xml")
    recordings = find(root)
    for conversation, files in nxt.files(timed_units, "timed-units").items():
        yield _conversation(conversation, files, people, recordings)


def looks_like(root: Path) -> bool:
    """It has Data/timed-units."""
    return nxt.folder(root, "timed-units") is not None


def _people(corpus_xml: Path) -> dict[tuple[str, str], str]:
    """Conversation and role → the person (q1eta1), where the release's list is there."""
    if not corpus_xml.is_file():
        return {}
    return {
        (conversation.get("id", ""), pointer.get("role", "")): re.sub(
            r".*id\((.*)\)", r"\1", pointer.get("href", "")
        )
        for conversation in nxt.parse(corpus_xml).iter("conv")
        for pointer in conversation
    }


def _conversation(
    name: str,
    files: Mapping[str, Path],
    people: Mapping[tuple[str, str], str],
    recordings: Mapping[str, Path],
) -> Conversation:
    units: dict[str, list[Unit]] = {}
    own: dict[str, list[str]] = {}
    skipped: list[str] = []
    for role in ROLES:
        speaker = people.get((name, role), "")
        if not speaker:
            speaker = f"{name}/{role}"
            skipped.append(f"{name}: maptask-corpus.xml doesn't name its {role}; read as {speaker}")
        own[speaker] = [f"{name}.{role}"]
        if role not in files:
            skipped.append(f"{name}: no words of {speaker}: looked for {name}.{role}.timed-units.xml")
            continue
        units[speaker], left_out = nxt.words(files[role], "tu", "start", "end")
        skipped += left_out
    turns, left_out = join(units, name)
    where, missing = heard(recordings.get, own, [f"{name}.mix", name])
    skipped += left_out + [f"{name}: {line}" for line in missing]
    quad = QUAD.match(name)
    return Conversation("maptask", name, turns, where, quad[0] if quad else "", tuple(skipped))
