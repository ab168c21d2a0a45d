"""Voices that can be given the whole of a reply's targets: the `Entrainer`'s own, and any of Pipecat's whose sound passes through `run_tts`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
from pipecat.frames.frames import AudioRawFrame, Frame, TTSAudioRawFrame
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService

from entrain import Audio, Targets
from entrain.aside import Aside


def mono(frame: AudioRawFrame) -> bytes:
    """Its 16-bit samples; channels are averaged."""
    n = frame.num_channels
    if n == 1:
        return frame.audio
    whole = frame.audio[: len(frame.audio) // (2 * n) * 2 * n]
    return np.frombuffer(whole, "<i2").reshape(-1, n).mean(1).astype("<i2").tobytes()


class TakesTargets(TTSService):
    """A TTS service that `EntrainProcessor` gives the targets themselves, with `targets` among the extras of a settings update."""

    def __init__(self, aside: Aside, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.aside = aside
        self.targets: Targets = aside.neutral

    async def _update_settings(self, delta: TTSSettings) -> dict[str, Any]:
        self.targets = delta.extra.pop("targets", self.targets)
        return await super()._update_settings(delta)

    def _frame(self, audio: Audio, context_id: str) -> TTSAudioRawFrame:
        pcm = np.round(np.clip(audio.samples, -1, 1) * 32_767).astype("<i2").tobytes()
        return TTSAudioRawFrame(pcm, audio.rate_hz, 1, context_id=context_id)


class EntrainTTSService(TakesTargets):
    """The voice of the `Entrainer`, offline: hibari, espeak, Piper, Kokoro, Coqui, or one of your own."""

    def __init__(self, aside: Aside, **kwargs: Any) -> None:
        tts = aside.talk.entrainer.tts
        settings = TTSSettings(model=tts.name, voice=tts.name, language=None)
        super().__init__(
            aside, push_start_frame=True, push_stop_frames=True, settings=settings, sample_rate=tts.rate_hz, **kwargs
        )  # fmt: skip
        self._begun = ""

    def can_generate_metrics(self) -> bool:
        return True

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        await self.start_tts_usage_metrics(text)
        first, self._begun = self._begun != context_id, context_id
        async for audio in self.aside.say(text, self.targets, first):
            await self.stop_ttfb_metrics()
            yield self._frame(audio, context_id)


class Conditioned(TakesTargets):
    """Before a service of Pipecat's among the bases: `class Voice(Conditioned, PiperTTSService): pass`. Each sentence is moved to the targets on
    its waveform once all of it is there. Only where `run_tts` itself gives the sound: voices that run here, and those over HTTP."""

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        pcm, rate_hz, neutral = bytearray(), 0, self.targets.neutral
        async for frame in super().run_tts(text, context_id):  # pyright: ignore[reportAbstractUsage]  of the class after it
            if isinstance(frame, TTSAudioRawFrame) and not neutral:
                pcm += mono(frame)
                rate_hz = frame.sample_rate
            else:
                yield frame
        if pcm:
            audio = await self.aside.condition(
                Audio.from_pcm16(pcm[: len(pcm) // 2 * 2], rate_hz), text, self.targets
            )
            yield self._frame(audio, context_id)
        elif not neutral:
            self.aside.note("the voice's sound did not come from run_tts: it is as it was")
