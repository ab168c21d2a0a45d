"""The Entrainer's own voice, as a TTS of LiveKit's."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np
from livekit.agents import APIConnectionError, tts, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions

from entrain import Audio, Entrainer
from entrain.aside import Aside
from entrain.targets import Targets


@dataclass
class Saying:
    """A reply that this voice says: how, and whether any of it was said."""

    aside: Aside
    targets: Targets
    begun: bool = False


SAYING: ContextVar[Saying | None] = ContextVar("saying", default=None)
"""Set by `EntrainAgent` around each reply: one TTS serves any number of sessions."""


class TTS(tts.TTS):
    """The voice of an `Entrainer`: with an `EntrainAgent`, every reply has its targets; elsewhere it is as the voice usually is."""

    def __init__(self, entrainer: Entrainer) -> None:
        self.entrainer = entrainer
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False),  # LiveKit gives it sentence by sentence
            sample_rate=entrainer.tts.rate_hz,
            num_channels=1,
        )

    @property
    def model(self) -> str:
        return self.entrainer.tts.name

    @property
    def provider(self) -> str:
        return "entrain"

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return Sentence(tts=self, input_text=text, conn_options=conn_options)


class Sentence(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        voice, saying, said = self._tts, SAYING.get(), False
        assert isinstance(voice, TTS)
        output_emitter.initialize(
            request_id=utils.shortuuid(), sample_rate=voice.sample_rate, num_channels=1, mime_type="audio/pcm"
        )
        if saying is not None:
            first, saying.begun = not saying.begun, True
            async for audio in saying.aside.say(self._input_text, saying.targets, first):
                output_emitter.push(pcm16(audio))
                said = True
        if not said:
            try:
                rendition = await asyncio.to_thread(voice.entrainer.tts.synthesise, self._input_text)
            except Exception as error:  # as LiveKit's retries and fallbacks expect it
                raise APIConnectionError(f"{voice.model} can't speak: {error}") from error
            output_emitter.push(pcm16(rendition.audio))
        output_emitter.flush()


def pcm16(audio: Audio) -> bytes:
    return (np.clip(audio.samples, -1, 1) * 32767).astype("<i2").tobytes()
