"""What goes into a pipeline: a processor that plans each reply before its first sentence is spoken, and its observer that hears the agent."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from loguru import logger
from pipecat.frames import frames as f
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor, FrameProcessorSetup
from pipecat.services.tts_service import TTSService
from pipecat.utils.string import SENTENCE_ENDING_PUNCTUATION
from pipecat.utils.text.simple_text_aggregator import SimpleTextAggregator

from entrain.aside import Aside, Reply
from entrain.conversation import Conversation
from entrain.levers import Knobs, Lever, knobs, setting
from entrain.targets import Targets
from pipecat_entrain.told import delta, levers_of, now
from pipecat_entrain.voices import TakesTargets, mono

NOT_SPOKEN = (f.TranscriptionFrame, f.InterimTranscriptionFrame, f.EagerTranscriptionFrame, f.TTSTextFrame)


class EntrainProcessor(FrameProcessor):
    """Between the language model and the TTS. A reply is held until its first sentence is whole, as the TTS would hold it too; then it is planned,
    the TTS is told, and all goes on. What fails is logged once, and that reply is as the voice usually is."""

    def __init__(
        self, talk: Conversation | Aside, tts: TTSService, levers: Sequence[Lever] | None = None, **kwargs: Any
    ) -> None:  # fmt: skip
        """`tts`: the service that speaks. `levers`: what to tell it, where that is not what `pipecat_entrain.told` knows of it; none: nothing."""
        super().__init__(**kwargs)
        self.aside = talk if isinstance(talk, Aside) else Aside(talk)
        self.waiting: deque[tuple[int | None, Reply]] = deque()
        """Planned, and not yet spoken: by the id of the frame that they begin with, if it was there."""
        self.said: list[str] = []
        """What the host's recogniser makes of the user's turn."""
        self._tts = tts
        settings: Any = tts.settings
        self._levers = levers_of(settings) if levers is None else tuple(levers)
        self._usual = {lever.name: now(settings, lever.name) for lever in self._levers}
        self._told: Any = setting(self._levers, Knobs(), self._usual).values
        self._turn = self._quiet = self._knows_turns = False
        self._observer = AgentObserver(self)
        self._begin(None)

    def can_generate_metrics(self) -> bool:
        return True

    async def setup(self, setup: FrameProcessorSetup) -> None:
        await super().setup(setup)
        setup.pipeline_worker.add_observer(self._observer)

    async def cleanup(self) -> None:
        await self.aside.close()
        await super().cleanup()

    async def process_frame(self, frame: f.Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction is FrameDirection.UPSTREAM:
            await self.push_frame(frame, direction)
        elif isinstance(frame, f.SystemFrame):
            self._hear(frame)
            await self.push_frame(frame, direction)
            if isinstance(frame, f.InterruptionFrame):
                self.waiting.clear()
                kept = [held for held in self._held if not held.interruptible]
                self._begin(None)
                for held in kept:
                    await self.push_frame(held)
        else:
            await self._speak(frame)

    # --- the user: system frames, for which nothing may wait ----------------------------------------------------------

    def _hear(self, frame: f.Frame) -> None:
        match frame:
            case f.InputAudioRawFrame():
                self.aside.user_audio(mono(frame), frame.sample_rate)
            case f.VADUserStartedSpeakingFrame():
                if not self._turn:
                    self.said.clear()  # of what was no turn
                self._turn, self._quiet = True, False
                self.aside.user_began()
            case f.UserStartedSpeakingFrame() if not self._turn:
                self._turn = True
                self.aside.user_began()
            case f.VADUserStoppedSpeakingFrame():
                self._quiet = True
                self.aside.user_paused()
            case f.UserStoppedSpeakingFrame():
                self._knows_turns = True
                self._user_ended()
            case _:
                pass

    def _user_ended(self) -> None:
        if self._turn or self.said:
            self.aside.user_ended(" ".join(self.said) or None)
        self.said.clear()
        self._turn = self._quiet = self._observer.speaks = False
        if self._key is None and not self._held:
            self._begin(None)  # of a host that tells of no ends

    # --- the agent ----------------------------------------------------------------------------------------------------

    def _begin(self, key: int | None) -> None:
        self._key, self._planned, self._text = key, False, ""
        self._early: dict[str, asyncio.Task[Reply]] = {}
        self._held: list[f.Frame] = []
        mode = getattr(self._tts, "_text_aggregation_mode", "sentence")
        self._sentences = SimpleTextAggregator(
            aggregation_type=mode, language=self._tts.text_aggregation_language
        )

    async def _speak(self, frame: f.Frame) -> None:
        if getattr(frame, "skip_tts", None):
            await self.push_frame(frame)
        elif isinstance(frame, f.LLMFullResponseStartFrame):
            await self._let_go()  # of a reply whose end never came
            self._begin(frame.id)
            self._held.append(frame)
        elif isinstance(frame, f.TTSSpeakFrame) and not isinstance(frame, f.BotBackchannelFrame):
            if not self._planned:
                self._planned = await self._let_go(frame.text) and self._key is not None
            await self.push_frame(frame)
        elif isinstance(frame, f.TextFrame) and not isinstance(frame, NOT_SPOKEN) and not self._planned:
            self._held.append(frame)
            self._text += frame.text
            if first := await self._first(frame):
                self._planned = await self._let_go(first)
            elif self._text.rstrip()[-1:] in SENTENCE_ENDING_PUNCTUATION:
                text = self._text.strip()  # perhaps the sentence's end: the next word will tell
                self._early[text] = self._prepare(text)
        elif isinstance(frame, (f.LLMFullResponseEndFrame, f.EndFrame, f.StopFrame)):
            await self._let_go()
            self._begin(None)
            await self.push_frame(frame)
        elif self._held:
            self._held.append(frame)  # in their order
        else:
            await self.push_frame(frame)

    async def _first(self, frame: f.TextFrame) -> str:
        """The reply's first sentence, once it is whole; where the TTS speaks word by word, the first word."""
        if isinstance(frame, f.AggregatedTextFrame):
            return frame.text
        async for sentence in self._sentences.aggregate(frame.text):
            return sentence.text
        return ""

    async def _let_go(self, first: str = "") -> bool:
        """Plan what is held, tell the TTS, and let it through. Was there anything to say?"""
        text = (first or self._text).strip()
        if text and not self._planned:
            await self.start_processing_metrics()
            reply = await (self._early.get(text) or self._prepare(text))
            self.waiting.append((self._key, reply))
            try:
                await self._tell(reply.targets or self.aside.neutral)
            except Exception as error:  # whatever a service's own settings raise: the words must go on
                self.aside.note(f"the voice could not be told: {error}")
                logger.warning(f"{self}: the voice could not be told: {type(error).__name__}: {error}")
            await self.stop_processing_metrics()
        while self._held:
            await self.push_frame(self._held.pop(0))
        return bool(text)

    def _prepare(self, text: str) -> asyncio.Task[Reply]:
        if self._quiet and (self.said or not self._knows_turns):
            self._user_ended()  # nobody said so
        return self.create_task(self.aside.prepare(text))

    async def _tell(self, targets: Targets) -> None:
        """What this service can be told, if it is another than before."""
        settings: Any = self._tts.settings
        if isinstance(self._tts, TakesTargets):
            told, update = targets, type(settings)(extra={"targets": targets})
        else:
            chosen = setting(self._levers, knobs(targets), self._usual)
            self.aside.note(*chosen.notes)
            told, update = chosen.values, delta(settings, chosen.values)
        if told == self._told:
            return
        if self._observer.speaks and not isinstance(
            self._tts, TakesTargets
        ):  # some connect anew, and lose the rest
            self.aside.note("not told: the voice was in the middle of another reply")
        else:
            await self.push_frame(f.TTSUpdateSettingsFrame(delta=update, service=self._tts))
            self._told = told


class AgentObserver(BaseObserver):
    """What the TTS lets out, and how much of it is heard."""

    def __init__(self, processor: EntrainProcessor) -> None:
        super().__init__()
        self._processor, self._aside = processor, processor.aside
        self._words, self._sounds = "", False
        self.speaks = False
        """Is the voice in the middle of a reply?"""

    async def on_push_frame(self, data: FramePushed) -> None:
        if data.direction is not FrameDirection.DOWNSTREAM:
            return
        if isinstance(data.source, TTSService):
            self._leaves(data.frame)
        if not data.first_push:
            return
        match data.frame:
            case f.TranscriptionFrame():
                self._processor.said.append(data.frame.text)
            case f.BotStartedSpeakingFrame() if not self._sounds:
                self._sounds = True
                self._aside.agent_began()
            case f.BotStoppedSpeakingFrame() if not self.speaks:
                self._aside.agent_ended()
            case f.InterruptionFrame():
                self.speaks = False
                self._aside.agent_cut()
            case _:
                pass

    def _leaves(self, frame: f.Frame) -> None:
        """In the order in which it is spoken, whatever else is already planned."""
        waiting = self._processor.waiting
        match frame:
            case f.LLMFullResponseStartFrame() if any(key == frame.id for key, _ in waiting):
                while waiting[0][0] != frame.id:
                    waiting.popleft()  # never spoken
                self._take()
            case f.TTSStartedFrame():
                if waiting and waiting[0][0] is None:
                    self._take()
                self.speaks = True
            case f.TTSAudioRawFrame():
                self._aside.agent_audio(mono(frame), frame.sample_rate)
            case f.TTSTextFrame():
                apart = self._words and not frame.includes_inter_frame_spaces
                self._words += f" {frame.text}" if apart else frame.text
                self._aside.agent_text(self._words)
            case f.TTSStoppedFrame() | f.LLMFullResponseEndFrame():
                self.speaks = False
            case _:
                pass

    def _take(self) -> None:
        _, reply = self._processor.waiting.popleft()
        self._aside.agent_takes(reply)
        self._words, self.speaks, self._sounds = "", True, False
