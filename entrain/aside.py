"""A conversation beside an event loop: what a framework's events bring, as the three calls, one after the other on a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from entrain.audio import Audio
from entrain.conditioning import condition
from entrain.conversation import Conversation, Piece
from entrain.targets import Targets
from entrain.tts import Rendition
from entrain.worker import Hearing

log = logging.getLogger(__name__)
T = TypeVar("T")

SETTLE_S = 0.05  # so long may a reply wait for its targets: 9 ms is usual after a turn whose words are known
BEFORE_S = 0.5  # of sound from before a turn is known to have begun: frameworks say so .2 s late
GAP_S = 10.0  # who goes on after a longer pause begins a turn; what was before was a cough, for nobody said that it had ended
MAX_TURN_S = 120.0  # of sound; the rest of what is longer is left out
RATE_HZ = 16_000  # of a turn that has no sound


class Aside:
    """One conversation, for a host that runs on asyncio. What is no coroutine returns at once and may be called from any thread. Nothing
    raises: what fails is logged once, and that reply is as the voice usually is.

    The host's events may come late, twice or not at all: a turn that never began has the sound from before its end, and a reply that
    never ended ends when the user has spoken or the next is planned.
    """

    def __init__(self, talk: Conversation, settle_s: float = SETTLE_S) -> None:
        """`settle_s`: how long `plan` may wait."""
        self.talk, self.settle_s = talk, settle_s
        self.late = 0
        """Replies whose targets were not there in time."""
        self._calls = ThreadPoolExecutor(1, "aside")  # one: in the order of the events
        self._lock = threading.RLock()
        self._before: deque[Audio] = deque()
        self._hearing: Hearing | None = None
        self._paused_s: float | None = None
        self._closed = False
        self._began_s = self._heard_s = 0.0
        self._reply: Reply | None = None
        self._newest: Reply | None = None
        self._logged: set[str] = set()
        self._zero_s = time.monotonic() - talk.now_s
        self._call(
            talk.plan, "Good morning."
        )  # loads the model and the dictionary, 1.3 s: not in the first turn

    @property
    def now_s(self) -> float:
        """On the conversation's clock, which goes on where its last turn ended."""
        return time.monotonic() - self._zero_s

    # --- the user ---------------------------------------------------------------------------------------------------

    def user_audio(self, pcm: bytes, rate_hz: int) -> None:
        """Sound of the microphone, 16-bit mono, whether somebody speaks or not."""
        with self._event("the user's sound"):
            sound = Audio.from_pcm16(pcm, rate_hz)
            if self._hearing is not None and self._paused_s is None:
                self._feed(self._hearing, sound)
                return
            self._before.append(sound)
            while _length_s(self._before) - self._before[0].duration_s >= BEFORE_S:
                self._before.popleft()

    def user_began(self) -> None:
        """The user speaks, or goes on after a pause. (Whom they interrupt is told by `agent_cut`.)"""
        with self._event("the user's turn"):
            paused_s, self._paused_s = self._paused_s, None
            if (self._hearing is not None and paused_s is None) or self._closed:
                return
            if self._hearing is not None and paused_s is not None and self.now_s - paused_s > GAP_S:
                self._call(self._hearing.drop)
                self._hearing = None
            before, self._before = self._before, deque()
            if self._hearing is None:
                self._hearing = self.talk.listen(before[-1].rate_hz if before else RATE_HZ)
                self._began_s, self._heard_s = max(0.0, self.now_s - _length_s(before)), 0.0
            for sound in before:
                self._feed(self._hearing, sound)

    def user_paused(self) -> None:
        """The user is silent, and has perhaps ended: what was heard is measured now, so that `user_ended` finds it done. The silence is
        left out; who goes on is told by `user_began`."""
        with self._event("the user's turn"):
            if self._hearing is not None and self._paused_s is None:
                self._paused_s = self.now_s
                self._call(self._hearing.glance)

    def user_ended(self, text: str | None = None) -> None:
        """The user has stopped. `text`: what they said, if the host's recogniser knows; None: ours writes it down, if there is one."""
        with self._event("the user's turn"):
            if self._hearing is None and not self._before and not text:
                return  # told twice
            if self._hearing is None:
                self.user_began()
            hearing, self._hearing, self._paused_s = self._hearing, None, None
            if hearing is not None:
                self.agent_ended()
                self._call(self.talk.hear, hearing, text, (), self._began_s)

    def _feed(self, hearing: Hearing, sound: Audio) -> None:
        """A stream that changes its rate in the middle of a turn is brought to the turn's."""
        if self._heard_s >= MAX_TURN_S:
            self._log("the user's turn", f"it is longer than {MAX_TURN_S:g} s; the rest is left out")
            return
        self._heard_s += sound.duration_s
        self._call(lambda: hearing.feed(sound.resample(hearing.rate_hz).samples))

    # --- the agent --------------------------------------------------------------------------------------------------

    async def plan(self, text: str) -> Targets:
        """How the reply that begins with `text` should sound. Waits at most `settle_s` for what was said before it to be measured; if
        that is not done by then, the reply is neutral, and so it is remembered."""
        self.agent_takes(reply := Reply(text))
        return await self._settle(reply)

    async def prepare(self, text: str) -> Reply:
        """`plan` for a reply that may wait behind another: its turn begins when the host says so, by `agent_takes`."""
        reply = self._newest = Reply(text)
        reply.targets = await self._settle(reply)
        return reply

    def agent_takes(self, reply: Reply) -> None:
        """What sounds from now on is this reply's; the one before it is over."""
        with self._lock:
            self.agent_ended()
            self._reply = self._newest = reply

    async def _settle(self, reply: Reply) -> Targets:
        with self._guard("the plan"):
            call = asyncio.wrap_future(self._calls.submit(self.talk.plan, reply.text))
            done, _ = await asyncio.wait([call], timeout=self.settle_s)
            if done:
                reply.targets = call.result()
                return reply.targets
            self.late += 1
            self._log(
                "the plan", f"it was not there after {self.settle_s * 1000:g} ms; that reply is neutral"
            )
        return self.neutral

    @property
    def neutral(self) -> Targets:
        """The voice as it is."""
        return Targets.none(self.talk.entrainer.voice)

    def agent_audio(self, pcm: bytes, rate_hz: int) -> None:
        """Sound of the agent on its way out, 16-bit mono."""
        with self._event("the agent's sound"):
            self._reply = self._reply or Reply("")
            self._reply.add(Audio.from_pcm16(pcm, rate_hz), self.now_s)

    def agent_began(self) -> None:
        """The reply is heard from now on: for hosts that make sound before they play it."""
        with self._lock:
            if self._reply is not None:
                self._reply.began_s = self.now_s

    def agent_text(self, text: str) -> None:
        """All that the reply says, where it was planned by its beginning."""
        with self._lock:
            if self._reply is not None:
                self._reply.text = text

    def note(self, *notes: str) -> None:
        """What could not be realised of the newest reply's targets: kept with its turn."""
        with self._lock:
            if self._newest is not None:
                self._newest.notes = tuple(dict.fromkeys((*self._newest.notes, *notes)))

    def agent_cut(self, text: str | None = None) -> None:
        """The user interrupts: what is not played by now never was. `text`: what was said of it, if the host knows."""
        with self._lock:
            began_s = self._reply.began_s if self._reply else None
            self.agent_ended(text, 0.0 if began_s is None else self.now_s - began_s)

    def agent_ended(self, text: str | None = None, played_s: float | None = None) -> None:
        """The reply is over. `text`: what was said, where that is not what was planned for. `played_s`: how much of its sound was heard,
        where it was interrupted."""
        with self._event("the agent's turn"):
            reply, self._reply = self._reply, None
            if reply is None or played_s == 0 or not (reply.sounds or text or reply.text.strip()):
                return  # told twice, or never said
            self._call(self._spoke, reply, text, played_s)

    def _spoke(self, reply: Reply, text: str | None, played_s: float | None) -> None:
        whole = reply.audio()
        audio, said = whole, reply.text if text is None else text
        if whole is not None and played_s is not None:
            audio = whole.part(0, played_s)
            said = said if text is not None else first_words(said, audio.duration_s / whole.duration_s)
        self.talk.spoke(said, audio, reply.targets, reply.began_s, notes=reply.notes)

    async def say(self, text: str, targets: Targets, first: bool = True) -> AsyncIterator[Audio]:
        """The text in the agent's own voice (of the `Entrainer`), sentence by sentence, with the targets. What is then played is told by
        `agent_audio`, as always. `first`: it begins the reply, so its first sentence must not wait to be measured."""
        if not first:
            made = await self._aside("the voice", lambda: self.talk.entrainer.tts.synthesise(text))
            if made is not None:
                yield await self.condition(made.audio, text, targets)
            return
        pieces = self.talk.pieces(text, targets)

        def following() -> Piece | None:
            return next(pieces, None)

        while (piece := await self._aside("the voice", following)) is not None:
            self.note(*piece.notes)
            if len(piece.audio.samples):
                yield piece.audio

    async def condition(self, audio: Audio, text: str, targets: Targets) -> Audio:
        """A sentence by any voice, moved to the targets on its waveform; as it came where that fails."""
        agent = self.talk.entrainer
        if targets.neutral or not len(audio.samples):
            return audio
        made = await self._aside(
            "conditioning", lambda: agent.worker.run(condition, Rendition(audio, text), targets, agent.engine)
        )
        self.note(*made.realised.not_realised if made else ("conditioning failed",))
        return made.audio if made else audio

    # --- the end ----------------------------------------------------------------------------------------------------

    async def settled(self) -> None:
        """Returns when all that came so far is measured and remembered."""
        await asyncio.wrap_future(self._calls.submit(int))

    def end(self) -> None:
        """`close`, but nobody waits: a turn or reply under way ends here, and what comes later is left out."""
        if self._closed:
            return
        if self._hearing is not None:
            self.user_ended()
        self.agent_ended()
        self._call(self.talk.close)
        self._closed = True

    async def close(self) -> None:
        """A turn or reply under way ends here; all is remembered, and saved."""
        self.end()
        await asyncio.to_thread(self._calls.shutdown)

    def _call(self, function: Callable[..., Any], *args: Any) -> None:
        def done(call: Future[Any]) -> None:
            with self._guard("a call"):
                call.result()

        if not self._closed:
            self._calls.submit(function, *args).add_done_callback(done)

    async def _aside(self, step: str, action: Callable[[], T]) -> T | None:
        """On another thread than the calls: while sound is made, the next turn is measured."""
        with self._guard(step):
            return await asyncio.to_thread(action)
        return None

    @contextmanager
    def _event(self, step: str) -> Generator[None]:
        """One of the host's, at a time."""
        with self._lock, self._guard(step):
            yield

    @contextmanager
    def _guard(self, step: str) -> Generator[None]:
        """Nothing in here may reach the host."""
        try:
            yield
        except Exception as error:
            self._log(step, f"{type(error).__name__}: {error}")

    def _log(self, step: str, message: str) -> None:
        if step not in self._logged:
            self._logged.add(step)
            log.warning("conversation %s: %s: %s", self.talk.id, step, message)


@dataclass
class Reply:
    """What the agent says, from its plan to its end."""

    text: str
    targets: Targets | None = None
    began_s: float | None = None
    """When its first sound went out."""
    sounds: list[Audio] = field(default_factory=list[Audio])
    length_s: float = 0.0
    notes: tuple[str, ...] = ()

    def add(self, sound: Audio, now_s: float) -> None:
        """Raises `ValueError` for another rate than its first sound had."""
        if not self.sounds:
            self.began_s = now_s
        elif sound.rate_hz != (rate_hz := self.sounds[0].rate_hz):
            raise ValueError(
                f"a reply at {rate_hz} Hz goes on at {sound.rate_hz} Hz; one rate is needed. That part is left out."
            )
        if self.length_s < MAX_TURN_S:
            self.length_s += sound.duration_s
            self.sounds.append(sound)

    def audio(self) -> Audio | None:
        return (
            Audio(np.concatenate([s.samples for s in self.sounds]), self.sounds[0].rate_hz)
            if self.sounds
            else None
        )


def first_words(text: str, share: float) -> str:
    """Those that were said when it was interrupted, about: whole words, as far as a share of its letters goes.

    >>> first_words("We open at nine.", 0.5)
    'We open'
    """
    end = round(len(text) * min(max(share, 0.0), 1.0))
    return text if end == len(text) else text[: end + 1].rpartition(" ")[0].rstrip()


def _length_s(sounds: Iterable[Audio]) -> float:
    return sum(sound.duration_s for sound in sounds)
