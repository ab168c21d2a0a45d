"""A real `AgentSession` without a room: a microphone, a loudspeaker, a recogniser that is told what it heard, a scripted model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from livekit.agents import Agent, AgentSession, inference, llm, stt, tts, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, APIConnectOptions
from livekit.agents.voice import io

from entrain import Audio
from livekit import rtc
from livekit.plugins.entrain.voice import pcm16

RATE_HZ, FRAME_S = 16_000, 0.02


class Microphone(io.AudioInput):
    """Gives silence until somebody speaks, in frames of 20 ms; `speed` times as fast as it would be."""

    def __init__(self, speed: float = 1.0) -> None:
        super().__init__(label="microphone")
        self.speed, self._pcm, self._due_s = speed, b"", 0.0

    def speak(self, audio: Audio) -> None:
        self._pcm += pcm16(audio.resample(RATE_HZ))

    async def spoken(self) -> None:
        while self._pcm:
            await asyncio.sleep(FRAME_S)

    async def __anext__(self) -> rtc.AudioFrame:
        now_s = time.monotonic()
        self._due_s = max(self._due_s + FRAME_S / self.speed, now_s - 0.2)
        await asyncio.sleep(max(0.0, self._due_s - now_s))
        n = round(FRAME_S * RATE_HZ)
        pcm, self._pcm = self._pcm[: 2 * n], self._pcm[2 * n :]
        return rtc.AudioFrame(pcm.ljust(2 * n, b"\0"), RATE_HZ, 1, n)


class Loudspeaker(io.AudioOutput):
    """Plays `speed` times as fast as it would be, and keeps what was heard of each segment."""

    def __init__(self, speed: float = 1.0) -> None:
        super().__init__(
            label="loudspeaker", capabilities=io.AudioOutputCapabilities(pause=False), sample_rate=None
        )
        self.speed = speed
        self.heard: list[Audio] = []
        self.first_s: list[float] = []
        """When each segment's first sound came, on the performance counter."""
        self.tells_start = True
        self._frames: list[rtc.AudioFrame] = []
        self._began_s = 0.0
        self._playing: asyncio.Task[None] | None = None

    @property
    def long_s(self) -> float:
        return sum(frame.duration for frame in self._frames)

    @property
    def position_s(self) -> float:
        return min((time.monotonic() - self._began_s) * self.speed, self.long_s) if self._frames else 0.0

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        if self._playing is not None:
            await self._playing
        await super().capture_frame(frame)
        self._frames.append(frame)
        if len(self._frames) == 1:
            self._began_s = time.monotonic()
            self.first_s.append(time.perf_counter())
            if self.tells_start:
                self.on_playback_started(created_at=time.time())

    def flush(self) -> None:
        super().flush()
        if self._frames and self._playing is None:
            self._playing = asyncio.create_task(self._play())

    async def _play(self) -> None:
        await asyncio.sleep(max(0.0, self.long_s - self.position_s) / self.speed)
        self._finish(self.long_s, False)

    def clear_buffer(self) -> None:
        if self._frames:
            if self._playing is not None:
                self._playing.cancel()
            self._finish(self.position_s, True)

    def _finish(self, played_s: float, interrupted: bool) -> None:
        frames, self._frames, self._playing = self._frames, [], None
        pcm = b"".join(bytes(frame.data) for frame in frames)
        self.heard.append(Audio.from_pcm16(pcm, frames[0].sample_rate).part(0, played_s))
        self.on_playback_finished(playback_position=played_s, interrupted=interrupted)


class Told(stt.STT):
    """A recogniser that is told what it heard."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=False))
        self.streams: list[ToldStream] = []

    async def _recognize_impl(self, buffer: Any, **_: Any) -> stt.SpeechEvent:
        raise NotImplementedError

    def stream(
        self, *, language: Any = NOT_GIVEN, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> ToldStream:
        self.streams.append(ToldStream(stt=self, conn_options=conn_options))
        return self.streams[-1]

    def begins(self) -> None:
        self.streams[-1].tells(stt.SpeechEventType.START_OF_SPEECH)

    def hears(self, text: str) -> None:
        said = stt.SpeechData(language="en", text=text, confidence=1.0)  # pyright: ignore[reportArgumentType]
        self.streams[-1].tells(stt.SpeechEventType.FINAL_TRANSCRIPT, [said])

    def ends(self) -> None:
        self.streams[-1].tells(stt.SpeechEventType.END_OF_SPEECH)


class ToldStream(stt.RecognizeStream):
    async def _run(self) -> None:
        async for _ in self._input_ch:
            pass

    def tells(self, what: stt.SpeechEventType, said: Sequence[stt.SpeechData] = ()) -> None:
        self._event_ch.send_nowait(stt.SpeechEvent(what, alternatives=list(said)))


class Script(llm.LLM):
    """Says what it is told to, as soon as it is."""

    def __init__(self, lines: list[str] | None = None) -> None:
        super().__init__()
        self.lines = lines
        self.waiting: list[asyncio.Future[str]] = []

    def chat(
        self, *, chat_ctx: llm.ChatContext, tools: Any = None, conn_options: Any = None, **_: Any
    ) -> Any:
        return Line(
            self,
            chat_ctx=chat_ctx,
            tools=tools or [],
            conn_options=conn_options or DEFAULT_API_CONNECT_OPTIONS,
        )

    def say(self, text: str) -> bool:
        """True if somebody was waiting for it."""
        waiting, self.waiting = [line for line in self.waiting if not line.done()], []
        for line in waiting:
            line.set_result(text)
        return bool(waiting)


class Line(llm.LLMStream):
    async def _run(self) -> None:
        script: Any = self._llm
        users = sum(item.type == "message" and item.role == "user" for item in self._chat_ctx.items)
        if script.lines is not None:
            text = script.lines[(users - 1) % len(script.lines)]
        else:
            script.waiting.append(line := asyncio.get_running_loop().create_future())
            text = await line
        for word in text.split(" "):
            delta = llm.ChoiceDelta(role="assistant", content=f"{word} ")
            self._event_ch.send_nowait(llm.ChatChunk(id=utils.shortuuid(), delta=delta))


class Fixed(tts.TTS):
    """A service's voice: `speak` gives its sound at once, a sentence at a time."""

    def __init__(self, speak: Callable[[str], Audio], rate_hz: int = 24_000, channels: int = 1) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False), sample_rate=rate_hz, num_channels=channels
        )
        self.speak = speak

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return FixedSentence(tts=self, input_text=text, conn_options=conn_options)


class FixedSentence(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        voice: Any = self._tts
        output_emitter.initialize(
            request_id=utils.shortuuid(), sample_rate=voice.sample_rate, num_channels=voice.num_channels,
            mime_type="audio/pcm",
        )  # fmt: skip
        samples = np.frombuffer(pcm16(voice.speak(self.input_text)), "<i2")
        output_emitter.push(np.repeat(samples, voice.num_channels).tobytes())
        output_emitter.flush()


class Talker(llm.RealtimeModel):
    """A speech-to-speech model: hears the user itself, and says what it is told to, in its own voice."""

    def __init__(self, speak: Callable[[str], Audio]) -> None:
        super().__init__(
            capabilities=llm.RealtimeCapabilities(
                message_truncation=False,
                turn_detection=True,
                user_transcription=False,
                auto_tool_reply_generation=False,
                audio_output=True,
                manual_function_calls=False,
            )
        )
        self.speak, self.sessions = speak, list[TalkerSession]()

    def session(self, *, turn_detection_disabled: bool = False) -> Any:
        self.sessions.append(TalkerSession(self))
        return self.sessions[-1]

    async def aclose(self) -> None:
        pass

    def hears(self, begins: bool) -> None:
        session = self.sessions[-1]
        if begins:
            session.emit("input_speech_started", llm.InputSpeechStartedEvent())
        else:
            session.emit(
                "input_speech_stopped", llm.InputSpeechStoppedEvent(user_transcription_enabled=False)
            )

    def say(self, text: str) -> None:
        modalities = asyncio.get_running_loop().create_future()
        modalities.set_result(["audio", "text"])
        said = llm.MessageGeneration(
            utils.shortuuid(), _each([text]), _each(_frames(self.speak(text))), modalities
        )
        event = llm.GenerationCreatedEvent(_each([said]), _each(list[Any]()), user_initiated=False)
        self.sessions[-1].emit("generation_created", event)


class TalkerSession(llm.RealtimeSession):
    chat_ctx = llm.ChatContext.empty()  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]
    tools = llm.ToolContext.empty()  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    async def _nothing(self, *_: Any, **__: Any) -> None:
        pass

    def _none(self, *_: Any, **__: Any) -> Any:
        pass

    update_instructions = update_chat_ctx = update_tools = aclose = _nothing
    update_options = push_audio = push_video = generate_reply = _none
    commit_audio = clear_audio = interrupt = truncate = _none


async def _each(items: Sequence[Any]) -> Any:
    for item in items:
        yield item


def _frames(audio: Audio) -> list[rtc.AudioFrame]:
    pcm, n = pcm16(audio), round(0.05 * audio.rate_hz) * 2
    parts = [pcm[start : start + n] for start in range(0, len(pcm), n)]
    return [rtc.AudioFrame(part, audio.rate_hz, 1, len(part) // 2) for part in parts]


class Call:
    """A session with somebody at the other end."""

    def __init__(
        self, agent: Agent, voice: tts.TTS | None, lines: list[str] | None = None, speed: float = 1.0,
        by_voice: bool = False, talker: Talker | None = None,
        delay_s: float = 0.0, early: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        """`by_voice`: Silero tells when the user speaks, and turns end as they usually do; else the recogniser tells both.
        `early`: sound is made before the turn is over."""
        self.by_voice, self.talker = by_voice, talker
        self.agent, self.ears, self.script = agent, Told(), Script(lines)
        self.microphone, self.loudspeaker = Microphone(speed), Loudspeaker(speed)
        self.session: AgentSession[None] = AgentSession(
            stt=NOT_GIVEN if talker else self.ears, llm=talker or self.script, tts=voice or NOT_GIVEN, aec_warmup_duration=None,
            vad=inference.VAD() if by_voice else None,
            turn_handling={"turn_detection": "realtime_llm"} if talker else
            {"turn_detection": "vad", "preemptive_generation": {"preemptive_tts": early}} if by_voice else
            {"turn_detection": "stt", "endpointing": {"min_delay": delay_s}}, **options,
        )  # fmt: skip
        self.session.input.audio, self.session.output.audio = self.microphone, self.loudspeaker
        self.heard_turn = asyncio.Event()
        self.session.on("conversation_item_added", self._added)

    def _added(self, event: Any) -> None:
        if getattr(event.item, "role", "") == "user":
            self.heard_turn.set()

    async def start(self) -> Call:
        await self.session.start(self.agent)
        while not (self.ears.streams or self.talker):
            await asyncio.sleep(0.01)
        return self

    async def user(self, audio: Audio, text: str) -> None:
        """Speaks, and is understood."""
        if not self.by_voice and audio.level_db is not None:
            self.ears.begins()
        self.heard_turn.clear()
        self.microphone.speak(audio)
        await self.microphone.spoken()
        await asyncio.sleep(0.1)
        self.ears.hears(text)
        self.ended_s = time.perf_counter()
        if not self.by_voice:
            self.ears.ends()
        await asyncio.wait_for(self.heard_turn.wait(), 20)

    async def talk_to_model(self, audio: Audio, reply: str) -> None:
        assert self.talker is not None
        n = len(self.loudspeaker.first_s)
        self.talker.hears(True)
        self.microphone.speak(audio)
        await self.microphone.spoken()
        await asyncio.sleep(0.1)
        self.talker.hears(False)
        self.talker.say(reply)
        await self.quiet(n)

    async def reply(self, text: str, stop_s: float | None = None) -> None:
        """The model says this now; or the agent, unasked."""
        n = len(self.loudspeaker.first_s)
        if not self.script.say(text):
            self.session.say(text)
        if stop_s is not None:
            async with asyncio.timeout(20):
                while len(self.loudspeaker.first_s) == n or self.loudspeaker.position_s < stop_s:
                    await asyncio.sleep(0.01)
            await self.session.interrupt()
        await self.quiet(n)

    async def quiet(self, n: int) -> None:
        """Until more than `n` segments were played, and nobody speaks."""
        async with asyncio.timeout(30):
            while len(self.loudspeaker.heard) <= n or self.session.current_speech is not None:
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        await self.session.aclose()
