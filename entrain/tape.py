"""The last of what the microphone heard, by its time: a turn's beginning is known only after it has begun."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]  # (N,)


class Tape:
    """Sound at `rate_hz` since the stream began, of which only what `forget` leaves is kept. Times are seconds of the stream."""

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self.n_samples = 0
        self._chunks: deque[tuple[int, Samples]] = deque()  # place of the first sample, sound

    @property
    def now_s(self) -> float:
        return self.n_samples / self.rate_hz

    def add(self, samples: Samples) -> None:
        if len(samples):
            self._chunks.append((self.n_samples, samples))
            self.n_samples += len(samples)

    def part(self, start_s: float, end_s: float) -> Samples:
        """`(N,)` from `start_s` to `end_s`, cut to what is still there."""
        first, last = round(start_s * self.rate_hz), round(end_s * self.rate_hz)
        found = [
            samples[max(0, first - at) : max(0, last - at)]
            for at, samples in self._chunks
            if at < last and at + len(samples) > first
        ]
        return np.concatenate(found) if found else np.zeros(0, np.float32)

    def forget(self, before_s: float) -> None:
        """Let go of what lies wholly before that time."""
        n = round(before_s * self.rate_hz)
        while self._chunks and self._chunks[0][0] + len(self._chunks[0][1]) <= n:
            self._chunks.popleft()
