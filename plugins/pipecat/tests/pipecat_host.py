"""A host that is sent frames, as Pipecat's own tests do it; a voice of Pipecat's that notes what it is told; turns of a user."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
from loguru import logger
from pipecat.frames import frames as f
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.tests.utils import SleepFrame, run_test

from entrain import Audio, Entrainer
from entrain.aside import Aside
from entrain.conversation import Conversation
from entrain.levers import Lever
from entrain.strategy import Strategy
from pipecat_entrain import EntrainProcessor

logger.remove()
PLUGIN = Path(__file__).parents[1]
RATE_HZ = 16_000


class Spoken(OpenAITTSService):
    """OpenAI's, with its own settings, but for the request: it says a tone, and notes at which speed it was asked for what."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(api_key="none", **kwargs)
        self.asked: list[tuple[str, float | None]] = []
        self.updates: list[TTSSettings] = []

    async def _update_settings(self, delta: TTSSettings) -> dict[str, Any]:
        self.updates.append(delta)
        return await super()._update_settings(delta)

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[f.Frame | None, None]:
        self.asked.append((text.strip(), self.settings.speed))  # type: ignore[attr-defined]
        tone = 8_000 * np.sin(np.arange(24_000 // 4) * 2 * np.pi * 200 / 24_000)
        yield f.TTSAudioRawFrame(tone.astype("<i2").tobytes(), 24_000, 1, context_id=context_id)


@dataclass
class Host:
    """A pipeline of the plug-in and a voice, which is sent frames as a language model and a transport send them."""

    talk: Conversation
    make: Callable[[Aside], TTSService] | None = None
    before: Sequence[FrameProcessor] = ()
    levers: Sequence[Lever] | None = None
    down: Sequence[f.Frame] = ()
    aside: Aside = field(init=False)
    tts: Any = field(init=False)

    def __post_init__(self) -> None:
        self.aside = Aside(self.talk, settle_s=5.0)  # the machine may be busy
        self.tts = self.make(self.aside) if self.make else Spoken()

    def send(self, *frames: f.Frame | Sequence[f.Frame]) -> Host:
        flat = [one for some in frames for one in ([some] if isinstance(some, f.Frame) else some)]
        processor = EntrainProcessor(self.aside, self.tts, self.levers)
        params = PipelineParams(enable_metrics=True)
        test = run_test(
            Pipeline([*self.before, processor, self.tts]),
            frames_to_send=flat,
            pipeline_params=params,
            start_timeout=20,
        )
        self.down, _ = asyncio.run(test)
        return self

    def sent(self, kind: type[Any]) -> list[Any]:
        return [frame for frame in self.down if isinstance(frame, kind)]


def another(usual: Entrainer, strategy: Strategy) -> Entrainer:
    """With another strategy; voice and worker are shared."""
    return Entrainer(usual.tts, usual.voice, strategy, worker=usual.worker)


def reply(text: str) -> list[f.Frame]:
    """As a language model sends it."""
    words = [f.LLMTextFrame(f"{word} ") for word in text.split()]
    return [f.LLMFullResponseStartFrame(), *words, f.LLMFullResponseEndFrame(), pause()]


def pause(seconds: float = 0.2) -> f.Frame:
    return SleepFrame(sleep=seconds)


def sound(audio: Audio, chunk: int = 320) -> list[f.Frame]:
    pcm = (audio.samples * 32_767).astype("<i2")
    return [
        f.InputAudioRawFrame(pcm[i : i + chunk].tobytes(), audio.rate_hz, 1)
        for i in range(0, len(pcm), chunk)
    ]


def turn(audio: Audio, text: str = "When do you open today?") -> list[f.Frame]:
    """As Pipecat 1.14 tells of a user's turn, in the order that was observed."""
    return [
        f.VADUserStartedSpeakingFrame(), f.UserStartedSpeakingFrame(), *sound(audio), f.VADUserStoppedSpeakingFrame(),
        pause(), f.TranscriptionFrame(text, "user", "now"), pause(), f.UserStoppedSpeakingFrame(), pause(),
    ]  # fmt: skip


def example() -> Any:
    """The module, whatever other plug-ins call theirs."""
    if "pipecat_example" not in sys.modules:
        spec = spec_from_file_location("pipecat_example", PLUGIN / "example.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules["pipecat_example"] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules["pipecat_example"])
    return sys.modules["pipecat_example"]
