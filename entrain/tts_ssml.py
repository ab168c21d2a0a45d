"""Voices elsewhere: any function that turns SSML, or plain text, into sound. No network calls are made here."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from xml.sax.saxutils import escape, quoteattr

from entrain.audio import Audio, AudioError
from entrain.tts import Capability, Knobs, Rendition, Span, TTSError, speakable

Dialect = Literal["azure", "google", "polly", "polly-standard", "generic"]
Speak = Callable[[str], Audio | bytes]

# What each provider's <prosody> takes, and as far as it says it does. Nothing here is measured: all is guidance.
CAPABILITIES: dict[str, Capability] = {
    "azure": Capability(  # pitch is held within ×.5–1.5; volume is 0–100 and starts at 100
        Span(-12, 7, "guidance"), Span(0.5, 2, "guidance"), Span(0.5, 2, "guidance"), Span(-12, 0, "guidance")
    ),
    "google": Capability(  # its newest voices (Chirp, Studio) ignore pitch
        Span(-20, 20, "guidance"), None, Span(0.25, 4, "guidance"), Span(-12, 16, "guidance")
    ),
    "polly": Capability(None, None, Span(0.2, 2, "guidance"), Span(-12, 4, "guidance")),  # neural: no pitch
    "polly-standard": Capability(  # pitch −33…+50 %
        Span(-7, 7, "guidance"), None, Span(0.2, 2, "guidance"), Span(-12, 4, "guidance")
    ),
    "generic": Capability(  # W3C SSML 1.1
        Span(-12, 12, "guidance"),
        Span(0.5, 2, "guidance"),
        Span(0.5, 2, "guidance"),
        Span(-12, 12, "guidance"),
    ),
}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FILES = (
    b"RIFF",
    b"fLaC",
    b"OggS",
    b"ID3",
    b"\xff\xfb",
    b"\xff\xf3",
    b"\xff\xf2",
)  # the last three: mp3 frames


def ssml(
    text: str,
    knobs: Knobs = Knobs(),
    dialect: Dialect = "generic",
    voice: str = "",
    language: str = "en-US",
) -> tuple[str, Knobs]:
    """`text` as SSML, and the part of `knobs` that it could express. `voice` names a voice of the provider (Azure
    wants one).

    >>> ssml("Tea & cake?", Knobs(pitch_st=2, rate_x=1.1), "google")[0]
    '<speak><prosody pitch="+2st" rate="110%">Tea &amp; cake?</prosody></speak>'
    """
    allowed = capability(dialect).clamp(knobs)
    applied = Knobs(
        round(allowed.pitch_st, 2),
        round(allowed.range_x, 3),
        round(allowed.rate_x, 3),
        round(allowed.level_db, 2),
    )
    body = escape(_NOT_XML.sub(" ", text))
    if attributes := _attributes(applied, dialect):
        body = f"<prosody {' '.join(f'{name}={quoteattr(value)}' for name, value in attributes.items())}>{body}</prosody>"
    if voice:
        body = f"<voice name={quoteattr(voice)}>{body}</voice>"
    if dialect in ("azure", "generic"):
        namespace = "http://www.w3.org/2001/10/synthesis"
        version = "1.0" if dialect == "azure" else "1.1"
        head = f'<speak version="{version}" xmlns="{namespace}" xml:lang={quoteattr(language)}>'
    else:
        head = "<speak>"
    return f"{head}{body}</speak>", applied


def capability(dialect: str) -> Capability:
    """What the dialect can express."""
    if dialect not in CAPABILITIES:
        raise TTSError(f"there is no SSML dialect {dialect!r}. Select one of {', '.join(CAPABILITIES)}.")
    return CAPABILITIES[dialect]


def _attributes(knobs: Knobs, dialect: str) -> dict[str, str]:
    """The attributes of <prosody>, in the units of `dialect`; what is neutral is left out."""
    found: dict[str, str] = {}
    if knobs.pitch_st:
        percent = 100 * (2 ** (knobs.pitch_st / 12) - 1)  # Polly knows no semitones
        found["pitch"] = f"{percent:+.3g}%" if dialect == "polly-standard" else f"{knobs.pitch_st:+g}st"
    if knobs.range_x != 1:
        found["range"] = f"{100 * (knobs.range_x - 1):+.4g}%"
    if knobs.rate_x != 1:
        relative = f"{100 * (knobs.rate_x - 1):+.4g}%"
        found["rate"] = relative if dialect == "azure" else f"{100 * knobs.rate_x:.4g}%"
    if knobs.level_db:
        amplitude = f"{100 * 10 ** (knobs.level_db / 20):.4g}"
        found["volume"] = amplitude if dialect == "azure" else f"{knobs.level_db:+g}dB"
    return found


@dataclass
class SSML:
    """A voice behind a function of yours that turns SSML into sound.

    `speak` gives an `Audio`, or bytes: of a wav, flac, ogg or mp3 file, or else 16-bit samples at `rate_hz`.
    Another rate is resampled to `rate_hz`. `voice` and `language` go into the SSML. That the same text gives the
    same samples is up to `speak`, and so is being called from several threads.
    """

    speak: Speak
    dialect: Dialect = "generic"
    name: str = ""
    rate_hz: int = 24_000
    voice: str = ""
    language: str = "en-US"
    capability: Capability = field(init=False)

    def __post_init__(self) -> None:
        self.capability = capability(self.dialect)
        self.name = self.name or f"ssml:{self.dialect}" + (f":{self.voice}" if self.voice else "")

    def synthesise(self, text: str, knobs: Knobs = Knobs()) -> Rendition:
        marked, applied = ssml(text, knobs, self.dialect, self.voice, self.language)
        audio = _spoken(self.speak, marked, self) if speakable(text) else Audio.empty(self.rate_hz)
        return Rendition(audio, text, applied=applied)


@dataclass
class Passthrough:
    """A voice behind a function of yours that takes plain text; see `SSML` for what it may give. It has no knobs, so
    all of the prosody is made on the waveform."""

    speak: Speak
    name: str = "passthrough"
    rate_hz: int = 24_000
    capability: Capability = field(init=False, default=Capability())

    def synthesise(self, text: str, knobs: Knobs = Knobs()) -> Rendition:
        audio = _spoken(self.speak, text, self) if speakable(text) else Audio.empty(self.rate_hz)
        return Rendition(audio, text)


def _spoken(speak: Speak, said: str, tts: SSML | Passthrough) -> Audio:
    try:
        sound: Any = speak(said)  # its type is a promise, and checked below
    except Exception as error:  # whatever the provider's client raises
        raise TTSError(f"{tts.name} failed on {said[:60]!r}: {type(error).__name__}: {error}") from error
    try:
        if type(sound) in (bytes, bytearray, memoryview):
            sound = bytes(sound)
            is_file = sound.startswith(_FILES)
            sound = Audio.read(io.BytesIO(sound)) if is_file else Audio.from_pcm16(sound, tts.rate_hz)
    except AudioError as error:
        raise TTSError(f"{tts.name} gave bytes that are not sound: {error}") from error
    if not isinstance(sound, Audio):
        raise TTSError(
            f"{tts.name} gave {type(sound).__name__}; the function must give an entrain.audio.Audio, or the bytes of "
            f"a sound file, or 16-bit samples at {tts.rate_hz} Hz as bytes."
        )
    return sound.resample(tts.rate_hz)
