"""Where turns lie: in a recording of one speaker, and in a stream while it is spoken."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from entrain.audio import Audio
from entrain.prosody import STEP_S, speech_mask
from entrain.smart_turn import SmartTurn

__all__ = [
    "Boundary",
    "EndpointError",
    "EndpointPolicy",
    "Endpointer",
    "SmartTurn",
    "TurnDetector",
    "find_turns",
]

log = logging.getLogger(__name__)

Sound = Callable[[float, float], NDArray[np.float32]]
"""(start_s, end_s) on the stream's clock → its samples `(N,)` at 16 kHz."""


class EndpointError(ValueError):
    """A policy that can't work; the message says what is allowed."""


class TurnDetector(Protocol):
    """Tells a pause from an end by how it sounds."""

    def complete(self, samples: NDArray[np.float32]) -> float:
        """`samples` `(N,)` at 16 kHz, the turn so far → the probability that it is over."""
        ...


@dataclass(frozen=True)
class EndpointPolicy:
    """When a turn begins, and when it is over. Probabilities 0…1, times in seconds."""

    start_p: float = 0.5
    """Speech begins at this probability …"""
    stop_p: float = 0.35
    """… and goes on until it is lower than this."""
    min_speech_s: float = 0.1
    """Shorter is a click. Barge-in waits as long; "mm-hm" takes .3 s."""
    pause_s: float = 0.2
    """Silence after which the turn detector is asked, once."""
    complete_p: float = 0.5
    """The turn is over when the detector says at least this."""
    end_silence_s: float = 0.6
    """Without a detector: silence that ends a turn."""
    max_silence_s: float = 1.2
    """Silence that ends a turn which the detector thinks incomplete."""
    pre_roll_s: float = 0.3
    """Kept from before the speech was noticed: soft first sounds."""
    tail_s: float = 0.1
    """Kept after the last speech: soft last sounds."""
    max_turn_s: float = 60.0
    """A longer turn is ended, and the next begins at once."""

    def __post_init__(self) -> None:
        if not 0 < self.stop_p <= self.start_p <= 1 or not 0 <= self.complete_p <= 1:
            raise EndpointError(
                f"stop_p {self.stop_p}, start_p {self.start_p}, complete_p {self.complete_p}: probabilities with "
                "0 < stop_p ≤ start_p ≤ 1 are allowed."
            )
        if not 0 < self.pause_s <= min(self.end_silence_s, self.max_silence_s):
            raise EndpointError(
                f"pause_s is {self.pause_s}; more than 0 and at most end_silence_s ({self.end_silence_s}) and "
                f"max_silence_s ({self.max_silence_s}) is allowed."
            )
        if min(self.min_speech_s, self.pre_roll_s, self.tail_s) < 0 or self.max_turn_s < 1:
            raise EndpointError(
                "min_speech_s, pre_roll_s and tail_s can't be negative, nor max_turn_s under 1."
            )


@dataclass(frozen=True)
class Boundary:
    """Something about a turn that is now known; `at_s` is where it was, on the stream's clock."""

    kind: Literal["start", "pause", "resume", "end"]
    at_s: float
    """start, resume: where speech began, less the pre-roll for a start. pause, end: where speech ended, and a little."""
    why: str = ""
    """Of an end: "complete", "silence", "long" or "pressed"."""


class Endpointer:
    """Speech probabilities, frame by frame → boundaries. All its state is in its fields; one per microphone.

    Asking Smart Turn takes about 50 ms, once a pause, within `feed`.
    """

    def __init__(
        self, policy: EndpointPolicy = EndpointPolicy(), step_s: float = 0.032,
        detector: TurnDetector | None = None,
    ) -> None:  # fmt: skip
        self.policy, self.step_s, self.detector = policy, step_s, detector
        self.n_fed = 0
        """Frames so far: the clock."""
        self.earliest_s = 0.0
        """Where the last turn ended: no turn reaches back beyond it."""
        self.reset()

    def reset(self) -> None:
        """Forget the turn under way. The clock goes on: it counts the frames of the stream."""
        self.state: Literal["silent", "speaking", "paused", "pressed"] = "silent"
        self.is_speech, self.n_run = False, 0  # the frame's side of the hysteresis, and since how many frames
        self.start_s = self.speech_end_s = self.now_s
        self.wait_s = self.policy.end_silence_s

    @property
    def now_s(self) -> float:
        return self.n_fed * self.step_s

    @property
    def run_s(self) -> float:
        """How long speech or silence has lasted."""
        return self.n_run * self.step_s

    def feed(self, probability: float, audio: Sound) -> list[Boundary]:
        """The next frame's speech probability; `audio` gives the turn's sound if the detector must be asked."""
        policy = self.policy
        is_speech = probability >= (policy.stop_p if self.is_speech else policy.start_p)  # NaN: no speech
        self.n_run = self.n_run + 1 if is_speech == self.is_speech else 1
        self.is_speech = is_speech
        self.n_fed += 1
        if self.state == "silent":
            return self._start() if self._is_spoken() else []
        if is_speech and self.state != "paused":
            self.speech_end_s = self.now_s
        if self.now_s - self.start_s >= policy.max_turn_s and self.state != "paused":
            return self._cut()
        if self.state == "speaking" and not is_speech and self._reached(self.run_s, policy.pause_s):
            return self._pause(audio)
        if self.state == "paused":
            return self._resume() if self._is_spoken() else self._wait()
        return []

    def begin(self) -> list[Boundary]:
        """Push-to-talk: the turn begins now, and silence does not end it; `force_end` does."""
        boundaries = self._start() if self.state == "silent" else []
        self.state = "pressed"
        return boundaries

    def force_end(self) -> list[Boundary]:
        """End the turn now, if there is one: the key was let go, or the stream is over."""
        if self.state == "silent":
            return []
        return self._end("pressed", self.now_s)

    def _reached(self, passed_s: float, limit_s: float) -> bool:
        return passed_s > limit_s - self.step_s / 2  # at the nearest frame

    def _is_spoken(self) -> bool:
        return self.is_speech and self._reached(self.run_s, self.policy.min_speech_s)

    def _start(self) -> list[Boundary]:
        run_s = self.run_s if self.is_speech else 0.0
        self.start_s = max(self.earliest_s, self.now_s - run_s - self.policy.pre_roll_s)
        self.state, self.speech_end_s = "speaking", self.now_s
        return [Boundary("start", self.start_s)]

    def _pause(self, audio: Sound) -> list[Boundary]:
        pause = Boundary("pause", self._tail_s)
        self.state = "paused"
        complete_p = self._ask(audio)
        self.wait_s = self.policy.end_silence_s if complete_p is None else self.policy.max_silence_s
        if complete_p is not None and complete_p >= self.policy.complete_p:
            return [pause, *self._end("complete", self._tail_s)]
        return [pause]

    def _ask(self, audio: Sound) -> float | None:
        """None: there is no detector, or it failed; then silence alone decides.

        Smart Turn is shown the turn as it would be cut, since it hears an end in silence itself: with .1, .4 and .8 s of it
        after a phrase, the area under its curve is .84, .74 and .66 (`python -m benchmarks --only turn_end`).
        """
        if self.detector is None:
            return None
        try:
            return self.detector.complete(audio(self.start_s, self._tail_s))
        except Exception:  # whatever a host's detector raises, the conversation goes on
            log.exception("the turn detector failed and is left out from now on: silence alone ends turns.")
            self.detector = None
            return None

    def _resume(self) -> list[Boundary]:
        self.state, self.speech_end_s = "speaking", self.now_s
        return [Boundary("resume", self.now_s - self.run_s)]

    def _wait(self) -> list[Boundary]:
        over = not self.is_speech and self._reached(self.now_s - self.speech_end_s, self.wait_s)
        return self._end("silence", self._tail_s) if over else []

    @property
    def _tail_s(self) -> float:
        return min(self.now_s, self.speech_end_s + self.policy.tail_s)

    def _end(self, why: str, at_s: float) -> list[Boundary]:
        self.earliest_s = at_s
        self.reset()
        return [Boundary("end", at_s, why)]

    def _cut(self) -> list[Boundary]:
        """A monologue: what there is goes on to be answered, the rest is a turn that begins here."""
        state = self.state
        end = self._end("long", self.now_s)
        start = self._start()
        self.state = state
        return end + start


MIN_TURN_S = 0.3  # shorter is a breath or a click; "mm-hm" takes .4 s
SILENCE_POWER = 1e-12  # −120 dB re full scale


def find_turns(audio: Audio, pause_s: float = 0.7) -> list[tuple[float, float]]:
    """Start and end in seconds of each stretch whose inner pauses are shorter than `pause_s`.

    By energy (within 25 dB of the loudest), so for clean recordings of one person.
    """
    n_step = round(STEP_S * audio.rate_hz)
    n_frames = len(audio.samples) // n_step
    if not n_frames:
        return []
    samples = audio.samples - audio.samples.mean(dtype=np.float64)  # a DC offset is no sound
    power = np.square(samples[: n_frames * n_step]).reshape(n_frames, n_step).mean(axis=1)
    smooth = np.convolve(power, np.hanning(9)[1:-1] / 4, mode="same")  # about Praat's 64 ms window
    if smooth.max() < SILENCE_POWER:
        return []
    active = speech_mask(10 * np.log10(smooth + SILENCE_POWER))
    edges = np.flatnonzero(np.diff(np.concatenate(([0], active.astype(np.int8), [0]))))
    turns: list[tuple[float, float]] = []
    step_s = n_step / audio.rate_hz  # not quite STEP_S at 22,050 Hz, where that would be off by .2 %
    for start, end in zip(edges[::2] * step_s, edges[1::2] * step_s, strict=True):
        if turns and start - turns[-1][1] < pause_s:
            turns[-1] = (turns[-1][0], float(end))
        else:
            turns.append((float(start), float(end)))
    return [(start_s, end_s) for start_s, end_s in turns if end_s - start_s >= MIN_TURN_S]
