"""Frames of LiveKit's, as our audio, and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import numpy as np
from livekit.agents.types import USERDATA_TTS_STARTED_TIME

from entrain import Audio
from livekit import rtc

from .voice import pcm16

FRAME_S = 0.1
# Speech whose text nobody knows yet is cut where it is quiet, or after so long:
LEAST_S, MOST_S, QUIET_S, QUIET_DB = 1.0, 3.0, 0.1, -45.0


def mono(frame: rtc.AudioFrame) -> bytes:
    """16-bit; channels are averaged."""
    if frame.num_channels == 1:
        return bytes(frame.data)
    samples = np.frombuffer(frame.data, "<i2").reshape(-1, frame.num_channels)
    return samples.mean(axis=1).astype("<i2").tobytes()


def audio_of(frames: Sequence[rtc.AudioFrame]) -> Audio:
    """Raises `AudioError` where they are none, or of several rates."""
    rate_hz = frames[0].sample_rate if frames else 0
    if any(frame.sample_rate != rate_hz for frame in frames):
        raise ValueError(f"a sentence of several rates, the first {rate_hz} Hz; one is needed")
    return Audio.from_pcm16(b"".join(mono(frame) for frame in frames), rate_hz)


def frames_of(audio: Audio, first: rtc.AudioFrame) -> list[rtc.AudioFrame]:
    """`first` of what it was made from: when the service was asked is known from it. Times of words are not: they have moved."""
    pcm, n = pcm16(audio), round(FRAME_S * audio.rate_hz) * 2
    parts = [pcm[start : start + n] for start in range(0, len(pcm), n)]
    frames = [rtc.AudioFrame(part, audio.rate_hz, 1, len(part) // 2) for part in parts]
    if frames and USERDATA_TTS_STARTED_TIME in first.userdata:
        frames[0].userdata[USERDATA_TTS_STARTED_TIME] = first.userdata[USERDATA_TTS_STARTED_TIME]
    return frames


def louder(frame: rtc.AudioFrame, gain_db: float) -> rtc.AudioFrame:
    """The same frame, its texts and times too."""
    samples = np.frombuffer(frame.data, "<i2") * 10 ** (gain_db / 20)
    data = np.clip(samples, -32768, 32767).astype("<i2").tobytes()
    made = rtc.AudioFrame(data, frame.sample_rate, frame.num_channels, frame.samples_per_channel)
    made.userdata.update(frame.userdata)
    return made


async def phrases(frames: AsyncIterator[rtc.AudioFrame]) -> AsyncIterator[list[rtc.AudioFrame]]:
    """Frames, gathered to what can be moved by itself."""
    held: list[rtc.AudioFrame] = []
    long_s = quiet_s = 0.0
    async for frame in frames:
        held.append(frame)
        long_s += frame.duration
        quiet_s = quiet_s + frame.duration if level_db(frame) < QUIET_DB else 0.0
        if long_s >= MOST_S or (long_s >= LEAST_S and quiet_s >= QUIET_S):
            yield held
            held, long_s, quiet_s = [], 0.0, 0.0
    if held:
        yield held


def level_db(frame: rtc.AudioFrame) -> float:
    samples = np.frombuffer(frame.data, "<i2") / 32768
    return 10 * float(np.log10(np.mean(np.square(samples)) + 1e-12)) if len(samples) else -120.0
