"""A spoken conversation as it happens, free of devices: microphone sound in, what to play out, events beside.

Three threads. The *ear* finds wake word, turns and pauses. At each pause that may be the end, the *scribe* begins to write down what was
said and the turn's prosody is looked at: so both are there when the turn proves to be over. The *mind* then asks for the reply, plans its
sound, and says it sentence by sentence. Who speaks while the agent does makes it fall silent at once; if it was a cough or an
"mm-hm", it goes on where it was.
"""

from __future__ import annotations

import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import soxr
from numpy.typing import NDArray
from pydantic import Field

from entrain.asr import RATE_HZ, Transcript
from entrain.audio import Audio
from entrain.bounded import bounded
from entrain.conversation import Conversation, Piece
from entrain.echo import EchoGate
from entrain.endpoint import Boundary, Endpointer, EndpointPolicy, TurnDetector
from entrain.mouth import Mouth, Said
from entrain.reply import Responder
from entrain.smart_turn import SmartTurn
from entrain.strategy import Explains
from entrain.tape import Tape
from entrain.turn import Record
from entrain.vad import VAD, load_vad
from entrain.wake import Wake, load_wake
from entrain.worker import Hearing

log = logging.getLogger(__name__)
Samples = NDArray[np.float32]  # (N,)
State = Literal["idle", "woken", "listening", "thinking", "speaking"]

KEPT_S = (
    3.0  # of sound before now: a turn begins before it is known to; a wake word is heard after it is said
)
BEFORE_WAKE_S = 1.5
PRESSED_S = 0.1  # people speak as they press
PARTIAL_EVERY_S = 0.8
LOOKED_TURNS = 40  # of the talk that "looked" tells of: the page shows no more
ECHO_TAIL_S = 0.4  # a room still sounds so long after the loudspeaker
LOOK_S = 0.005  # between two looks at what else happened while the agent thinks or speaks
MAX_WAITING = 1_500  # chunks that the ears have not come to, 30 s of 20 ms: beyond, the oldest are lost, and that is told
MIN_VOICED_S = 0.1  # a turn without words and with less voice is a noise
BACKCHANNEL_S = 1.2
BACKCHANNELS = {
    "mm-hm", "mhm", "mm", "hm", "hmm", "uh-huh", "uh", "aha", "ah", "oh", "yeah", "yep", "right", "okay", "ok", "sure",
    "great", "really", "i see", "all right", "oh yeah", "oh okay",
}  # fmt: skip
"""Said while the agent speaks, these ask it to go on."""


class Event(Record):
    """Something that happened, for who watches. `at_s`: seconds on the conversation's clock. `data` is fit for JSON."""

    type: str
    at_s: float
    data: dict[str, Any] = Field(default_factory=dict)


@dataclass
class Open:
    """A user's turn that is going on or has just ended; times in seconds of the microphone's stream."""

    start_s: float
    hearing: Hearing
    end_s: float | None = None
    fed_s: float = 0.0
    """Up to where its sound went to be measured."""
    words: Future[Transcript] | None = None
    """What is being written down, of the turn up to its latest pause."""
    ms: dict[str, float] = field(default_factory=dict[str, float])
    """When what was ready, after the user's last sound."""
    stopped_at: float = 0.0
    """That last sound, by `time.perf_counter`."""
    only_woke: bool = False
    """Nothing but the wake word was said."""

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

        return cls(
            load_vad(vad),
            detector=SmartTurn() if smart else None,
            wake=load_wake(wake) if wake else None,
            **more,
        )


class Live:
    """One live talk. `feed` and `pull` may be called from any thread and return at once; `on` is called from ours, and must too."""

    def __init__(
        self, talk: Conversation, responder: Responder, rate_hz: int, out_rate_hz: int | None = None,
        ears: Ears | None = None, hands_free: bool = True, on: Callable[[Event], None] = lambda event: None,
        patience_s: float = 10.0, partials: bool = True,
    ) -> None:  # fmt: skip
        self.talk, self.ears, self.hands_free, self.partials = talk, ears or Ears.load(), hands_free, partials
        self.responder = bounded(responder, patience_s)
        self.rate_hz, self.out_rate_hz = rate_hz, out_rate_hz or talk.entrainer.tts.rate_hz
        self.state: State = "idle" if self.ears.wake else "listening"
        self.meters = (-120.0, -120.0, 0.0)
        """Level of the microphone and of the agent, dB re full scale; probability that somebody speaks."""
        self._on, self._began_s = on, talk.now_s
        self._mouth = Mouth(self.out_rate_hz, lambda: self.now_s)
        self._incoming: queue.Queue[Samples | Callable[[], None] | None] = queue.Queue()
        self._jobs: queue.Queue[Open | str | None] = queue.Queue()
        self._next: list[Open | str | None] = []
        """Jobs that were looked at while the agent was busy, and must be done next."""
        self._aside: list[tuple[Open, Transcript]] = []
        """Backchannels: remembered after the reply that they accompany."""
        self._logged: set[str] = set()
        self._closing = threading.Event()
        self._open_ears()
        self._scribe = ThreadPoolExecutor(1, "scribe")
        self._asker = ThreadPoolExecutor(
            2, "asker"
        )  # two, since one may still wait for an answer nobody wants
        self._threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for name, work in (("ear", self._listen), ("mind", self._think))
        ]
        for thread in self._threads:
            thread.start()

    # --- what a host calls --------------------------------------------------------------------------------------

    def feed(self, samples: Samples) -> None:
        """Sound of the microphone, `(N,)` at `rate_hz`, any N."""
        if self._incoming.qsize() < MAX_WAITING:
            self._incoming.put(np.array(samples, np.float32).reshape(-1))
        else:
            self._tell_fault("ears", "the ears can't keep up; sound is lost")

    def pull(self, n: int) -> Samples:
        """What to play next, `(n,)` at `out_rate_hz`; silence where there is nothing to say."""
        samples = self._mouth.read(n)
        self._gate.played(samples)
        return samples

    def say(self, text: str) -> None:
        """The agent speaks of itself: a greeting."""
        self._jobs.put(text)

    def begin(self) -> None:
        """The user presses to talk. (`hands_free` false: turns are told by `begin` and `end` alone.)"""
        self._incoming.put(lambda: self._start(max(0.0, self._tape.now_s - PRESSED_S)))

    def end(self) -> None:
        """The user lets go: the turn is over."""
        self._incoming.put(lambda: self._end(self._tape.now_s, "pressed"))

    def interrupt(self) -> None:
        """Make the agent stop, without anything said."""
        self._jobs.put("")

    def close(self) -> None:
        """End cleanly: what was said by either is kept."""
        self._closing.set()
        self._incoming.put(None)
        self._threads[0].join()
        self._jobs.put(None)
        self._threads[1].join()
        self._scribe.shutdown()
        self._asker.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def now_s(self) -> float:
        """On the conversation's clock, which goes by the microphone's samples."""
        return self._began_s + self._tape.now_s

    # --- the ear ------------------------------------------------------------------------------------------------

    def _open_ears(self) -> None:
        self._tape = Tape(RATE_HZ)
        self._gate = EchoGate(self.out_rate_hz)
        self._resampler = None if self.rate_hz == RATE_HZ else soxr.ResampleStream(self.rate_hz, RATE_HZ, 1)
        self._wake = self.ears.wake.stream() if self.ears.wake else None
        self._turn: Open | None = None
        self._speech_s = 0.0  # when somebody last spoke
        self._partial: Future[Transcript] | None = None
        self._partial_s = 0.0
        self._wake_up(0.0)

    def _wake_up(self, from_s: float) -> None:
        """Fresh ears for turns: their clock begins there."""
        self._from_s = from_s
        self._vad = self.ears.vad.stream()
        self._endpointer = Endpointer(self.ears.policy, self._vad.step_s, self.ears.detector)

    def _listen(self) -> None:
        while (item := self._incoming.get()) is not None:
            with self._guard("ears"):
                if callable(item):
                    item()
                else:
                    self._hear(item)
        with self._guard("ears"):
            self._end(self._tape.now_s, "closed")

    def _hear(self, samples: Samples) -> None:
        if not np.isfinite(samples).all():
            self._tell_fault("microphone", "samples that are not finite are taken as silence")
            samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
        heard = self._resampler.resample_chunk(samples) if self._resampler else samples
        self._tape.add(np.asarray(heard, np.float32))
        if self.state == "idle":
            self._note_level(heard, 0.0)
            heard = self._since_wake(heard)
        if len(heard):
            self._judge(heard)
        if self._turn is None:
            self._tape.forget(self._tape.now_s - KEPT_S)
            self._doze()

    def _since_wake(self, heard: Samples) -> Samples:
        """What to listen to when the wake word was just said: the sound before the trigger too, since what follows the word
        may be one breath with it. Nothing while asleep."""
        for woken in self._wake.feed(heard) if self._wake else ():
            self._wake_up(max(0.0, self._tape.now_s - BEFORE_WAKE_S))
            self._speech_s = self._tape.now_s
            self._set_state("woken")
            self._tell("wake", word=woken.word, score=woken.score)
            return self._tape.part(self._from_s, self._tape.now_s)
        return heard[:0]

    def _judge(self, heard: Samples) -> None:
        """Does somebody speak? While the agent does, only what is louder than its echo counts."""
        passes = not self._mouth.sounding(ECHO_TAIL_S) or self._gate.passes(heard)
        probability = self.meters[2]
        for probability in self._vad.feed(heard).tolist():
            probability = probability if passes else 0.0
            if probability >= self.ears.policy.stop_p:
                self._speech_s = self._tape.now_s
            if self.hands_free:
                self._at(self._endpointer.feed(probability, self._sound))
        self._note_level(heard, probability)
        if self._turn:
            now_s, spoken_s = self._tape.now_s, self._from_s + self._endpointer.speech_end_s
            self._measure(min(now_s, spoken_s) if self.hands_free else now_s)
            self._write_partly()

    def _sound(self, start_s: float, end_s: float) -> Samples:
        return self._tape.part(self._from_s + start_s, self._from_s + end_s)

    def _note_level(self, heard: Samples, probability: float) -> None:
        level_db = Audio(heard, RATE_HZ).level_db
        self.meters = (max(-120.0, level_db or -120.0), self._mouth.level_db, round(probability, 3))

    def _at(self, boundaries: list[Boundary]) -> None:
        for boundary in boundaries:
            at_s = self._from_s + boundary.at_s
            if boundary.kind == "start":
                self._start(at_s)
            elif boundary.kind == "pause":
                self._pause(at_s)
            elif boundary.kind == "end":
                self._end(at_s, boundary.why)
            elif self._turn:
                self._turn.words = None

    def _start(self, at_s: float) -> None:
        if self._turn:
            return
        self._mouth.hold()  # at once: nobody wants to be talked over
        self._turn = Open(at_s, self.talk.listen(RATE_HZ), fed_s=at_s)
        self._partial_s = at_s
        self._set_state("listening")
        self._tell("start")

    def _pause(self, at_s: float) -> None:
        """Perhaps the end: what it needs is begun now."""
        if (turn := self._turn) is None:
            return
        self._measure(at_s)
        turn.stopped_at = time.perf_counter() - max(0.0, self._tape.now_s - turn.fed_s)
        turn.words = self._scribe.submit(self._write, turn.hearing.audio)
        turn.hearing.glance()

    def _end(self, at_s: float, why: str) -> None:
        if (turn := self._turn) is None:
            return
        if turn.words is None or at_s > turn.fed_s:
            self._pause(at_s)
        self._turn, turn.end_s = None, turn.fed_s
        turn.passed("end")
        self._tell("end", start_s=self._clock(turn.start_s), end_s=self._clock(turn.end_s), why=why)
        self._jobs.put(turn)

    def _measure(self, until_s: float) -> None:
        """Send the turn's sound on to be measured, up to there; a pause is sent once speech goes on after it."""
        if (turn := self._turn) and until_s > turn.fed_s:
            turn.hearing.feed(self._tape.part(turn.fed_s, until_s))
            turn.fed_s = until_s

    def _write(self, audio: Audio) -> Transcript:
        recogniser = self.talk.entrainer.recogniser
        return recogniser.transcribe(audio) if recogniser else Transcript("")

    def _write_partly(self) -> None:
        """What was understood so far, while it is still being said; never when the scribe is busy."""
        turn, now_s = self._turn, self._tape.now_s
        busy = self._partial is not None and not self._partial.done()
        if turn is None or busy or not self.partials or now_s - self._partial_s < PARTIAL_EVERY_S:
            return
        if turn.fed_s < now_s - self._vad.step_s:  # a pause: what may be the last word is being written
            return
        self._partial_s = now_s
        self._partial = self._scribe.submit(self._write, turn.hearing.audio)
        self._partial.add_done_callback(self._tell_partial)

    def _tell_partial(self, words: Future[Transcript]) -> None:
        if self._turn and not words.cancelled() and words.exception() is None and words.result().text:
            self._tell("partial", text=words.result().text)

    def _doze(self) -> None:
        """Without speech for long, the wake word is needed again."""
        awake = self._wake and self.state in ("woken", "listening")
        if awake and self._tape.now_s - self._speech_s > self.ears.awake_s:
            self._set_state("idle")

    # --- the mind -----------------------------------------------------------------------------------------------

    def _think(self) -> None:
        while (job := self._next.pop(0) if self._next else self._jobs.get()) is not None:
            with self._guard("mind"):
                if isinstance(job, Open):
                    self._answer(job)
                elif job:
                    self._utter(job)
            self._mouth.release()
            self._speech_s = max(self._speech_s, self._tape.now_s)
            if self._turn is None and not self._next and self.state != "idle":
                self._set_state("listening")

    def _answer(self, turn: Open) -> None:
        said = self._words(turn)
        if self._is_noise(turn, said):
            return self._drop(turn)
        turn.passed("words")
        if self._closing.is_set():
            return self._remember(turn, said)
        self._set_state("thinking")
        # Who answers is asked beside all that entrainment needs: nobody waits for that.
        reply = self._asker.submit(self.responder.reply, said.text, list(self.talk.turns))
        self._remember(turn, said)
        while not reply.done():
            if self._overtaken(speaking=False):
                return self.responder.cancel()  # the user went on: this reply is not wanted any more
            time.sleep(LOOK_S)
        turn.passed("reply")
        if self.responder.fault:
            self._tell_fault("responder", self.responder.fault)
        return self._utter(reply.result(), turn)

    def _remember(self, turn: Open, said: Transcript) -> None:
        heard = self.talk.hear(turn.hearing, said.text, said.words, self._clock(turn.start_s))
        self._tell("heard", turn=heard.model_dump(mode="json"))

    def _words(self, turn: Open) -> Transcript:
        """What was said, without the wake word before it. A recogniser that fails has understood nothing."""
        found = Transcript("")
        with self._guard("recognition"):
            found = turn.words.result() if turn.words else found
        word = self.ears.wake.word if self.ears.wake else ""
        opening = re.match(
            r"\W*" + r"\W+".join(map(re.escape, word.split())) + r"\b\W*", found.text, re.IGNORECASE
        )
        if not word or not opening:
            return found
        rest = found.text[opening.end() :]
        turn.only_woke = not rest
        return Transcript(rest[:1].upper() + rest[1:], found.words[len(word.split()) :])

    def _is_noise(self, turn: Open, said: Transcript) -> bool:
        """A cough, a door; or the wake word alone: nothing was said."""
        return not said.text and (turn.only_woke or turn.hearing.finish().voiced_s < MIN_VOICED_S)

    def _drop(self, turn: Open) -> None:
        turn.hearing.drop()
        self._tell("noise")

    def _overtaken(self, speaking: bool = True) -> bool:
        """Has something happened that ends this reply? Noises and backchannels do not: the agent goes on where it fell silent."""
        while not self._next:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return self._closing.is_set()
            if isinstance(job, Open):
                said = self._words(job)
                if self._is_noise(job, said):
                    self._drop(job)
                elif speaking and _is_backchannel(job, said):
                    self._aside.append((job, said))
                else:
                    self._next.append(job)
                    return True
                if self._turn is None:
                    self._mouth.release()
                    self._set_state("speaking" if speaking else "thinking")
            else:
                self._next.append(job)
                return not job  # None: the talk is over; "": be silent; a greeting waits
        return not self._next[0] or isinstance(self._next[0], Open)

    def _utter(self, text: str, turn: Open | None = None) -> None:
        """Plan and say it; remember what was really said, and how it really sounded."""
        if not text.strip():
            return
        targets = self.talk.plan(text)
        if turn:
            turn.passed("plan")
        self._tell("plan", text=text, targets=targets.model_dump(mode="json"))
        reply = Reply()
        self._mouth.begin()
        if self._turn:
            self._mouth.hold()  # the user has begun to speak meanwhile
        interrupted = self._play(self.talk.pieces(text, targets), reply, turn)
        played = self._mouth.stop()
        if interrupted:
            self._tell("interrupted", said=reply.said(played))
        if reply.said(played):
            spoken = self.talk.spoke(
                reply.said(played), played.audio, targets, self._mouth.began_s, reply.left_alone(played), tuple(reply.notes)
            )  # fmt: skip
            self._tell("said", turn=spoken.model_dump(mode="json"), interrupted=interrupted)
        for aside in self._aside:
            self._remember(*aside)
        self._aside.clear()
        if not self._next and self._jobs.empty():
            self._look()

    def _play(self, pieces: Iterator[Piece], reply: Reply, turn: Open | None) -> bool:
        """Say the pieces as they are made; True if the user took the floor."""
        for piece in pieces:
            if turn and "voice" not in turn.ms:
                turn.passed("voice")
            if piece.number not in reply.texts:
                if self._turn is None:
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
        with self._guard("attention"):
            looked = strategy.look(turns) if isinstance(strategy, Explains) else {}
            if looked:
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

    def _tell_fault(self, step: str, message: str) -> None:
        """Once a step: a talk that limps should not shout."""
        if step not in self._logged:
            self._logged.add(step)
            log.warning("live talk: %s: %s", step, message)
            self._tell("fault", step=step, message=message)

    @contextmanager
    def _guard(self, step: str) -> Generator[None]:
        """Nothing here may end the talk: a step that fails is told once, and the talk goes on."""
        try:
            yield
        except Exception as error:
            log.debug("live talk: %s failed", step, exc_info=error)
            self._tell_fault(step, f"{type(error).__name__}: {error}")


class Reply:
    """What has been made of a reply so far."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.usual: dict[int, Audio] = {}
        self.notes: list[str] = []

    def add(self, piece: Piece) -> None:
        self.texts[piece.number] = piece.text
        if piece.usual is not None:
            self.usual[piece.number] = piece.usual
        self.notes += [note for note in piece.notes if note not in self.notes]

    def said(self, played: Said) -> str:
        """The words that were said, of a broken-off sentence as many as its share of the sound."""
        return " ".join(words for n, share in played.shares.items() if (words := _part(self.texts[n], share)))

    def left_alone(self, played: Said) -> Audio | None:
        """How the voice would have said that much, left alone; None where that is not known of every sentence."""
        if not all(number in self.usual for number in played.shares):
            return None
        parts = [
            self.usual[n].part(0, share * self.usual[n].duration_s) for n, share in played.shares.items()
        ]
        return Audio(np.concatenate([part.samples for part in parts]), parts[0].rate_hz) if parts else None


def _part(text: str, share: float) -> str:
    words = text.split()
    return text if share >= 1 else " ".join(words[: int(share * len(words))])


def _is_backchannel(turn: Open, said: Transcript) -> bool:
    """Said beside the agent's words, not against them; one without words ("mm-hm" is not always understood) too."""
    short = (turn.end_s or 0.0) - turn.start_s <= BACKCHANNEL_S
    return short and said.text.lower().strip(" .,!?") in BACKCHANNELS | {""}
