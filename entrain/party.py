"""Who takes part in a live session over a line: the whole talk (`Talker`), or ears and targets for a host with the rest (`Host`)."""

from __future__ import annotations

import time

import anyio
import numpy as np

from entrain.ear import ECHO_S
from entrain.limits import Refusal
from entrain.line import Line, Samples
from entrain.live import Event, Live
from entrain.messages import private
from entrain.sessions import Session, Sessions
from entrain.sound import read_sound
from entrain.turn import Turn
from entrain.wishes import Begin, End, Hello, Interrupt, Plan, Said, Strength, Wish
from entrain.worker import Hearing

FRAME_S, METERS_S = 0.04, 0.1
AHEAD_S = 0.3  # of real time the agent's sound is sent: a network's jitter
FEED_S = 0.2  # of sound goes to be measured at once: each time costs the Praat process .3 ms


class Talker:
    """A whole talk: `entrain.live.Live` at this end of the line."""

    def __init__(self, sessions: Sessions, session: Session, hello: Hello, line: Line) -> None:
        """Blocks while the ears are loaded."""
        self.sessions, self.session, self.line = sessions, session, line
        if session.responder is None:
            session.responder = sessions.respond(session.id)
        self.live = Live(
            session.talk, session.responder, hello.rate_hz, ears=sessions.ears, hands_free=hello.hands_free,
            on=self._tell, echo_s=AHEAD_S + ECHO_S,
        )  # fmt: skip
        self.rate_hz, self.state = self.live.out_rate_hz, self.live.state

    async def take(self, item: Samples | Wish) -> None:
        if isinstance(item, np.ndarray):
            self.live.feed(item)
        elif isinstance(item, Strength):
            policy = self.session.talk.policy
            self.session.talk.policy = policy.model_copy(update={"strength": item.value})
        elif isinstance(item, Begin):
            self.live.begin()
        elif isinstance(item, End):
            self.live.end()
        elif isinstance(item, Interrupt):
            self.live.interrupt()

    async def run(self) -> None:
        """Send what is to be played, in real time and a little ahead; silence only between the agent's words."""
        n, meters_s, sent_s = round(FRAME_S * self.rate_hz), 0.0, 0.0
        while True:
            now_s = time.monotonic()
            sent_s = max(sent_s, now_s)
            while sent_s <= time.monotonic() + (AHEAD_S if self.live.state == "speaking" else 0):
                frame = self.live.pull(n)
                sent_s += FRAME_S
                if self.live.state == "speaking" or frame.any():
                    self.line.play(frame)
            if now_s >= meters_s + METERS_S:
                user_db, agent_db, speech_p = self.live.meters
                self.line.tell("meters", user_db=user_db, agent_db=agent_db, speech_p=speech_p)
                meters_s = now_s
            await anyio.sleep(FRAME_S / 2)

    def close(self) -> None:
        self.live.close()

    def _tell(self, event: Event) -> None:
        """An event of the talk, from one of its threads."""
        data, metrics = dict(event.data), self.sessions.metrics
        if "turn" in data:
            turn = metrics.count(Turn.model_validate(data["turn"]))
            data["turn"] = private(turn).model_dump(mode="json")
        if event.type == "fault":
            metrics.faults.labels(data["step"]).inc()
            data["message"] = f"{data['step']} failed; the talk goes on. The server's log says more."
        if event.type == "timing":
            for step, ms in data.items():
                metrics.steps_s.labels(f"live {step}").observe(ms / 1000)
        self.line.tell(event.type, at_s=event.at_s, **data)


class Host:
    """A host that has ears, words and voice of its own: its user's sound in, targets out."""

    state = "listening"

    def __init__(self, sessions: Sessions, session: Session, hello: Hello, line: Line) -> None:
        self.sessions, self.talk, self.line, self.rate_hz = sessions, session.talk, line, hello.rate_hz
        self._began_s = self.talk.now_s - time.monotonic()  # of the conversation's clock
        self._start_s = 0.0
        self._hearing: Hearing | None = None
        self._waiting: list[Samples] = []
        self._planned = None

    async def take(self, item: Samples | Wish) -> None:
        if isinstance(item, np.ndarray):
            self._hear(item)
        elif isinstance(item, Begin):
            self._begin()
        elif isinstance(item, End):
            await self._end(item)
        elif isinstance(item, Plan):
            await self._plan(item.reply, time.perf_counter())
        elif isinstance(item, Said):
            await self._said(item)
        elif isinstance(item, Strength):
            self.talk.policy = self.talk.policy.model_copy(update={"strength": item.value})

    async def run(self) -> None:
        await anyio.sleep_forever()

    def close(self) -> None:
        if self._hearing:
            self._hearing.drop()

    @property
    def now_s(self) -> float:
        return self._began_s + time.monotonic()

    def _begin(self) -> None:
        self.close()
        self._hearing, self._start_s, self._waiting = self.talk.listen(self.rate_hz), self.now_s, []

    def _hear(self, samples: Samples) -> None:
        """Sound of the user's turn; between turns nobody listens."""
        if self._hearing is None:
            return
        if self.now_s - self._start_s > self.sessions.limits.turn_s:
            raise Refusal(413, "too_long", f"A turn may last {self.sessions.limits.turn_s:g} s.")
        self._waiting.append(samples)
        if sum(map(len, self._waiting)) >= FEED_S * self.rate_hz:
            self._feed()

    def _feed(self) -> None:
        if self._hearing and self._waiting:
            self._hearing.feed(np.concatenate(self._waiting))
            self._waiting = []

    async def _end(self, end: End) -> None:
        stopped_at = time.perf_counter()
        if self._hearing is None:
            raise Refusal(409, "order", "There is no turn to end; begin it.")
        self._feed()
        hearing, self._hearing = self._hearing, None
        with self.sessions.metrics.step("hear"):
            turn = await self.sessions.run(self.talk.hear, hearing, end.text, start_s=self._start_s)
        self._tell("heard", turn)
        if end.reply is not None:
            await self._plan(end.reply, stopped_at)

    async def _plan(self, reply: str, stopped_at: float) -> None:
        self._planned = targets = await self.sessions.run(self.talk.plan, reply)
        self.sessions.metrics.targets_s.observe(time.perf_counter() - stopped_at)
        self.line.tell("targets", at_s=self.now_s, text=reply, targets=targets.model_dump(mode="json"))

    async def _said(self, said: Said) -> None:
        longest_s, run = self.sessions.limits.turn_s, self.sessions.run
        audio = await run(read_sound, said.audio, longest_s) if said.audio else None
        planned, self._planned = self._planned, None
        length_s = audio.duration_s if audio else 0.0
        start_s = max(self.talk.now_s, self.now_s - length_s)
        with self.sessions.metrics.step("spoke"):
            turn = await run(self.talk.spoke, said.text, audio, planned, start_s)
        self._tell("said", turn)

    def _tell(self, kind: str, turn: Turn) -> None:
        counted = private(self.sessions.metrics.count(turn))
        self.line.tell(kind, at_s=self.now_s, turn=counted.model_dump(mode="json"))
