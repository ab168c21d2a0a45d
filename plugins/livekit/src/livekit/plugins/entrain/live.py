"""One session's conversation: what LiveKit tells of the user, of what is played and of its end, as `Aside` wants it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from livekit.agents import (
    Agent,
    AgentSession,
    CloseEvent,
    NotGiven,
    UserStateChangedEvent,
    get_job_context,
    llm,
)
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT
from livekit.agents.voice import SpeechHandle, io

from entrain import Entrainer
from entrain.aside import Aside, Reply
from entrain.levers import Setting
from livekit import rtc

from .log import logger
from .settings import release
from .sound import audio_of, mono

try:  # whose reply a node is making; LiveKit has no public name for it
    from livekit.agents.voice.agent_activity import _SpeechHandleContextVar as SPEECH
except ImportError:
    SPEECH = None

_sessions: WeakKeyDictionary[AgentSession[Any], Live | None] = WeakKeyDictionary()


@dataclass
class Said:
    """A reply on its way, perhaps in several parts (tool calls, flushes): what it says, and how much of it was heard."""

    reply: Reply
    text: str = ""
    """What the voice was given."""
    sounded: str = ""
    """What of it has sound by now, where the voice tells."""
    new: bool = True
    setting: Setting | None = None
    taken: bool = False
    played_s: float = 0.0


class Ear(io.AudioInput):
    """The user's sound on its way to a model that hears for itself: there is no `stt_node` to listen in."""

    def __init__(self, source: io.AudioInput, live: Live) -> None:
        super().__init__(label="entrain", source=source)
        self._live = live

    async def __anext__(self) -> rtc.AudioFrame:
        frame = await super().__anext__()
        self._live.hear(frame)
        return frame


class Live:
    """Agents that hand over to each other within a session share it."""

    def __init__(self, session: AgentSession[Any], aside: Aside) -> None:
        self.session, self.aside = session, aside
        self._said: dict[SpeechHandle | None, Said] = {}
        self._now: Said | None = None
        self._output: io.AudioOutput | None = None
        self._by_model = False
        self._logged: set[str] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        session.on("user_state_changed", self._user_state)
        session.on("close", self._close)
        if get_job_context(required=False) is not None:
            get_job_context().add_shutdown_callback(aside.close)

    @classmethod
    def of(cls, session: AgentSession[Any], entrainer: Entrainer, conversation_id: str | None) -> Live | None:
        """None where there can be none: a store that can't be read is no reason to be silent."""
        if session not in _sessions:
            try:
                _sessions[session] = cls(session, Aside(entrainer.conversation(conversation_id)))
            except Exception as error:
                logger.error("this session does not entrain: %s", error, exc_info=error)
                _sessions[session] = None
        return _sessions[session]

    def attend(self, agent: Agent) -> None:
        """This agent speaks from now on. A model that hears the user itself tells of their turns; listen in, where nobody writes them down."""
        with self.safely("the user's sound"):
            model = self.session.llm if isinstance(agent.llm, NotGiven) else agent.llm
            writes = self.session.stt if isinstance(agent.stt, NotGiven) else agent.stt
            source = self.session.input.audio
            self._by_model = isinstance(model, llm.RealtimeModel)
            if self._by_model and not writes and source is not None and not isinstance(source, Ear):
                self.session.input.audio = Ear(source, self)

    # --- the user -----------------------------------------------------------------------------------------------------

    async def listened(self, audio: AsyncIterable[rtc.AudioFrame]) -> AsyncIterator[rtc.AudioFrame]:
        async for frame in audio:
            self.hear(frame)
            yield frame

    def hear(self, frame: rtc.AudioFrame) -> None:
        with self.safely("the user's sound"):
            self.aside.user_audio(mono(frame), frame.sample_rate)

    def _user_state(self, event: UserStateChangedEvent) -> None:
        with self.safely("the user's turn"):
            if event.new_state == "speaking":
                self.aside.user_began()
            elif event.old_state == "speaking" and self._by_model:
                self.aside.user_ended()  # the model answers; nobody else tells
            elif event.old_state == "speaking":
                self.aside.user_paused()

    def user_ended(self, text: str) -> None:
        with self.safely("the user's turn"):
            self.aside.user_ended(text)

    # --- the agent ----------------------------------------------------------------------------------------------------

    async def begin(self, head: str) -> Said:
        """The reply that a node is about to make a part of; planned, where it is the first."""
        handle = SPEECH.get(None) if SPEECH else self.session.current_speech
        while handle is not None and not (handle.scheduled or handle.done()):
            await asyncio.sleep(0.01)  # made before the user's turn is over: there is nothing to follow yet
        if handle is not None and handle in self._said:
            self._said[handle].new = False
            return self._said[handle]
        said = self._said[handle] = Said(await self.aside.prepare(head))
        self._follow_output()
        if handle is not None:
            handle.add_done_callback(self._over)
        return said

    async def worded(self, said: Said, text: AsyncIterable[str]) -> AsyncIterator[str]:
        """The text on its way to the voice."""
        said.text += " " if said.text else ""
        async for chunk in text:
            said.text += chunk
            yield chunk

    async def sounded(
        self, said: Said, frames: AsyncIterator[rtc.AudioFrame]
    ) -> AsyncIterator[rtc.AudioFrame]:
        """The sound on its way out."""
        async for frame in frames:
            with self.safely("the agent's sound"):
                said.sounded += "".join(frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, ()))
                said.reply.add(audio_of([frame]), self.aside.now_s)
            yield frame

    def _follow_output(self) -> None:
        output = self.session.output.audio
        if output is self._output:
            return
        if self._output is not None:
            self._output.off("playback_started", self._started)
            self._output.off("playback_finished", self._finished)
        self._output = output
        if output is not None:
            output.on("playback_started", self._started)
            output.on("playback_finished", self._finished)

    def _started(self, _: io.PlaybackStartedEvent) -> None:
        with self.safely("the agent's turn"):
            said = self._said.get(self.session.current_speech) or self._said.get(None)
            if said is not None and not said.taken:
                self._take(said)
                self.aside.agent_began()

    def _take(self, said: Said) -> None:
        self._now, said.taken = said, True
        self.aside.agent_takes(said.reply)

    def _finished(self, event: io.PlaybackFinishedEvent) -> None:
        with self.safely("the agent's turn"):
            said = self._now or self._said.get(self.session.current_speech)
            if said is not None:
                said.played_s += event.playback_position
                if said is self._said.get(None):
                    self._end(self._said.pop(None), event.interrupted, event.synchronized_transcript or "")

    def _over(self, handle: SpeechHandle) -> None:
        """All of a reply was played, or was cut short, or never came to be heard."""
        with self.safely("the agent's turn"):
            said = self._said.pop(handle, None)
            texts = [item.text_content or "" for item in handle.chat_items if item.type == "message"]
            if said is not None:
                self._end(said, handle.interrupted, " ".join(texts).strip())

    def _end(self, said: Said, cut: bool, heard: str) -> None:
        """`heard`: what LiveKit says was said of it; all of it, where an output does not tell."""
        if not said.taken:
            if not said.played_s:
                return
            self._take(said)
        if self._now is said:
            self._now = None
        spoken = (said.sounded if cut else "") or said.text
        said.reply.text = spoken.strip() or heard or said.reply.text
        part = heard if cut and len(heard) < len(said.reply.text) else None
        self.aside.agent_ended(part or None, said.played_s if cut else None)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _close(self, _: CloseEvent) -> None:
        with self.safely("the end"):
            _sessions[self.session] = None
            release(self)
            self.aside.end()
            self._tasks.add(asyncio.create_task(self.aside.close()))

    @contextmanager
    def safely(self, step: str) -> Generator[None]:
        """Nothing of ours may stop the session: what fails is logged once."""
        try:
            yield
        except Exception as error:
            if step not in self._logged:
                self._logged.add(step)
                logger.warning("%s: %s; going on without it", step, error, exc_info=error)
