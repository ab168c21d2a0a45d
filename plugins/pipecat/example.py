"""A whole Pipecat agent, offline: Silero, Moonshine, a scripted language model and hibari, twice: to a slow, low user and to a
quick, high one. With `entrain` between, the same words are said otherwise.

    python example.py            # real time, a minute; writes slow-and-low.wav and quick-and-high.wav
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames import frames as f
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings, STTSettings
from pipecat.services.stt_service import SegmentedSTTService
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.utils.time import time_now_iso8601
from pipecat.workers.runner import WorkerRunner

from entrain import Audio, Entrainer, Targets
from entrain.aside import Aside
from entrain.asr import Moonshine, Recogniser
from entrain.conditioning import condition
from entrain.prosody import extract
from pipecat_entrain import EntrainProcessor, EntrainTTSService

RATE_HZ, CHUNK_S = 16_000, 0.02
USER = ("When do you open today?", "And are you open on Sunday as well?", "Thank you very much indeed.")
REPLIES = (
    "We open at nine today. You can come by at any time until five.",
    "Yes, from ten until four. The side door is the one that is open.",
    "You are very welcome. I hope to see you soon.",
)  # fmt: skip


class Microphone(BaseInputTransport):
    """Gives what it is told to, at its pace, and near silence between."""

    def __init__(self, pace: float) -> None:
        super().__init__(TransportParams(audio_in_enabled=True, audio_in_sample_rate=RATE_HZ))
        self._pace, self._task = pace, None
        self._samples = np.zeros(0, np.float32)
        self._room = np.random.default_rng(0)
        self.spoken = asyncio.Event()

    def say(self, audio: Audio) -> None:
        self.spoken.clear()
        self._samples = audio.resample(RATE_HZ).samples

    async def start(self, frame: f.StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)
        self._task = self.create_task(self._run())

    async def _run(self) -> None:
        n, due_s = round(CHUNK_S * RATE_HZ), time.monotonic()
        while True:
            chunk = self._room.normal(0, 1e-4, n).astype(np.float32)
            chunk[: len(self._samples)] += self._samples[:n]
            self._samples = self._samples[n:]
            await self.push_audio_frame(
                f.InputAudioRawFrame((chunk * 32_767).astype("<i2").tobytes(), RATE_HZ, 1)
            )
            if not len(self._samples):
                self.spoken.set()
            due_s += CHUNK_S / self._pace
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    async def cleanup(self) -> None:
        if self._task:
            await self.cancel_task(self._task)
            self._task = None
        await super().cleanup()


class Loudspeaker(BaseOutputTransport):
    """Plays at its pace, and keeps what it has played."""

    def __init__(self, pace: float) -> None:
        super().__init__(TransportParams(audio_out_enabled=True, audio_out_end_silence_secs=0))
        self._pace, self._due_s = pace, 0.0
        self.played: list[tuple[float, Audio]] = []
        """When it began, and the sound."""
        self.speaks, self.over = asyncio.Event(), asyncio.Event()

    async def start(self, frame: f.StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: f.OutputAudioRawFrame) -> bool:
        audio = Audio.from_pcm16(frame.audio, frame.sample_rate)
        self.played.append((time.monotonic(), audio))
        self._due_s = max(self._due_s, time.monotonic()) + audio.duration_s / self._pace
        await asyncio.sleep(max(0.0, self._due_s - time.monotonic()))
        return True

    async def push_frame(self, frame: f.Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        if isinstance(frame, f.BotStartedSpeakingFrame):
            self.speaks.set()
        elif isinstance(frame, f.LLMFullResponseEndFrame):
            self.over.set()
        await super().push_frame(frame, direction)

    def sound(self) -> Audio:
        rate_hz = self.played[0][1].rate_hz if self.played else 24_000
        return Audio(
            np.concatenate([np.zeros(0, np.float32), *(audio.samples for _, audio in self.played)]), rate_hz
        )


class Ears(SegmentedSTTService):
    """One of entrain's recognisers as Pipecat's STT."""

    def __init__(self, recogniser: Recogniser) -> None:
        super().__init__(
            sample_rate=RATE_HZ,
            settings=STTSettings(model=recogniser.name, language=None),
            ttfs_p99_latency=0.5,
        )
        self._recogniser = recogniser

    @property
    def wants_wav_segments(self) -> bool:
        return False

    async def run_stt(self, audio: bytes) -> AsyncGenerator[f.Frame | None, None]:
        said = await asyncio.to_thread(self._recogniser.transcribe, Audio.from_pcm16(audio, RATE_HZ))
        if said.text:
            yield f.TranscriptionFrame(said.text, "user", time_now_iso8601())


class Script(LLMService):
    """The next line for each turn, word by word, as a language model would send them."""

    def __init__(self, lines: Sequence[str], first_s: float = 0.15, word_s: float = 0.02) -> None:
        nothing = dict.fromkeys(
            ("system_instruction", "temperature", "max_tokens", "top_p", "top_k", "frequency_penalty", "presence_penalty",
             "seed", "filter_incomplete_user_turns", "user_turn_completion_config")
        )  # fmt: skip
        super().__init__(settings=LLMSettings(model="script", **nothing))
        self._lines, self._first_s, self._word_s = iter(lines), first_s, word_s

    async def process_frame(self, frame: f.Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, f.LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(f.LLMFullResponseStartFrame())
        await asyncio.sleep(self._first_s)
        for word in next(self._lines, "Goodbye.").split():
            await self.push_frame(f.LLMTextFrame(f"{word} "))
            await asyncio.sleep(self._word_s)
        await self.push_frame(f.LLMFullResponseEndFrame())


class Call:
    """A pipeline and somebody who talks with it. `between`: what goes before the TTS; in a pipeline of yours, `EntrainProcessor` alone."""

    def __init__(
        self, tts: TTSService, replies: Sequence[str], between: Sequence[FrameProcessor] = (), pace: float = 1.0,
        recogniser: Recogniser | None = None, **llm: Any,
    ) -> None:  # fmt: skip
        self.microphone, self.loudspeaker = Microphone(pace), Loudspeaker(pace)
        stop = SpeechTimeoutUserTurnStopStrategy(
            user_speech_timeout=0.4
        )  # a synthetic voice is not what Smart Turn learnt from
        params = LLMUserAggregatorParams(
            vad_analyzer=SileroVADAnalyzer(), user_turn_strategies=UserTurnStrategies(stop=[stop])
        )
        hears, says = LLMContextAggregatorPair(LLMContext(), user_params=params)
        self.worker = PipelineWorker(
            Pipeline([
                self.microphone, Ears(recogniser or Moonshine()), hears, Script(replies, **llm), *between, tts, self.loudspeaker, says,
            ]),
            params=PipelineParams(enable_metrics=True, audio_in_sample_rate=RATE_HZ), cancel_on_idle_timeout=False, enable_rtvi=False,
        )  # fmt: skip

    async def __aenter__(self) -> Call:
        started = asyncio.Event()

        @self.worker.event_handler("on_pipeline_started")
        async def on_started(*_: object) -> None:
            started.set()

        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(self.worker)
        self._running = asyncio.create_task(runner.run())
        await started.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.worker.queue_frame(f.EndFrame())
        await self._running

    async def says(self, turn: Audio) -> float:
        """The user speaks; ends with their last sound, at that time."""
        self.microphone.say(turn)
        await self.microphone.spoken.wait()
        return time.monotonic()

    async def answered(self, turn: Audio, patience_s: float = 20.0) -> tuple[float, Audio]:
        """And the agent answers: how long after, in seconds, and what is heard."""
        n = len(self.loudspeaker.played)
        self.loudspeaker.over.clear()
        ended_s = await self.says(turn)
        await asyncio.wait_for(self.loudspeaker.over.wait(), patience_s)
        heard = [
            (at_s, audio) for at_s, audio in self.loudspeaker.played[n:] if np.abs(audio.samples).max() > 1e-3
        ]
        sound = np.concatenate([audio.samples for _, audio in heard])
        return heard[0][0] - ended_s, Audio(sound, heard[0][1].rate_hz)


def user_turns(agent: Entrainer, shift_st: float, rate_x: float) -> list[Audio]:
    """Somebody with another way of speaking, by the installed voice."""
    targets = Targets.shifted(agent.voice, shift_st, 1.0, rate_x)
    return [condition(agent.tts.synthesise(text), targets).audio for text in USER]


async def talk(agent: Entrainer, turns: Sequence[Audio], out: Path) -> None:
    aside = Aside(agent.conversation(register="high"))
    tts = EntrainTTSService(aside)
    async with Call(tts, REPLIES, [EntrainProcessor(aside, tts)]) as call:
        for text, turn in zip(REPLIES, turns, strict=True):
            waited_s, heard = await call.answered(turn)
            was, is_ = extract(turn), extract(heard, text)
            print(
                f"{out.stem}: user {was.f0_mean_st:.1f} st, {was.rate_syll_s:.1f} syll/s → agent {is_.f0_mean_st:.1f} st, "
                f"{is_.rate_syll_s:.1f} syll/s, after {waited_s:.2f} s"
            )
    call.loudspeaker.sound().write(out)


async def main() -> None:
    with Entrainer.load(recogniser=None) as agent:
        await talk(agent, user_turns(agent, -2.5, 0.82), Path("slow-and-low.wav"))
        await talk(agent, user_turns(agent, 2.5, 1.2), Path("quick-and-high.wav"))


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    asyncio.run(main())
