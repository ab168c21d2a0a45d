"""Where the turns lie in a recording of one speaker: stretches of speech parted by pauses."""

from __future__ import annotations

import numpy as np

from entrain.audio import Audio
from entrain.prosody import STEP_S, speech_mask

MIN_TURN_S = 0.3  # shorter is a breath or a click; "mm-hm" takes .4 s
SILENCE_POWER = 1e-12  # −120 dB re full scale


def find_turns(audio: Audio, pause_s: float = 0.7) -> list[tuple[float, float]]:
    """Start and end in seconds of each stretch whose inner pauses are shorter than `pause_s`.

    By energy (within 25 dB of the loudest), so for clean recordings of one person.
    """
    n_step = round(STEP_S * audio.rate_hz)
    n_frames = len(audio.samples) // n_step
    if not n_frames:
        return []
    samples = audio.samples - audio.samples.mean(dtype=np.float64)  # a DC offset is no sound
    power = np.square(samples[: n_frames * n_step]).reshape(n_frames, n_step).mean(axis=1)
    smooth = np.convolve(power, np.hanning(9)[1:-1] / 4, mode="same")  # about Praat's 64 ms window
    if smooth.max() < SILENCE_POWER:
        return []
    active = speech_mask(10 * np.log10(smooth + SILENCE_POWER))
    edges = np.flatnonzero(np.diff(np.concatenate(([0], active.astype(np.int8), [0]))))
    turns: list[tuple[float, float]] = []
    step_s = n_step / audio.rate_hz  # not quite STEP_S at 22,050 Hz, where that would be off by .2 %
    for start, end in zip(edges[::2] * step_s, edges[1::2] * step_s, strict=True):
        if turns and start - turns[-1][1] < pause_s:
            turns[-1] = (turns[-1][0], float(end))
        else:
            turns.append((float(start), float(end)))
    return [(start_s, end_s) for start_s, end_s in turns if end_s - start_s >= MIN_TURN_S]
