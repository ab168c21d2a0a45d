"""espeak-ng in process: a hundred languages, word times, four knobs of its own, 5 ms for a sentence."""

from __future__ import annotations

import ctypes
import difflib
import itertools
import math
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from entrain.audio import Audio
from entrain.optional import require
from entrain.tts import Capability, Knobs, Rendition, Span, TTSError, speakable
from entrain.turn import Word

# espeak's parameters, by their number in its API, and its own default for each
RATE, VOLUME, PITCH, RANGE = 1, 2, 3, 4
SYNCHRONOUS, PHONEME_EVENTS, DONT_EXIT, UTF8 = 2, 0x0001, 0x8000, 1
EVENT_END_OF_LIST, EVENT_WORD, EVENT_PHONEME = 0, 1, 7

RATE_WPM = 175
# Speech comes out near −24 dB and +4 dB still fits: espeak's own 100 is 4.4 dB louder and clips from 150.
VOLUME_NOMINAL = 60
# The parameters that give a pitch shift (semitones) and a range factor, measured on 4 sentences of 5 voices.
# PITCH moves espeak's base frequency only, so RANGE must grow with the frequency ratio to keep the range.
PITCH_ST = (-8.0, -6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0, 8.0, 9.65)
PITCH_SETTING = (3.2, 16.3, 27.6, 39.2, 50.0, 60.5, 70.7, 80.4, 90.3, 99.0)
RANGE_X = (0.43, 0.53, 0.62, 0.81, 1.0, 1.17, 1.32, 1.46, 1.61, 1.67)
RANGE_SETTING = (20.0, 25.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 99.0)
RANGE_RAISES_ST = 0.0375  # the mean pitch rises by this for each step of RANGE, and is taken back
PITCH_RAISES_DB = 0.23  # the level rises by this for each semitone, and is taken back

_LOCK = threading.Lock()  # held while the library is loaded: its state is global


class Espeak:
    """espeak-ng through the PyPI package espeakng-loader, 22,050 Hz. `voice` is a language as in "en-us",
    or one with a variant as in "en-us+f3".

    Measured on five voices against what is asked: pitch within .4 st (.8 with the range at its ends), range
    within 10 %, rate within 5 %, level within .5 dB. Range and pitch share a limit, so at +6 st the range
    goes to ×1.3 at most: `applied` says what it was.
    """

    rate_hz = 22_050
    capability = Capability(
        pitch_st=Span(-6, 8, "calibrated"),
        range_x=Span(0.5, 1.5, "calibrated"),
        rate_x=Span(0.6, 1.6, "calibrated"),
        level_db=Span(-6, 4, "calibrated"),
    )

    def __init__(self, voice: str = "en-us") -> None:
        self.voice = voice
        self.name = f"espeak:{voice}"
        with _LOCK, _library() as library:
            self._identifier = _identifier(library, voice)

    def synthesise(self, text: str, knobs: Knobs = Knobs()) -> Rendition:
        settings, applied = _settings(knobs, self.capability)
        spoken = speakable(text)
        if not spoken:
            return Rendition(Audio.empty(self.rate_hz), text, applied=applied)
        pcm, events = bytearray(), list[tuple[int, int, int, str]]()
        with _LOCK, _library() as library:
            collect = _CALLBACK(_collector(pcm, events))  # kept in a name: the library holds no reference
            library.espeak_SetSynthCallback(collect)
            status = library.espeak_SetVoiceByName(self._identifier.encode())
            for parameter, value in settings.items():
                status = status or library.espeak_SetParameter(parameter, value, 0)
            encoded = spoken.encode()
            status = status or library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, UTF8, None, None)
        if status:
            raise TTSError(f"{self.name} could not say {text[:60]!r}: espeak-ng gave status {status}.")
        audio = Audio.from_pcm16(bytes(pcm), self.rate_hz)
        return Rendition(audio, text, _words(spoken, events, audio), applied)


def _settings(knobs: Knobs, can: Capability) -> tuple[dict[int, int], Knobs]:
    """espeak's parameters for `knobs`, and the knobs that those parameters amount to."""
    allowed = can.clamp(knobs)
    ratio = 2 ** (allowed.pitch_st / 12)
    spread = min(99, round(float(np.interp(allowed.range_x, RANGE_X, RANGE_SETTING)) * ratio))
    if spread == 99:
        allowed = replace(allowed, range_x=float(np.interp(spread / ratio, RANGE_SETTING, RANGE_X)))
    aim_st = allowed.pitch_st - RANGE_RAISES_ST * (spread / ratio - 50)
    amplitude = round(
        0.55 * VOLUME_NOMINAL * 10 ** ((allowed.level_db - PITCH_RAISES_DB * allowed.pitch_st) / 20)
    )
    settings = {
        RATE: round(RATE_WPM * allowed.rate_x),
        VOLUME: math.ceil(amplitude / 0.55),  # espeak takes .55 of it, cut to a whole number
        PITCH: round(float(np.interp(aim_st, PITCH_ST, PITCH_SETTING))),
        RANGE: spread,
    }
    return settings, allowed


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # characters, from 1
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),  # a phoneme's name
    ]


class _Voice(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),  # a priority byte, then the first language
        ("identifier", ctypes.c_char_p),  # its file, as in "gmw/en-US"
        ("gender_age_variant", ctypes.c_ubyte * 4),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


def _collector(pcm: bytearray, events: list[tuple[int, int, int, str]]) -> Callable[[Any, int, Any], int]:
    """A function for espeak to call with each piece of sound: it appends to `pcm` and to `events`, which are
    (type, position in the text from 0, sample, phoneme)."""

    def collect(samples: Any, n_samples: int, event: Any) -> int:
        if samples and n_samples > 0:
            pcm.extend(ctypes.string_at(samples, 2 * n_samples))
        while event[0].type != EVENT_END_OF_LIST:
            it = event[0]
            name = it.id.decode(errors="replace") if it.type == EVENT_PHONEME else ""
            events.append((it.type, it.text_position - 1, it.sample, name))
            event = ctypes.pointer(event[1])
        return 0  # go on

    return collect


def _words(spoken: str, events: list[tuple[int, int, int, str]], audio: Audio) -> tuple[Word, ...]:
    """The words between spaces, each from its first sound to the end of its last. espeak reports "1234" as
    five words and "don't" as "don": all that lies in one written word is one here."""
    tokens = [(match.start(), match.end()) for match in re.finditer(r"\S+", spoken)]
    heard = dict[int, tuple[int, int]]()  # token → its first and last sample
    now: int | None = None
    ends = [sample for _, _, sample, _ in events[1:]] + [len(audio.samples)]
    for (kind, position, sample, phoneme), end in zip(events, ends, strict=True):
        if kind == EVENT_WORD:
            now = next((i for i, (first, last) in enumerate(tokens) if first <= position < last), now)
        elif kind == EVENT_PHONEME and not phoneme.startswith("_") and now is not None:  # "_:" is a pause
            heard[now] = (heard[now][0] if now in heard else sample, end)
    seconds = {i: (first / audio.rate_hz, last / audio.rate_hz) for i, (first, last) in sorted(heard.items())}
    written = {i: spoken[slice(*tokens[i])] for i in seconds}
    return tuple(
        Word(text=written[i].strip(".,;:!?…\"'()[]“”‘’") or written[i], start_s=start_s, end_s=end_s)
        for i, (start_s, end_s) in seconds.items()
    )


@contextmanager
def _library() -> Generator[Any]:
    """espeak-ng newly loaded, and unloaded after. Its phase of flutter and its noise run on from call to
    call, so a library that stays loaded says a text differently each time; loading it afresh costs .6 ms."""
    library = ctypes.CDLL(str(_private_copy()))
    try:
        data = _loader().get_data_path()
        rate_hz = library.espeak_Initialize(SYNCHRONOUS, 0, data.encode(), PHONEME_EVENTS | DONT_EXIT)
        if rate_hz != Espeak.rate_hz:
            raise TTSError(
                f"espeak-ng can't read its data in {data} (a path above 150 characters is too long for it). "
                "Install it again with: pip install --force-reinstall espeakng-loader"
            )
        library.espeak_ng_SetRandSeed(0)  # else the clock's second is the seed of breathy voices' noise
        yield library
        library.espeak_Terminate()
    finally:
        _unload(library)


def _unload(library: Any) -> None:
    import _ctypes  # ctypes itself never unloads

    free = _ctypes.FreeLibrary if sys.platform == "win32" else _ctypes.dlclose
    free(library._handle)


def _loader() -> Any:
    return require("espeakng_loader", "pip install 'entrain[espeak]'", TTSError)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="entrain-espeak-", ignore_cleanup_errors=True)


def _private_copy() -> Path:
    """The library as a file of our own: a package that has the wheel's file open keeps it from unloading."""
    original = Path(_loader().get_library_path())
    copy = Path(_folder().name) / original.name
    if not copy.exists():  # the first call; or a forked process that ended has removed it
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(original, copy)
    return copy


def _identifier(library: Any, voice: str) -> str:
    """espeak's name for `voice`: "gmw/en-US" for "en-us". espeak itself refuses "en-gb", which it lists, and
    takes a variant that doesn't exist, which it ignores."""
    library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
    listed = itertools.takewhile(bool, (library.espeak_ListVoices(None)[i] for i in itertools.count()))
    languages = {it[0].languages[1:].decode().lower(): it[0].identifier.decode() for it in listed}  # "fr-fr"
    languages |= {name.rpartition("/")[2].lower(): name for name in languages.values()}  # "fr"
    variants = [path.name for path in Path(_loader().get_data_path(), "voices", "!v").iterdir()]
    language, plus, variant = voice.partition("+")
    if language.lower() not in languages:
        near = difflib.get_close_matches(language.lower(), languages, n=5, cutoff=0.3)
        raise TTSError(
            f"espeak-ng has no language {language!r}. Near it: {', '.join(near) or 'nothing'}. "
            f"Select one of {', '.join(sorted(languages))}."
        )
    if plus and variant not in variants:
        raise TTSError(f"espeak-ng has no variant {variant!r}. Select one of {', '.join(sorted(variants))}.")
    return languages[language.lower()] + plus + variant
