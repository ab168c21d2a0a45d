"""What the agent is saying right now: sound goes in sentence by sentence, the loudspeaker takes it out at its own pace."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from entrain.audio import Audio

Samples = NDArray[np.float32]  # (N,)
SILENT_DB = -120.0


class Said(NamedTuple):
    """What has left the mouth: the sound, and how much of each sentence, 0…1."""

    audio: Audio
    shares: dict[int, float]


class Mouth:
    """A queue of sound at `rate_hz`, for one reply at a time. `put` and `read` are called from different threads; `read` never
    waits for more than a copy."""

    def __init__(self, rate_hz: int, now_s: Callable[[], float] = time.monotonic) -> None:
        """`now_s`: the clock of the talk, seconds."""
        self.rate_hz, self._now_s = rate_hz, now_s
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, Samples]] = deque()  # sentence's number, sound
        self._played: list[tuple[int, Samples]] = []
        self._n_put: dict[int, int] = {}
        self._held = False
        self.began_s: float | None = None
        """When the first sound of this reply was taken, on the talk's clock; None before."""
        self.began_at = 0.0
        """The same by `time.perf_counter`, for timings."""
        self._sounded_s = -math.inf
        self.level_db = SILENT_DB
        """Of what was taken last."""

    def begin(self) -> None:
        """Forget the last reply."""
        with self._changed:
            self._waiting.clear()
            self._played, self._n_put, self._held, self.began_s = [], {}, False, None

    def put(self, number: int, audio: Audio) -> None:
        """Add sound of the reply's sentence `number`, at any rate."""
        samples = audio.resample(self.rate_hz).samples
        with self._changed:
            if len(samples):
                self._waiting.append((number, samples))
                self._n_put[number] = self._n_put.get(number, 0) + len(samples)

    def read(self, n: int) -> Samples:
        """The next `(n,)` samples to play; silence where there is nothing to say, or while `hold` lasts."""
        out = np.zeros(n, np.float32)
        with self._changed:
            filled = 0
            while filled < n and self._waiting and not self._held:
                number, samples = self._waiting.popleft()
                taken, rest = samples[: n - filled], samples[n - filled :]
                out[filled : filled + len(taken)] = taken
                filled += len(taken)
                self._played.append((number, taken))
                if len(rest):
                    self._waiting.appendleft((number, rest))
            if filled:
                self._sounded_s = self._now_s()
                if self.began_s is None:
                    self.began_s, self.began_at = self._sounded_s, time.perf_counter()
                if not self._waiting:
                    self._changed.notify_all()
        power = float(np.square(out).mean()) if filled else 0.0
        self.level_db = max(SILENT_DB, 10 * math.log10(power)) if power else SILENT_DB
        return out

    def sounding(self, tail_s: float) -> bool:
        """Was anything played in the last `tail_s` seconds?"""
        return self._now_s() - self._sounded_s <= tail_s

    def hold(self) -> None:
        """Fall silent at once, but forget nothing: it may have been a cough."""
        with self._changed:
            self._held = True

    def release(self) -> None:
        """Go on where `hold` fell silent."""
        with self._changed:
            self._held = False

    def stop(self) -> Said:
        """Say no more; what has been said."""
        with self._changed:
            self._waiting.clear()
            self._changed.notify_all()
            n_played: dict[int, int] = {}
            for number, samples in self._played:
                n_played[number] = n_played.get(number, 0) + len(samples)
            shares = {number: n / self._n_put[number] for number, n in n_played.items()}
            sound = np.concatenate([samples for _, samples in self._played] or [np.zeros(0, np.float32)])
            return Said(Audio(sound, self.rate_hz), shares)

    @property
    def speaking(self) -> bool:
        """Is there sound left to play?"""
        return bool(self._waiting)

    def wait(self, timeout_s: float) -> bool:
        """Wait until all is played; False if it is not yet."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, timeout_s)
