"""A spoken conversation as it happens, free of devices: microphone sound in, what to play out, events beside.

The *ear* (entrain.ear, a thread) finds the user's turns. The *mind* (another) asks for the reply when one has ended, plans its sound, and says
it sentence by sentence. Who speaks while the agent does makes it fall silent at once; if it was a cough or an "mm-hm", it goes on where
it was.
"""

from __future__ import annotations

import logging
import queue
import re
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from entrain.asr import Transcript
from entrain.audio import Audio
from entrain.bounded import bounded
from entrain.conversation import Conversation, Piece
from entrain.ear import ECHO_S, Ear, Ears, Utterance
from entrain.history import History
from entrain.mouth import Mouth
from entrain.reply import Responder
from entrain.saying import Saying
from entrain.strategy import look
from entrain.swift import Thought
from entrain.syllables import count_syllables
from entrain.targets import Targets
from entrain.turn import Record, Turn
from entrain.wake import Woken

log = logging.getLogger(__name__)
Samples = NDArray[np.float32]  # (N,)
State = Literal["idle", "woken", "listening", "thinking", "speaking"]

LOOKED_TURNS = 40  # of the talk that "looked" tells of: the page shows no more
AT_ONCE_S = (
    0.002  # lets a reply that is there at once be thought of while the turn is remembered, not only then
)
LOOK_S = 0.005  # between two looks at what else happened while the agent thinks or speaks
MIN_VOICED_S = 0.1  # a turn without words and with less voice is a noise
BACKCHANNELS = {
    "mm-hm", "mhm", "mm", "hm", "hmm", "uh-huh", "uh", "aha", "ah", "oh", "yeah", "yep", "right", "okay", "ok", "sure",
    "great", "really", "i see", "all right", "oh yeah", "oh okay",
}  # fmt: skip
"""Said while the agent speaks, these ask it to go on."""


class Event(Record):
    """Something that happened, for who watches. `at_s`: seconds on the conversation's clock. `data` is fit for JSON.

    `state` · `wake` · `start`, `partial`, `end`, `heard`: the user's turn · `plan`, `saying`, `interrupted`, `said`: the agent's ·
    `looked`: where the strategy looked, over turns and words · `noise`: a sound that is no turn · `timing`: milliseconds
    after the user's last sound · `fault`: what failed, once a step.
    """

    type: str
    at_s: float
    data: dict[str, Any] = Field(default_factory=dict)


class Live:
    """One live talk. `feed` and `pull` may be called from any thread and return at once; `on` is called from ours, and must too."""

    def __init__(
        self, talk: Conversation, responder: Responder, rate_hz: int, out_rate_hz: int | None = None,
        ears: Ears | None = None, hands_free: bool = True, on: Callable[[Event], None] = lambda event: None,
        patience_s: float = 10.0, partials: bool = True, echo_s: float = ECHO_S,
    ) -> None:  # fmt: skip
        """`patience_s`: how long a reply is waited for. `partials`: write down what is being said while it is. `echo_s`: how long after
        `pull` its sound may still come back by the microphone."""
        self.talk, self.responder = talk, bounded(responder, patience_s)
        self.rate_hz, self.out_rate_hz = rate_hz, out_rate_hz or talk.entrainer.tts.rate_hz
        self._on, self._began_s = on, talk.now_s
        self._logged: set[str] = set()
        self._mouth = Mouth(self.out_rate_hz, lambda: self.now_s)
        self._ear = Ear(
            self, ears or Ears.load(), self._mouth, talk, talk.entrainer.recogniser, rate_hz, hands_free, partials, echo_s,
        )  # fmt: skip
        self.state: State = "idle" if self._ear.asleep else "listening"
        self._jobs: queue.Queue[Utterance | str | None] = queue.Queue()
        self._next: list[Utterance | str | None] = []
        """Jobs that were looked at while the agent was busy, and must be done next."""
        self._aside: list[tuple[Utterance, Transcript]] = []
        """Backchannels: remembered after the reply that they accompany."""
        self._unsettled: list[tuple[Turn, Callable[[], None]]] = []
        """What was said but is not measured and remembered yet: when the user took the floor, their answer comes first."""
        self._closing = threading.Event()
        self._asker = ThreadPoolExecutor(2, "asker")  # one may still wait for an answer that nobody wants
        self._mind = threading.Thread(target=self._think, name="mind", daemon=True)
        self._ear.open()
        self._mind.start()

    def feed(self, samples: Samples) -> None:
        """Sound of the microphone, `(N,)` at `rate_hz`, any N."""
        self._ear.feed(samples)

    def pull(self, n: int) -> Samples:
        """What to play next, `(n,)` at `out_rate_hz`; silence where there is nothing to say."""
        samples = self._mouth.read(n)
        self._ear.gate.played(samples)
        return samples

    def say(self, text: str) -> None:
        """The agent speaks of itself: a greeting."""
        self._jobs.put(text)

    def begin(self) -> None:
        """The user presses to talk. (`hands_free` false: turns are told by `begin` and `end` alone.)"""
        self._ear.press()

    def end(self) -> None:
        """The user lets go: the turn is over."""
        self._ear.let_go()

    def interrupt(self) -> None:
        """Make the agent stop, without anything said."""
        self._jobs.put("")

    def close(self) -> None:
        """End cleanly: what was said by either is kept."""
        self._closing.set()
        self._ear.close()
        self._jobs.put(None)
        self._mind.join()
        self._asker.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def now_s(self) -> float:
        """On the conversation's clock, which goes by the microphone's samples."""
        return self._began_s + self._ear.tape.now_s

    @property
    def hands_free(self) -> bool:
        return self._ear.hands_free

    @property
    def meters(self) -> tuple[float, float, float]:
        """Level of the microphone and of the agent, dB re full scale; probability that somebody speaks."""
        return self._ear.meters

    # --- what the ear tells (on its thread) ---------------------------------------------------------------------

    def woke(self, woken: Woken) -> None:
        self._set_state("woken")
        self._tell("wake", word=woken.word, score=woken.score)

    def dozed(self) -> None:
        self._set_state("idle")

    def began(self) -> None:
        self._set_state("listening")
        self._tell("start")

    def understood(self, text: str) -> None:
        self._tell("partial", text=text)

    def ended(self, utterance: Utterance, why: str) -> None:
        start_s, end_s = self._clock(utterance.start_s), self._clock(utterance.fed_s)
        self._tell("end", start_s=start_s, end_s=end_s, why=why)
        self._jobs.put(utterance)

    def fault(self, step: str, message: str) -> None:
        """Once a step: a talk that limps should not shout."""
        if step not in self._logged:
            self._logged.add(step)
            log.warning("live talk: %s: %s", step, message)
            self._tell("fault", step=step, message=message)

    @contextmanager
    def guard(self, step: str) -> Generator[None]:
        """Nothing here may end the talk: a step that fails is told once, and the talk goes on."""
        try:
            yield
        except Exception as error:
            log.debug("live talk: %s failed", step, exc_info=error)
            self.fault(step, f"{type(error).__name__}: {error}")

    @property
    def busy(self) -> bool:
        return self.state in ("thinking", "speaking")

    # --- the mind -----------------------------------------------------------------------------------------------

    def _think(self) -> None:
        # The dictionary takes a second to load, and so does the model: not in the first turn.
        with self.guard("warming"):
            count_syllables("warm")
            self.talk.entrainer.strategy.predict(History("warm"), "Hello.")
        while (job := self._next.pop(0) if self._next else self._jobs.get()) is not None:
            with self.guard("mind"):
                if isinstance(job, Utterance):
                    self._answer(job)
                elif job and not self._closing.is_set():
                    self._utter(job, self.talk.think(job))
                if not self._next and self._jobs.empty():
                    self._settle()
            if self._ear.utterance is None and not self._next and self.state != "idle":
                self._set_state("listening")
        with self.guard("mind"):
            self._settle()

    def _answer(self, turn: Utterance) -> None:
        said = self._words(turn)
        if self._is_noise(turn, said):
            return self._drop(turn)
        turn.passed("words")
        not_understood = not said.text and self.talk.entrainer.recogniser is not None
        if self._closing.is_set() or (not_understood and turn.short):
            return self._remember(turn, said)  # "mm-hm" is a turn, but wants no answer
        if not_understood:
            self._remember(turn, said)
            return self._utter(self.responder.sorry, self.talk.think(self.responder.sorry), turn)
        self._set_state("thinking")
        # Who answers is asked beside all that entrainment needs: nobody waits for that.
        turns = [*self.talk.turns, *(unsettled for unsettled, _ in self._unsettled)]
        reply = self._asker.submit(self._ask, said.text, turns)
        wait([reply], AT_ONCE_S)
        self._remember(turn, said)
        while not wait([reply], LOOK_S).done:
            if self._overtaken(speaking=False):
                return self.responder.cancel()  # the user went on: this reply is not wanted any more
        turn.passed("reply")
        if self.responder.fault:
            self.fault("responder", self.responder.fault)
        return self._utter(*reply.result(), turn)

    def _ask(self, text: str, turns: list[Turn]) -> tuple[str, Thought | None]:
        """The reply; the voice begins to think of it while the mind still plans."""
        reply = self.responder.reply(text, turns)
        return reply, self.talk.think(reply)

    def _remember(self, turn: Utterance, said: Transcript) -> None:
        self._settle()
        self._remember_user(turn, said)

    def _settle(self) -> None:
        while self._unsettled:
            self._unsettled.pop(0)[1]()

    def _remember_user(self, turn: Utterance, said: Transcript) -> None:
        heard = self.talk.hear(turn.hearing, said.text, said.words, self._clock(turn.start_s))
        self._tell("heard", turn=heard.model_dump(mode="json"))

    def _words(self, turn: Utterance) -> Transcript:
        """What was said, without the wake word before it. A recogniser that fails has understood nothing."""
        found = Transcript("")
        with self.guard("recognition"):
            found = turn.words.result() if turn.words else found
        word = self._ear.ears.wake.word if self._ear.ears.wake else ""
        opening = re.match(
            r"\W*" + r"\W+".join(map(re.escape, word.split())) + r"\b\W*", found.text, re.IGNORECASE
        )
        if not word or not opening:
            return found
        rest = found.text[opening.end() :]
        turn.only_woke = not rest
        return Transcript(rest[:1].upper() + rest[1:], found.words[len(word.split()) :])

    def _is_noise(self, turn: Utterance, said: Transcript) -> bool:
        """A cough, a door; or the wake word alone: nothing was said. Recognisers make up words for a short noise ("That's it." for a
        sneeze with .05 s of voice), so there the voice decides; a longer turn may be whispered."""
        if said.text and not turn.short:
            return False
        return turn.only_woke or turn.hearing.finish().voiced_s < MIN_VOICED_S

    def _drop(self, turn: Utterance) -> None:
        turn.hearing.drop()
        self._tell("noise")

    def _overtaken(self, speaking: bool = True) -> bool:
        """Has something happened that ends this reply? Noises and backchannels do not: the agent goes on where it fell silent.
        Nor does a greeting: it waits, and whoever takes the floor goes before it."""
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return self._closing.is_set()
            if isinstance(job, Utterance):
                if not self._goes_on(job, speaking):
                    self._next.insert(0, job)
                    return True
            elif job:
                self._next.append(job)
            else:  # "": be silent; None: the talk is over
                self._next.insert(0, job)
                return True

    def _goes_on(self, turn: Utterance, speaking: bool) -> bool:
        """Does the agent, though somebody made a sound?"""
        said = self._words(turn)
        if self._is_noise(turn, said):
            self._drop(turn)
        elif speaking and _is_backchannel(turn, said):
            self._aside.append((turn, said))
        else:
            return False
        if self._ear.utterance is None:
            self._mouth.release()
            self._set_state("speaking" if speaking else "thinking")
        return True

    def _utter(self, text: str, thought: Thought | None, turn: Utterance | None = None) -> None:
        """Plan and say it; remember what was really said, and how it really sounded."""
        if not text.strip():
            return
        targets = self.talk.plan(text)
        if turn:
            turn.passed("plan")
        self._tell("plan", text=text, targets=targets.model_dump(mode="json"))
        reply = Saying()
        self._mouth.begin()
        if self._ear.utterance:
            self._mouth.hold()  # the user has begun to speak meanwhile
        interrupted = self._play(self.talk.pieces(text, targets, thought), reply, turn)
        played = self._mouth.stop()
        said = reply.said(played)
        if interrupted:
            self._tell("interrupted", said=said)
        if said:
            start_s = self._mouth.began_s or self.now_s
            end_s = start_s + played.audio.duration_s
            spoken = Turn(speaker="agent", start_s=start_s, end_s=end_s, text=said)
            usual, notes = reply.left_alone(played), tuple(reply.notes)
            remember = partial(
                self._remember_agent, said, played.audio, targets, start_s, usual, notes, interrupted
            )
            self._unsettled.append((spoken, remember))
        for aside, words in self._aside:
            start_s, end_s = self._clock(aside.start_s), self._clock(aside.fed_s)
            heard = Turn(speaker="user", start_s=start_s, end_s=end_s, text=words.text)
            self._unsettled.append((heard, partial(self._remember_user, aside, words)))
        self._aside.clear()
        if not self._next and self._jobs.empty():
            self._settle()
            self._look()

    def _remember_agent(
        self, text: str, audio: Audio, targets: Targets, start_s: float, usual: Audio | None, notes: tuple[str, ...],
        interrupted: bool,
    ) -> None:  # fmt: skip
        spoken = self.talk.spoke(text, audio, targets, start_s, usual, notes)
        self._tell("said", turn=spoken.model_dump(mode="json"), interrupted=interrupted)

    def _play(self, pieces: Iterator[Piece], reply: Saying, turn: Utterance | None) -> bool:
        """Say the pieces as they are made; True if the user took the floor."""
        for piece in pieces:
            if turn and "voice" not in turn.ms:
                turn.passed("voice")
            if piece.number not in reply.texts:
                if self._ear.utterance is None:
                    self._set_state("speaking")
                self._tell("saying", text=piece.text, number=piece.number, duration_s=piece.audio.duration_s)
            reply.add(piece)
            self._mouth.put(piece.number, piece.audio)
            if self._overtaken():
                return True
        while not self._mouth.wait(LOOK_S):
            if turn and self._mouth.began_s is not None and "sound" not in turn.ms:
                turn.ms["sound"] = round(1000 * (self._mouth.began_at - turn.stopped_at), 1)
                self._tell("timing", **turn.ms)
            if self._overtaken():
                return True
        return False

    def _look(self) -> None:
        """Where the strategy looked for the reply just said, over turns and words."""
        strategy, turns = self.talk.entrainer.strategy, self.talk.turns[-LOOKED_TURNS:]
        with self.guard("attention"):
            if looked := look(strategy, turns):
                turns_of, words = looked[max(looked)]
                self._tell("looked", turns=list(turns_of), words=[list(pair) for pair in words])

    # --- what is told -------------------------------------------------------------------------------------------

    def _clock(self, stream_s: float) -> float:
        return self._began_s + stream_s

    def _set_state(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self._tell("state", state=state)

    def _tell(self, kind: str, **data: Any) -> None:
        try:
            self._on(Event(type=kind, at_s=self.now_s, data=data))
        except Exception:
            if kind not in self._logged:
                log.exception("who watches the talk failed on %s; going on", kind)
            self._logged.add(kind)


def _is_backchannel(turn: Utterance, said: Transcript) -> bool:
    """Said beside the agent's words, not against them; one without words ("mm-hm" is not always understood) too."""
    return turn.short and said.text.lower().strip(" .,!?") in BACKCHANNELS | {""}
