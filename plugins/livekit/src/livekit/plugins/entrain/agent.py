"""An `Agent` that entrains: it listens in `stt_node`, hears a turn out in `on_user_turn_completed`, and decides in `tts_node`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Sequence
from typing import Any, Literal

from livekit.agents import Agent, ModelSettings, NotGiven, llm, tokenize, tts, utils

from entrain import Entrainer
from entrain.levers import Lever, Setting, knobs
from entrain.targets import Targets
from entrain.tts import speakable
from livekit import rtc

from .live import Live, Said
from .settings import dial_of
from .sound import audio_of, frames_of, louder, phrases
from .voice import SAYING, TTS, Saying

How = Literal["auto", "knobs", "waveform"]
Frames = AsyncIterable[rtc.AudioFrame]
Node = Callable[[AsyncIterable[str]], AsyncIterator[rtc.AudioFrame]]

# A reply is planned on its first sentence, or on so much of it.
HEAD = re.compile(r"[.!?…:;\n]\s*$|.{40}", re.DOTALL)


class EntrainAgent(Agent):
    """Alone, or before another Agent among a class's bases. What you override, call with `super()`.

    `how` any TTS but ours is moved: "knobs" (its own settings, and the gain: no wait), "waveform" (all, sentence by sentence, each when
    it is whole), or "auto": knobs where it has some, the waveform where it has none. `levers`: of a TTS that is not in our table.
    `conversation_id`: to go on with a stored one; agents that hand over to each other share the first one's conversation.
    """

    def __init__(
        self, *args: Any, entrainer: Entrainer, conversation_id: str | None = None, how: How = "auto",
        levers: Sequence[Lever] | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(*args, **kwargs)
        self.entrainer, self.how, self.levers = entrainer, how, levers
        self._conversation_id = conversation_id

    @property
    def live(self) -> Live | None:
        """The session's: `agent.live.aside.talk` is entrain's `Conversation`. None where it could not be begun; then this is any Agent."""
        return Live.of(self.session, self.entrainer, self._conversation_id)

    async def on_enter(self) -> None:
        if live := self.live:
            live.attend(self)
        await super().on_enter()

    def stt_node(self, audio: Frames, model_settings: ModelSettings) -> Any:
        live = self.live
        return super().stt_node(live.listened(audio) if live else audio, model_settings)

    async def on_user_turn_completed(self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage) -> None:
        if live := self.live:
            live.user_ended(new_message.text_content or "")
        await super().on_user_turn_completed(turn_ctx, new_message)

    async def tts_node(
        self, text: AsyncIterable[str], model_settings: ModelSettings
    ) -> AsyncGenerator[rtc.AudioFrame]:
        upstream, live = super().tts_node, self.live

        def node(of: AsyncIterable[str]) -> AsyncIterator[rtc.AudioFrame]:
            return iterated(upstream(of, model_settings))

        if live is None:
            moved = node(text)
        else:
            head, text = await beginning(text)
            said = await live.begin(head)
            moved = live.sounded(said, self._said(live, said, live.worded(said, text), node))
        async for frame in moved:
            yield frame

    async def realtime_audio_output_node(
        self, audio: Frames, model_settings: ModelSettings
    ) -> AsyncGenerator[rtc.AudioFrame]:
        moved, live = iterated(super().realtime_audio_output_node(audio, model_settings)), self.live
        if live is not None:
            said = await live.begin("")
            targets = said.reply.targets or live.aside.neutral
            if self.how == "knobs" or targets.neutral:
                moved = _louder(moved, knobs(targets).level_db)
            else:
                moved = _phrases(live, moved, targets)
            moved = live.sounded(said, moved)
        async for frame in moved:
            yield frame

    # --- how it is said ---------------------------------------------------------------------------------------------

    def _said(
        self, live: Live, said: Said, text: AsyncIterable[str], node: Node
    ) -> AsyncIterator[rtc.AudioFrame]:
        voice = self.session.tts if isinstance(self.tts, NotGiven) else self.tts
        targets = said.reply.targets or live.aside.neutral
        if isinstance(voice, TTS) and voice.entrainer is self.entrainer:
            SAYING.set(Saying(live.aside, targets, begun=not said.new))
            return node(text)
        setting = None if self.how == "waveform" else self._told(live, voice, said, targets)
        if setting is not None:
            return _louder(node(text), setting.rest.level_db)
        if self.how == "knobs" or targets.neutral:
            return _louder(node(text), knobs(targets).level_db)
        return _sentences(live, said, text, node, targets)

    def _told(self, live: Live, voice: tts.TTS | None, said: Said, targets: Targets) -> Setting | None:
        """The voice's own settings, as this reply wants them, if it has some; told at its beginning only."""
        with live.safely("the settings"):
            if said.new and voice is not None and (dial := dial_of(voice, live, self.levers)):
                said.setting = dial.turn(knobs(targets))
                live.aside.note(*(note for note in said.setting.notes if not note.startswith("level")))
        return said.setting


async def _louder(frames: AsyncIterator[rtc.AudioFrame], gain_db: float) -> AsyncIterator[rtc.AudioFrame]:
    async for frame in frames:
        yield louder(frame, gain_db) if gain_db else frame


async def _sentences(
    live: Live, said: Said, text: AsyncIterable[str], node: Node, targets: Targets
) -> AsyncIterator[rtc.AudioFrame]:
    """The reply, a sentence at a time, each moved on its waveform."""
    stream = tokenize.blingfire.SentenceTokenizer(retain_format=True).stream()

    async def push() -> None:
        async for chunk in text:
            stream.push_text(chunk)
        stream.end_input()

    pushing = asyncio.create_task(push())
    pushing.add_done_callback(lambda task: task.cancelled() or task.exception() is None or stream.end_input())
    try:
        async for sentence in stream:
            if speakable(sentence.token):
                frames = [frame async for frame in node(_only(sentence.token))]
                moved = await _moved(live, frames, sentence.token, targets)
                said.sounded += (
                    "" if moved is frames else sentence.token
                )  # frames as they came tell themselves
                for frame in moved:
                    yield frame
        await pushing  # what failed in the text fails here, as without us
    finally:
        await utils.aio.cancel_and_wait(pushing)
        await stream.aclose()


async def _phrases(
    live: Live, frames: AsyncIterator[rtc.AudioFrame], targets: Targets
) -> AsyncIterator[rtc.AudioFrame]:
    async for phrase in phrases(frames):
        for frame in await _moved(live, phrase, "", targets):
            yield frame


async def _moved(
    live: Live, frames: list[rtc.AudioFrame], text: str, targets: Targets
) -> list[rtc.AudioFrame]:
    """On the waveform; as they came where that fails."""
    with live.safely("the waveform"):
        if frames:
            return frames_of(await live.aside.condition(audio_of(frames), text, targets), frames[0])
    return frames


async def iterated(frames: Any) -> AsyncIterator[rtc.AudioFrame]:
    """What a node may give: frames, a coroutine that gives them, or None."""
    if asyncio.iscoroutine(frames):
        frames = await frames
    if frames is not None:
        async for frame in frames:
            yield frame


async def beginning(text: AsyncIterable[str]) -> tuple[str, AsyncIterator[str]]:
    """Enough of it to plan the reply, and all of it."""
    source, held = aiter(text), list[str]()
    async for chunk in source:
        held.append(chunk)
        if HEAD.search("".join(held)):
            break

    async def whole() -> AsyncIterator[str]:
        for chunk in held:
            yield chunk
        async for chunk in source:
            yield chunk

    return "".join(held), whole()


async def _only(text: str) -> AsyncIterator[str]:
    yield text
