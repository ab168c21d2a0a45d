"""Text to speech: what every voice must do, what each can do by itself, and the default voice, hibari."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from entrain.audio import Audio
from entrain.optional import check_weights, require
from entrain.turn import Word


class TTSError(RuntimeError):
    """The voice can't speak; the message says what to install or what to change."""


@dataclass(frozen=True)
class Span:
    """How far a voice's own knob may go, and how much it can be trusted.

    `grade`: "exact" (what is asked is what is heard), "calibrated" (monotone, within a few per cent),
    "guidance" (a hint only).
    """

    low: float
    high: float
    grade: Literal["exact", "calibrated", "guidance"]

    def clamp(self, value: float) -> float:
        return min(max(value, self.low), self.high)


@dataclass(frozen=True)
class Knobs:
    """A request to a voice, relative to its own default rendition of the same text."""

    pitch_st: float = 0.0
    range_x: float = 1.0
    rate_x: float = 1.0
    level_db: float = 0.0


@dataclass(frozen=True)
class Capability:
    """A voice's native knobs; None where it has none. What is missing is done on the waveform."""

    pitch_st: Span | None = None
    range_x: Span | None = None
    rate_x: Span | None = None
    level_db: Span | None = None

    def clamp(self, knobs: Knobs) -> Knobs:
        """What this voice takes of `knobs`: within its spans, neutral where it has no such knob."""
        return Knobs(
            pitch_st=self.pitch_st.clamp(knobs.pitch_st) if self.pitch_st else 0.0,
            range_x=self.range_x.clamp(knobs.range_x) if self.range_x else 1.0,
            rate_x=self.rate_x.clamp(knobs.rate_x) if self.rate_x else 1.0,
            level_db=self.level_db.clamp(knobs.level_db) if self.level_db else 0.0,
        )


@dataclass(frozen=True)
class Rendition:
    """What a voice made of a text.

    `words` carry times where the synthesiser knows them. `applied` is the part of the asked knobs that the
    voice took upon itself, after its own limits; the rest is left for the waveform.
    """

    audio: Audio
    text: str
    words: tuple[Word, ...] = ()
    applied: Knobs = Knobs()


@runtime_checkable
class TTS(Protocol):
    """A voice. Implement these four members and entrain can drive it; see `examples/new_engine.py`."""

    @property
    def name(self) -> str:
        """Engine and voice, as in "hibari:heart"; it names the voice's profile."""
        ...

    @property
    def rate_hz(self) -> int: ...

    @property
    def capability(self) -> Capability: ...

    def synthesise(self, text: str, knobs: Knobs = Knobs()) -> Rendition:
        """Speak `text`. Text with nothing to say gives a rendition of no samples. The same text and knobs
        give the same samples. Raises `TTSError` when the engine fails."""
        ...


@runtime_checkable
class ThinksFirst(TTS, Protocol):
    """A voice that moves its own pitch exactly, and most of whose work does not depend on how it shall sound."""

    def think(self, text: str) -> Any:
        """What `sound` needs. Raises `TTSError`."""
        ...

    def sound(self, thought: Any, knobs: Knobs) -> Audio: ...


LOUDER_DB = 0.3
"""By which hibari gets louder for each squared semitone, up or down: mean of 20 sentences at six shifts; a sentence is .65 dB off (sd)."""


class Hibari:
    """hibari-tts: English, 24 kHz, its weights inside its wheel, about .01 of real time on one core.

    The network predicts F0, so pitch and range are edited before the waveform is made. Beyond ±2 semitones its
    phase no longer fits (predicted quality falls from 4.1 to 2.5), so that is where the native span ends. Its speed knob moves in
    whole frames (.75 asked gives .73, 1.3 gives 1.16), so rate is left to the waveform.
    """

    rate_hz = 24_000
    capability = Capability(pitch_st=Span(-2, 2, "exact"), range_x=Span(0.6, 1.5, "exact"))

    def __init__(self, voice: str = "heart", seed: int = 0) -> None:
        self.voice, self.seed = voice, seed
        self.name = f"hibari:{voice}"

    @cached_property
    def _engine(self) -> Any:
        hibari = require("hibari", "pip install hibari-tts", TTSError)
        if self.voice == "heart":  # the one in the wheel; hibari checks those that it fetches
            check_weights("hibari", "pip install hibari-tts==0.2.1", TTSError)
        return hibari.Hibari(voice=self.voice)

    def synthesise(self, text: str, knobs: Knobs = Knobs()) -> Rendition:
        applied = self.capability.clamp(knobs)
        return Rendition(self.sound(self.think(text), applied), text, applied=applied)

    def think(self, text: str) -> list[Any]:
        """What the network makes of each part of the text: five spectra (601, T) and F0 in Hz (T,); two thirds of the time."""
        found: list[Any] = []
        try:
            for phonemes in self._engine.phonemize(speakable(text)):
                ids = self._engine.ids(phonemes)
                if len(ids) >= 3:
                    feed = {"ids": np.asarray([ids], np.int64), "speed": np.ones(1, np.float32)}
                    found.append([output[0] for output in self._engine.sess.run(None, feed)])
        except Exception as error:  # an onnxruntime or G2P fault: the caller must know which voice failed
            raise TTSError(f"{self.name} could not say {text[:60]!r}: {error}") from error
        return found

    def sound(self, thought: list[Any], knobs: Knobs) -> Audio:
        dsp: Any = import_module("hibari.dsp")
        rng = np.random.default_rng(self.seed)
        parts = [dsp.synth(*spectra, _moved(f0_hz, knobs), rng) for *spectra, f0_hz in thought]
        audio = Audio(np.concatenate(parts) if parts else np.zeros(0, np.float32), self.rate_hz)
        return audio.gain(-LOUDER_DB * knobs.pitch_st**2) if knobs.pitch_st else audio


def _moved(f0_hz: NDArray[np.float32], knobs: Knobs) -> NDArray[np.float32]:
    """The curve `(T,)`, Hz, moved as a whole, and spread about its mean in octaves; 0 where unvoiced."""
    f0_hz = np.array(f0_hz, np.float32)
    voiced = f0_hz >= 40.0
    octaves = np.log2(f0_hz[voiced])
    if octaves.size:
        centre = octaves.mean()
        f0_hz[voiced] = 2 ** (centre + (octaves - centre) * knobs.range_x + knobs.pitch_st / 12)
    return f0_hz


# Each engine's class, and where it lives; the modules are imported when the engine is asked for.
ENGINES = {
    "hibari": "entrain.tts:Hibari",
    "espeak": "entrain.tts_espeak:Espeak",
    "piper": "entrain.tts_piper:Piper",
    "kokoro": "entrain.tts_kokoro:Kokoro",
    "coqui": "entrain.tts_coqui:Coqui",
    "ssml": "entrain.tts_ssml:SSML",
    "passthrough": "entrain.tts_ssml:Passthrough",
}


def load_tts(name: str = "hibari", **options: Any) -> TTS:
    """A voice by name: "engine" or "engine:voice", as in "hibari", "espeak:en-us", "piper:/path/to/voice.onnx"; "ssml" and
    "passthrough" need `speak=`, your function from text to sound."""
    engine, _, voice = name.partition(":")
    if engine not in ENGINES:
        raise TTSError(f"there is no TTS engine {engine!r}. Select one of {', '.join(ENGINES)}.")
    module, _, kind = ENGINES[engine].partition(":")
    if voice:
        options["voice"] = voice
    return getattr(import_module(module), kind)(**options)


# What has no sound in a reply: emoji (espeak would say "slightly smiling face"), controls, half characters.
_SILENT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2600-\u27bf\u2b00-\u2bff\ud800-\udfff\ufe0e\ufe0f\u20e3"
    "\U0001f000-\U0001fbff\U000e0000-\U000e007f]"
)


def speakable(text: str) -> str:
    """`text` with every emoji and control character replaced by a space, so that positions stay; "" when no
    letter or digit is left."""
    text = _SILENT.sub(" ", text)
    return text if any(character.isalnum() for character in text) else ""
