"""The user, heard: wake word, voice activity, turns and their pauses, on a thread of its own.

At each pause that may be the turn's end its words begin to be written down and its prosody to be measured, so that both are there when
the turn proves to be over.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from entrain.asr import RATE_HZ, Recogniser, Transcript
from entrain.audio import Audio
from entrain.echo import EchoGate
from entrain.endpoint import Boundary, Endpointer, EndpointPolicy, TurnDetector
from entrain.mouth import SILENT_DB, Mouth
from entrain.smart_turn import SmartTurn
from entrain.tape import Tape
from entrain.vad import VAD, load_vad
from entrain.wake import Wake, Woken, load_wake
from entrain.worker import Hearing

Samples = NDArray[np.float32]  # (N,)

KEPT_S = (
    3.0  # of sound before now: a turn begins before it is known to; a wake word is heard after it is said
)
BEFORE_WAKE_S = 1.5
SHORT_S = 1.2  # "oh, all right" with its pre-roll; most sneezes
PRESSED_S = 0.1  # people speak as they press
PARTIAL_EVERY_S = 0.8
ECHO_S = 0.4  # so long after it was pulled may the agent's sound be heard: the sound card, and the room
FRAME = 512  # samples, 32 ms: what is asked at once whether it is more than echo
MAX_WAITING = 1_500  # chunks that the ear has not come to, 30 s of 20 ms: beyond, sound is lost


@dataclass
class Utterance:
    """A user's turn that is being spoken or has just ended; times in seconds of the microphone's stream."""

    start_s: float
    hearing: Hearing
    fed_s: float
    """Up to where its sound went to be measured: at last, its end."""
    words: Future[Transcript] | None = None
    """What is being written down, of the turn up to its latest pause."""
    ms: dict[str, float] = field(default_factory=dict[str, float])
    """When what was ready, after the user's last sound."""
    stopped_at: float = 0.0
    """That last sound, by `time.perf_counter`."""
    only_woke: bool = False
    """Nothing but the wake word was said."""

    @property
    def short(self) -> bool:
        """May it be a backchannel, or a cough?"""
        return self.fed_s - self.start_s <= SHORT_S

    def passed(self, what: str) -> None:
        self.ms[what] = round(1000 * (time.perf_counter() - self.stopped_at), 1)


@dataclass(frozen=True)
class Ears:
    """What a live talk listens with. `detector` None: a turn ends by silence alone. `wake` None: always awake."""

    vad: VAD
    policy: EndpointPolicy = field(default_factory=EndpointPolicy)
    detector: TurnDetector | None = None
    wake: Wake | None = None
    awake_s: float = 15.0
    """How long without speech until the wake word is needed again, seconds."""

    @classmethod
    def load(cls, vad: str = "silero", wake: str | None = None, smart: bool = True, **more: Any) -> Ears:
        """By name; `smart`: with Smart Turn, which tells a pause from an end."""
        detector = SmartTurn() if smart else None
        return cls(load_vad(vad), detector=detector, wake=load_wake(wake) if wake else None, **more)


class Host(Protocol):
    """Who an ear tells what it hears. Called on the ear's thread; returns at once and never raises."""

    def woke(self, woken: Woken) -> None: ...
    def dozed(self) -> None: ...
    def began(self) -> None: ...
    def understood(self, text: str) -> None:
        """The words of a turn that is still being spoken, as far as they are understood."""

    def ended(self, utterance: Utterance, why: str) -> None: ...
    def fault(self, step: str, message: str) -> None: ...
    def guard(self, step: str) -> AbstractContextManager[None]: ...
    @property
    def busy(self) -> bool:
        """Is the agent thinking or speaking? Then nobody dozes."""
        ...


class Listener(Protocol):
    """A conversation, or the process that measures turns."""

    def listen(self, rate_hz: int) -> Hearing: ...


class Ear:
    """One microphone's. `feed`, `press` and `let_go` may be called from any thread and return at once."""

    def __init__(
        self, host: Host, ears: Ears, mouth: Mouth, listener: Listener, recogniser: Recogniser | None, rate_hz: int,
        hands_free: bool = True, partials: bool = True, echo_s: float = ECHO_S,
    ) -> None:  # fmt: skip
        self.host, self.ears, self.mouth = host, ears, mouth
        self.listener, self.recogniser = listener, recogniser
        self.hands_free, self.partials = hands_free, partials
        self.utterance: Utterance | None = None
        """The turn that is being spoken."""
        self.asleep = ears.wake is not None
        self.meters = (SILENT_DB, SILENT_DB, 0.0)
        self.tape = Tape(RATE_HZ)
        self.gate, self.echo_s = EchoGate(mouth.rate_hz, echo_s), echo_s
        self._incoming: queue.Queue[Samples | Callable[[], None] | None] = queue.Queue()
        self._resampler = None if rate_hz == RATE_HZ else soxr.ResampleStream(rate_hz, RATE_HZ, 1)
        self._wake = ears.wake.stream() if ears.wake else None
        self._scribe = ThreadPoolExecutor(1, "scribe")
        self._partial: Future[Transcript] | None = None
        self._partial_s = self.spoke_s = 0.0
        self._listen_from(0.0)
        self._thread = threading.Thread(target=self._listen, name="ear", daemon=True)

    def open(self) -> None:
        self._scribe.submit(self._write, Audio(np.zeros(RATE_HZ // 2, np.float32), RATE_HZ))  # to load it
        self._thread.start()

    def feed(self, samples: Samples) -> None:
        if self._incoming.qsize() < MAX_WAITING:
            self._incoming.put(np.array(samples, np.float32).reshape(-1))
        else:
            self.host.fault("ears", "they can't keep up, and sound is lost; is the machine too slow?")

    def press(self) -> None:
        self._incoming.put(lambda: self._start(max(0.0, self.tape.now_s - PRESSED_S)))

    def let_go(self) -> None:
        self._incoming.put(lambda: self._end(self.tape.now_s, "pressed"))

    def close(self) -> None:
        """The turn under way, if any, ends here."""
        self._incoming.put(None)
        self._thread.join()
        self._scribe.shutdown()

    def _listen_from(self, from_s: float) -> None:
        """Fresh ears for turns: their clock begins there."""
        self._from_s = from_s
        self._vad = self.ears.vad.stream()
        self._endpointer = Endpointer(self.ears.policy, self._vad.step_s, self.ears.detector)

    def _listen(self) -> None:
        while (item := self._incoming.get()) is not None:
            with self.host.guard("ears"):
                if callable(item):
                    item()
                else:
                    self._hear(item)
        with self.host.guard("ears"):
            self._end(self.tape.now_s, "closed")

    def _hear(self, samples: Samples) -> None:
        if not np.isfinite(samples).all():
            self.host.fault("microphone", "samples that are not finite are taken as silence")
            samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
        heard = self._resampler.resample_chunk(samples) if self._resampler else samples
        self.tape.add(np.asarray(heard, np.float32))
        if self.asleep:
            self._note_level(heard, 0.0)
            heard = self._since_wake(heard)
        if len(heard):
            self._judge(heard)
        if self.utterance is None:
            self.tape.forget(self.tape.now_s - KEPT_S)
            self._doze()

    def _since_wake(self, heard: Samples) -> Samples:
        """What to listen to when the wake word was just said: the sound before the trigger too, since what follows the word
        may be one breath with it. Nothing while asleep."""
        for woken in self._wake.feed(heard) if self._wake else ():
            self._listen_from(max(0.0, self.tape.now_s - BEFORE_WAKE_S))
            self.spoke_s = self.tape.now_s
            self.asleep = False
            self.host.woke(woken)
            return self.tape.part(self._from_s, self.tape.now_s)
        return heard[:0]

    def _judge(self, heard: Samples) -> None:
        probability = self.meters[2]
        for start in range(0, len(heard), FRAME):
            for probability in self._speech(heard[start : start + FRAME]):
                if probability >= self.ears.policy.stop_p:
                    self.spoke_s = self.tape.now_s
                if self.hands_free:
                    self._at(self._endpointer.feed(probability, self._sound))
        self._note_level(heard, probability)
        if self.utterance:
            now_s, spoken_s = self.tape.now_s, self._from_s + self._endpointer.speech_end_s
            self._measure(min(now_s, spoken_s) if self.hands_free else now_s)
            self._write_partly()

    def _speech(self, frame: Samples) -> list[float]:
        """How probable it is that somebody speaks; while the agent does, only what is louder than its echo counts."""
        passes = not self.mouth.sounding(self.echo_s) or self.gate.passes(frame)
        return [probability if passes else 0.0 for probability in self._vad.feed(frame).tolist()]

    def _sound(self, start_s: float, end_s: float) -> Samples:
        return self.tape.part(self._from_s + start_s, self._from_s + end_s)

    def _note_level(self, heard: Samples, probability: float) -> None:
        level_db = Audio(heard, RATE_HZ).level_db
        self.meters = (max(SILENT_DB, level_db or SILENT_DB), self.mouth.level_db, round(probability, 3))

    def _at(self, boundaries: list[Boundary]) -> None:
        for boundary in boundaries:
            at_s = self._from_s + boundary.at_s
            if boundary.kind == "start":
                self._start(at_s)
            elif boundary.kind == "pause":
                self._pause(at_s)
            elif boundary.kind == "end":
                self._end(at_s, boundary.why)
            elif self.utterance:
                self.utterance.words = None

    def _start(self, at_s: float) -> None:
        if self.utterance:
            return
        self.mouth.hold()  # at once: nobody wants to be talked over
        self.utterance = Utterance(at_s, self.listener.listen(RATE_HZ), at_s)
        self._partial_s = at_s
        self.host.began()

    def _pause(self, at_s: float) -> None:
        """Perhaps the end: what it needs is begun now."""
        if (turn := self.utterance) is None:
            return
        self._measure(at_s)
        silent_s = self.tape.now_s - turn.fed_s + self.ears.policy.tail_s
        turn.stopped_at = time.perf_counter() - max(0.0, silent_s)
        turn.words = self._scribe.submit(self._write, turn.hearing.audio)
        turn.hearing.glance()

    def _end(self, at_s: float, why: str) -> None:
        if (turn := self.utterance) is None:
            return
        if turn.words is None or at_s > turn.fed_s:
            self._pause(at_s)
        self.utterance = None
        turn.passed("end")
        self.host.ended(turn, why)

    def _measure(self, until_s: float) -> None:
        """Send the turn's sound on to be measured, up to there; a pause is sent once speech goes on after it."""
        if (turn := self.utterance) and until_s > turn.fed_s:
            turn.hearing.feed(self.tape.part(turn.fed_s, until_s))
            turn.fed_s = until_s

    def _write(self, audio: Audio) -> Transcript:
        return self.recogniser.transcribe(audio) if self.recogniser else Transcript("")

    def _write_partly(self) -> None:
        """What was understood so far, while it is still being said; never when the scribe is busy."""
        turn, now_s = self.utterance, self.tape.now_s
        busy = self._partial is not None and not self._partial.done()
        if turn is None or busy or not self.partials or now_s - self._partial_s < PARTIAL_EVERY_S:
            return
        if turn.fed_s < now_s - self._vad.step_s:  # a pause: what may be the last word is being written
            return
        self._partial_s = now_s
        self._partial = self._scribe.submit(self._write, turn.hearing.audio)
        self._partial.add_done_callback(self._tell_partial)

    def _tell_partial(self, words: Future[Transcript]) -> None:
        if self.utterance and not words.cancelled() and words.exception() is None and words.result().text:
            self.host.understood(words.result().text)

    def _doze(self) -> None:
        """Without speech for long, the wake word is needed again."""
        if self._wake is None or self.asleep:
            return
        if self.host.busy:
            self.spoke_s = self.tape.now_s
        elif self.tape.now_s - self.spoke_s > self.ears.awake_s:
            self.asleep = True
            self.host.dozed()
