"""The first sentence of a live reply: moved by the voice's own knobs, so that nobody waits for entrainment.

The closed loop of `conditioning` measures, moves and measures again: 35 ms for a sentence of two seconds. While a sentence is
playing there is time for that; before the first there is none. A voice whose network gives its F0 away says the sentence at the
asked pitch and range at once, gain is free, and only time must be stretched: at most .8 s of it before the sound begins, 3 ms.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np

from entrain.audio import Audio
from entrain.conditioning import DEAD_RATE, Ask, Voicing, limit, signalsmith
from entrain.targets import Targets
from entrain.tts import TTS, Knobs, SaysBoth

HEAD_S = (0.4, 0.8)  # where the first part may end: at the quietest place between
QUIET_S = 0.02
ANY = Voicing(0, 0, 0)  # the stretching does not look at the pitch


def can_be_swift(tts: TTS, targets: Targets) -> bool:
    """Can this voice have these targets without being measured? It must move its own pitch, as far as is asked."""
    pitch, spread = tts.capability.pitch_st, tts.capability.range_x
    if targets.neutral:
        return True
    if targets.anchor != "sentence" or not isinstance(tts, SaysBoth) or pitch is None or spread is None:
        return False
    f0_st, range_x, rate_x, _ = targets.done
    within = pitch.low <= f0_st <= pitch.high and spread.low <= range_x <= spread.high
    return within and (abs(rate_x - 1) <= DEAD_RATE or find_spec("python_stretch") is not None)


def say_swiftly(tts: TTS, text: str, targets: Targets) -> tuple[Audio, Iterator[Audio]]:
    """How the voice says the sentence when left alone; and with its targets, in one or two parts, of which the second is made when it
    is asked for. Only where `can_be_swift`. Raises `TTSError`."""
    if targets.neutral or not isinstance(tts, SaysBoth):
        usual = tts.synthesise(text).audio
        return usual, iter([usual])
    f0_st, range_x, rate_x, level_db = targets.done
    left_alone, moved = (made.audio for made in tts.both(text, Knobs(pitch_st=f0_st, range_x=range_x)))
    drift_db = (moved.level_db or 0.0) - (left_alone.level_db or 0.0)
    return left_alone, _stretched(limit(moved.gain(level_db - drift_db)), rate_x)


def _stretched(audio: Audio, rate_x: float) -> Iterator[Audio]:
    if abs(rate_x - 1) <= DEAD_RATE:
        yield audio
        return
    at_s = quietest(audio, *HEAD_S)
    for part in (audio.part(0, at_s), audio.part(at_s, audio.duration_s)):
        if len(part.samples):
            yield signalsmith(part, Ask(duration_x=1 / rate_x), ANY)


def quietest(audio: Audio, start_s: float, end_s: float) -> float:
    """Where a cut is heard least: the middle of the 20 ms with the least energy between the two times."""
    n = round(QUIET_S * audio.rate_hz)
    between = audio.part(start_s, end_s).samples
    if len(between) < n:
        return audio.duration_s
    power = np.convolve(np.square(between), np.ones(n), mode="valid")
    return start_s + (int(power.argmin()) + n / 2) / audio.rate_hz
