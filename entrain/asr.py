"""Audio → words, with times where the recogniser knows them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from entrain.audio import Audio
from entrain.optional import check_weights, require
from entrain.turn import Word

RATE_HZ = 16_000
FLUSH_S = (
    0.5  # Moonshine's voice detector keeps its state between calls: .25 s of silence is not enough to end it
)


class ASRError(RuntimeError):
    """The recogniser can't run; the message says what to install or what to change."""


@dataclass(frozen=True)
class Transcript:
    text: str
    words: tuple[Word, ...] = ()
    """Empty where the recogniser gives no times."""


class Recogniser(Protocol):
    @property
    def name(self) -> str: ...

    def transcribe(self, audio: Audio) -> Transcript:
        """What was said; an empty text for silence. Raises `ASRError` when the recogniser fails."""
        ...


class Moonshine:
    """Moonshine tiny, English: its network is inside the wheel of moonshine-voice 0.0.65 (later ones fetch it).

    It gives no word times (their model is not in the wheel). About .05 of real time on one core.
    """

    name = "moonshine:tiny-en"

    def __init__(self, model: str = "tiny-en") -> None:
        if model != "tiny-en":
            raise ASRError(
                f"the Moonshine model {model!r} is not in the wheel. Select 'moonshine' or 'moonshine:tiny-en'."
            )
        self._lock = threading.Lock()  # one native handle

    @cached_property
    def _transcriber(self) -> Any:
        moonshine = require("moonshine_voice", "pip install moonshine-voice==0.0.65", ASRError)
        check_weights("moonshine_voice", "pip install moonshine-voice==0.0.65", ASRError)
        return moonshine.Transcriber(moonshine.get_model_path("tiny-en"), moonshine.ModelArch.TINY)

    def transcribe(self, audio: Audio) -> Transcript:
        if not len(audio.samples):
            return Transcript("")
        # Without a silence at its end, a turn cut in the middle of a word makes the next, silent one say "You".
        samples = np.pad(audio.resample(RATE_HZ).samples, (0, int(FLUSH_S * RATE_HZ)))
        with self._lock:
            try:
                lines = self._transcriber.transcribe_without_streaming(samples, RATE_HZ).lines
            except ASRError:
                raise
            except Exception as error:  # its own error types live in its package
                raise ASRError(f"{self.name} failed on {audio.duration_s:.1f} s of audio: {error}") from error
        return Transcript(" ".join(line.text.strip() for line in lines if line.text).strip())


class FasterWhisper:
    """Any Whisper model by name or folder, through faster-whisper; gives word times. A name is fetched from a model hub."""

    def __init__(self, model: str = "small", device: str = "auto") -> None:
        self.name, self._model_name, self._device = f"whisper:{model}", model, device

    @cached_property
    def _model(self) -> Any:
        whisper = require("faster_whisper", "pip install 'entrain[whisper]'", ASRError)
        try:
            return whisper.WhisperModel(self._model_name, device=self._device)
        except Exception as error:
            raise ASRError(
                f"the Whisper model {self._model_name!r} can't be loaded ({error}). Give a folder that holds one, or a "
                "name while a model hub can be reached; or use the recogniser 'moonshine', which needs neither."
            ) from error

    def transcribe(self, audio: Audio) -> Transcript:
        if not len(audio.samples):
            return Transcript("")
        model = self._model
        try:
            words: list[Any] = []
            for segment in model.transcribe(audio.resample(RATE_HZ).samples, word_timestamps=True)[0]:
                words += segment.words or ()
        except Exception as error:  # from the native library, and while the segments are drawn
            raise ASRError(f"{self.name} failed on {audio.duration_s:.1f} s of audio: {error}") from error
        return Transcript(
            "".join(word.word for word in words).strip(),
            tuple(Word(text=word.word.strip(), start_s=word.start, end_s=word.end) for word in words),
        )


RECOGNISERS: dict[str, Callable[..., Recogniser]] = {"moonshine": Moonshine, "whisper": FasterWhisper}


def load_recogniser(name: str = "moonshine") -> Recogniser:
    """By name: "moonshine", "whisper:small", "whisper:/path/to/folder"."""
    kind, _, model = name.partition(":")
    if kind not in RECOGNISERS:
        raise ASRError(f"there is no recogniser {kind!r}. Select one of {', '.join(RECOGNISERS)}.")
    return RECOGNISERS[kind](model) if model else RECOGNISERS[kind]()
