"""The first sentence of a live reply: moved by the voice's own knobs, so that nobody waits for entrainment.

The closed loop of `conditioning` measures, moves and measures again: 35 ms for a sentence of two seconds. While a sentence is
playing there is time for that; before the first there is none. A voice whose network gives its F0 away says the sentence at the
asked pitch and range at once (hibari within ±2 semitones), gain is free, and only time must be stretched: at most half a second of it before the sound begins, 2 ms.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np

from entrain.audio import Audio
from entrain.conditioning import DEAD_RATE, Ask, Voicing, limit, signalsmith
from entrain.targets import Targets
from entrain.tts import TTS, Knobs, Rendition, ThinksFirst

HEAD_S = (0.3, 0.5)  # where the first part may end: at the quietest place between
SHORT_ST, SHORT_RANGE = 1.0, 0.1  # a first sentence may fall so far short of its targets, rather than be late
QUIET_S = 0.02
LEAD_DB = -50.0  # softer is silence
ANY = Voicing(0, 0, 0)  # the stretching does not look at the pitch


class Thought:
    """A reply's first sentence, made as far as it can be before its targets are known: on a thread of its own, which begins at once."""

    def __init__(self, tts: TTS, sentence: str) -> None:
        self.tts, self.sentence = tts, sentence
        thinker = ThreadPoolExecutor(1, "thought")
        self._made: Future[Any] = thinker.submit(self._make)
        thinker.shutdown(wait=False)

    def _make(self) -> Any:
        return (self.tts.think if isinstance(self.tts, ThinksFirst) else self.tts.synthesise)(self.sentence)

    def said(self, knobs: Knobs = Knobs()) -> Rendition:
        """The sentence; with `knobs` only by a voice that `ThinksFirst`. Raises `TTSError`."""
        made = self._made.result()
        if isinstance(self.tts, ThinksFirst):
            return Rendition(self.tts.sound(made, knobs), self.sentence, applied=knobs)
        return made


def can_be_swift(tts: TTS, targets: Targets) -> bool:
    """Can this voice have these targets without being measured? It must move its own pitch, nearly as far as is asked."""
    pitch, spread = tts.capability.pitch_st, tts.capability.range_x
    if not isinstance(tts, ThinksFirst) or pitch is None or spread is None:
        return False
    f0_st, range_x, rate_x, _ = targets.done
    near = abs(f0_st - pitch.clamp(f0_st)) <= SHORT_ST and abs(range_x - spread.clamp(range_x)) <= SHORT_RANGE
    stretches = abs(rate_x - 1) > DEAD_RATE
    return targets.neutral or (
        targets.anchor == "sentence" and near and not (stretches and find_spec("python_stretch") is None)
    )


def say_swiftly(thought: Thought, targets: Targets) -> Iterator[Audio]:
    """The sentence with its targets, in one or two parts, of which the second is made when it is asked for. It begins at once, without the
    silence that voices begin with. Only where `can_be_swift`. Raises `TTSError`."""
    f0_st, range_x, rate_x, level_db = targets.done
    knobs = thought.tts.capability.clamp(Knobs(pitch_st=f0_st, range_x=range_x))
    audio = without_lead(thought.said(knobs)).audio
    if level_db:
        audio = limit(audio.gain(level_db))
    if abs(rate_x - 1) <= DEAD_RATE:
        yield audio
        return
    at_s = quietest(audio, *HEAD_S)
    for part in (audio.part(0, at_s), _from(audio, at_s)):
        if len(part.samples):
            yield signalsmith(part, Ask(duration_x=1 / rate_x), ANY)


def shortfall(tts: TTS, targets: Targets) -> tuple[str, ...]:
    """What the voice's own span does not give of the targets, in words."""
    f0_st, range_x, _, _ = targets.done
    given = tts.capability.clamp(Knobs(pitch_st=f0_st, range_x=range_x))
    asked = (("pitch, st", f0_st, given.pitch_st), ("pitch range, factor", range_x, given.range_x))
    return tuple(
        f"{what}: asked {ask:.2f}, given {got:.2f} in the first sentence"
        for what, ask, got in asked
        if ask != got
    )


def lead_s(audio: Audio) -> float:
    """The silence that a voice begins a sentence with, less 20 ms (hibari: .25 s)."""
    sounds = np.flatnonzero(np.abs(audio.samples) > 10 ** (LEAD_DB / 20))
    return max(0.0, sounds[0] / audio.rate_hz - QUIET_S) if len(sounds) else 0.0


def without_lead(rendition: Rendition) -> Rendition:
    """The rendition from its first sound on."""
    silent_s = lead_s(rendition.audio)
    words = tuple(
        word.model_copy(update={"start_s": word.start_s - silent_s, "end_s": word.end_s - silent_s})
        for word in rendition.words
        if word.start_s is not None and word.end_s is not None
    )
    return replace(rendition, audio=_from(rendition.audio, silent_s), words=words)


def _from(audio: Audio, start_s: float) -> Audio:
    return audio.part(start_s, audio.duration_s)


def quietest(audio: Audio, start_s: float, end_s: float) -> float:
    """Where a cut is heard least: the middle of the 20 ms with the least energy between the two times."""
    n = round(QUIET_S * audio.rate_hz)
    between = audio.part(start_s, end_s).samples
    if len(between) < n:
        return audio.duration_s
    power = np.convolve(np.square(between), np.ones(n), mode="valid")
    return start_s + (int(power.argmin()) + n / 2) / audio.rate_hz
