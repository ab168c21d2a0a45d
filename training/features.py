"""A conversation of a corpus → rows of the table: each turn measured where it can be heard, and normalised as live."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from entrain.audio import Audio
from entrain.emotion import Felt, Manner, load_emotion
from entrain.normalize import Normalizer
from entrain.prosody import Profile, extract, with_text
from entrain.syllables import count_syllables
from entrain.turn import FEATURES, Features, Mask, Vector
from entrain_training.corpora import Conversation, CorpusError, Spoken
from entrain_training.mel import log_mel
from entrain_training.recordings import Recordings


@dataclass(frozen=True)
class Settings:
    """What the rows depend on, beside the conversation."""

    profile: Profile = "entrain-1"
    mel: bool = False
    emotion: str = field(default="", repr=False)
    """Folder of a model of emotion that judges every turn. Its content counts for what was made from it (`parts.fingerprint`), not its
    place."""


@dataclass
class Measured:
    """A conversation's rows (columns by name), what could not be heard, and how many seconds of audio were measured."""

    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    notes: list[str] = field(default_factory=list[str])
    audio_s: float = 0.0


def measure(conversation: Conversation, settings: Settings = Settings()) -> Measured:
    """One row a turn, none left out: a turn beyond the end of its recording has the reason in `missing`, and a note.

    Raises `CorpusError` for times that are negative, reversed or not finite, and `AudioError` for a recording that is missing,
    unreadable, or without the speaker's channel.
    """
    for number, turn in enumerate(conversation.turns):
        if not 0 <= turn.start_s <= turn.end_s < math.inf:
            times = f"from {turn.start_s} to {turn.end_s} s"
            raise CorpusError(f"{conversation.id}, turn {number} of {turn.speaker}: {times} is no time")
    found = Measured()
    people: dict[str, Normalizer] = {}
    judge = Judge(settings.emotion) if settings.emotion else None
    whole = {"corpus": conversation.corpus, "conv": conversation.id, "group": conversation.group}
    with Recordings(conversation) as recordings:
        of_turns = zip(conversation.turns, latencies(conversation.turns), strict=True)
        for number, (turn, latency_s) in enumerate(of_turns):
            asked = turn.features is None or settings.mel or judge
            audio, why = recordings.of(turn) if asked else (None, "")
            features = features_of(turn, audio, why, settings)
            before = people.get(turn.speaker) or Normalizer.for_person()
            after = people[turn.speaker] = before.observe(features)
            felt = judge.feel(turn.speaker, audio, why) if judge else None
            row = whole | {"turn": number, "latency_s": latency_s} | _said(turn) | _heard(features, felt)
            row |= _columns("z_", *after.z(features)) | _columns("target_", *before.z(features))
            if settings.mel:
                row["mel"] = None if audio is None else log_mel(audio).tobytes()
            found.rows.append(row)
            found.audio_s += audio.duration_s if audio is not None else 0.0
        found.notes = recordings.notes
    return found


class Judge:
    """A model of emotion, and what it has learnt of each speaker of a conversation."""

    def __init__(self, folder: str) -> None:
        self.model = model_of_emotion(folder)
        self.manners: dict[str, Manner | None] = {}

    def feel(self, speaker: str, audio: Audio | None, why: str) -> Felt:
        """One turn, after the speaker's earlier ones; `why` there is no audio."""
        if audio is None:
            return Felt(None, None, why)
        felt = self.model.feel(audio, self.manners.get(speaker))
        self.manners[speaker] = felt.manner or self.manners.get(speaker)
        return felt


model_of_emotion = lru_cache(maxsize=2)(load_emotion)


def features_of(turn: Spoken, audio: Audio | None, why: str, settings: Settings = Settings()) -> Features:
    """The corpus's own features if it has any; else the audio's; else, with no audio for the reason `why`, the rate alone where
    word times tell it. Each one that is None has its reason."""
    duration_s = turn.end_s - turn.start_s
    if turn.features is not None:
        told = turn.features.model_dump(exclude_unset=True)
        missing = {**dict.fromkeys(FEATURES, "not in the corpus"), **turn.features.missing}
        return Features.model_validate({"duration_s": duration_s} | told | {"missing": missing})
    if audio is not None:
        return extract(audio, turn.text, turn.words, settings.profile)
    missing = {str(name): why for name in FEATURES}
    unheard = Features(duration_s=duration_s, missing=missing, profile=settings.profile)
    return with_text(unheard, turn.text, turn.words)


def latencies(turns: Iterable[Spoken]) -> Iterator[float | None]:
    """Seconds from the end of the last turn of another speaker, as `History.add` has it; None where there is none yet."""
    previous: Spoken | None = None
    other_end_s: float | None = None
    for turn in turns:
        if previous is not None and previous.speaker != turn.speaker:
            other_end_s = previous.end_s
        yield None if other_end_s is None else turn.start_s - other_end_s
        previous = turn


def _said(turn: Spoken) -> dict[str, Any]:
    return {
        "speaker": turn.speaker,
        "start_s": turn.start_s,
        "end_s": turn.end_s,
        "text": turn.text,
        "overlap": turn.overlap,
        "n_words": len(turn.text.split()),
        "n_syllables": count_syllables(turn.text),
    }


def _heard(features: Features, felt: Felt | None) -> dict[str, Any]:
    """What was never set is not known, and null."""
    known = features.model_dump(exclude_unset=True)
    row = {name: known.get(name) for name in (*FEATURES, "speech_s", "voiced_s", "clipped_ratio")}
    missing = {name: features.missing[name] for name in FEATURES if row[name] is None}
    if felt:
        row["emotion"] = list(felt.probabilities.items()) if felt.probabilities else None
        missing |= {} if felt.probabilities else {"emotion": felt.why}
    return row | {
        "duration_s": features.duration_s,
        "pause_ratio": features.pause_ratio if "speech_s" in known else 0.0,
        "rate_source": features.rate_source,
        "missing": json.dumps(missing),
    }


def _columns(prefix: str, values: Vector, valid: Mask) -> dict[str, float | None]:
    return {
        prefix + name: float(value) if ok else None
        for name, value, ok in zip(FEATURES, values, valid, strict=True)
    }
