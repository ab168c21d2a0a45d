"""VoiceProfile: the mean and spread of each feature of one TTS voice, measured over a list of sentences."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import ValidationError

from entrain.normalize import Normalizer, Positive, Seven
from entrain.prosody import extract
from entrain.tts import TTS
from entrain.turn import FEATURES, SCHEMA, Features, Finite, Record, Vector

log = logging.getLogger(__name__)

MIN_SENTENCES = 5


class VoiceError(ValueError):
    """The voice can't be measured, or its profile not be read."""


class VoiceProfile(Record):
    """How a voice sounds when it is left alone. Tuples are `(7,)`, in the order of FEATURES."""

    name: str
    """Engine and voice, as `TTS.name` gives it."""
    schema_: str = SCHEMA
    mean: Annotated[tuple[Finite, ...], Seven]
    spread: Annotated[tuple[Positive, ...], Seven]
    n_sentences: int
    texts_sha256: str = ""

    @classmethod
    def measure(
        cls, tts: TTS, texts: Sequence[str] = (), on_progress: Callable[[int], None] = lambda _: None
    ) -> VoiceProfile:
        """Speak every text (default: `sentences()`) and measure it; `on_progress` is told how many are done.

        Raises `VoiceError` with fewer than five texts, or when a feature can be measured in fewer than five.
        """
        texts = texts or sentences()
        if len(texts) < MIN_SENTENCES:
            raise VoiceError(
                f"{len(texts)} sentences are too few to know a voice's spread; give {MIN_SENTENCES} or more."
            )
        measured: list[Features] = []
        for i, text in enumerate(texts):
            rendition = tts.synthesise(text)
            measured.append(extract(rendition.audio, text, rendition.words))
            on_progress(i + 1)
        values = np.array([features.vector for features in measured])  # (N, 7)
        valid = np.array([features.valid for features in measured])  # (N, 7)
        few = [name for name, n in zip(FEATURES, valid.sum(axis=0), strict=True) if n < MIN_SENTENCES]
        if few:
            reasons = sorted({f.missing[name] for f in measured for name in few if name in f.missing})
            raise VoiceError(
                f"{', '.join(few)} could be measured in fewer than {MIN_SENTENCES} sentences of {tts.name}: "
                f"{', '.join(reasons)}."
            )
        columns = [column[ok] for column, ok in zip(values.T, valid.T, strict=True)]
        return cls(
            name=tts.name,
            mean=tuple(float(column.mean()) for column in columns),
            spread=tuple(max(float(column.std(ddof=1)), 1e-6) for column in columns),
            n_sentences=len(texts),
            texts_sha256=hashlib.sha256("\n".join(texts).encode()).hexdigest(),
        )

    @classmethod
    def load(cls, path: str | Path) -> VoiceProfile:
        try:
            profile = cls.model_validate_json(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, ValidationError) as error:
            raise VoiceError(
                f"{path} is not a voice profile: {error}. Make one with: entrain voice"
            ) from error
        if profile.schema_ != SCHEMA:
            raise VoiceError(
                f"{path} has schema {profile.schema_!r}; {SCHEMA!r} is needed. Measure it again: entrain voice"
            )
        return profile

    @classmethod
    def of(cls, tts: TTS) -> VoiceProfile:
        """The profile that ships with entrain for this voice; a voice without one is measured now (seconds)."""
        shipped = files("entrain").joinpath(f"data/voices/{file_name(tts.name)}")
        if shipped.is_file():
            return cls(**json.loads(shipped.read_text(encoding="utf-8")))
        log.warning("measuring the voice %s; keep the result with `entrain voice` to start faster.", tts.name)
        return cls.measure(tts)

    def save(self, path: str | Path) -> None:
        Path(path).write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @property
    def reach(self) -> Vector:
        """How much one z is in this voice, `(7,)`: the larger of its own spread and people's.

        Synthetic voices vary little (hibari's sentence means by .5 st, people's by 1.2), and less than half a semitone is not
        heard. Not for rate: people's spread there comes mostly from turns of a few syllables.
        """
        people = Normalizer.for_person().prior_sd
        return np.array([
            own if name == "rate_syll_s" else max(own, theirs)
            for name, own, theirs in zip(FEATURES, self.spread, people, strict=True)
        ])  # fmt: skip

    @property
    def normalizer(self) -> Normalizer:
        """For the agent's own turns."""
        return Normalizer.for_voice(np.array(self.mean), self.reach)


def sentences() -> list[str]:
    """The forty sentences that the shipped profiles were measured on: what agents say, short and long."""
    text = files("entrain").joinpath("data/sentences.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line]


def file_name(voice: str) -> str:
    """ "hibari:heart" → "hibari-heart.json"; a path as a voice becomes its last part."""
    engine, _, rest = voice.partition(":")
    return f"{engine}-{Path(rest).stem or 'default'}.json"
