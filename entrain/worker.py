"""The Praat process: Praat holds Python's interpreter lock, so in our own process it would stall the host's event loop.

Measured: 119 ms of stall for a ten-second turn analysed in a thread, 3 ms from a process.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from entrain.audio import Audio, AudioError
from entrain.emotion import Emotion, Felt, Manner, load_emotion
from entrain.prosody import Extractor, with_text
from entrain.turn import Features, Word

log = logging.getLogger(__name__)
T = TypeVar("T")

MAX_OPEN_TURNS = 200
_turns: dict[int, Extractor] = {}  # in the worker process only: the turns being spoken


@dataclass(frozen=True)
class Judge:
    """A model of emotion, by its folder, and what it knows of the speaker."""

    folder: str
    manner: Manner | None = None


class Worker:
    """One process for everything that calls Praat; started at once, restarted if it dies.

    `loky` rather than the standard library's pool, because that one runs the host's main script again in the child.
    """

    def __init__(self) -> None:
        self._ids = itertools.count()
        self._lock = threading.Lock()
        self._closed = False
        self._executor = self._start()

    def _start(self) -> Any:
        executor = import_module("loky").ProcessPoolExecutor(
            max_workers=1, timeout=None, initializer=_end_with, initargs=(os.getpid(),)
        )
        executor.submit(_warm)
        return executor

    def submit(self, function: Callable[..., T], *args: Any) -> Future[T]:
        """Run `function` of a module, with picklable arguments, over there; in the order submitted."""
        with self._lock:
            if self._closed:
                raise RuntimeError("this Worker was closed; make another one.")
            try:
                return self._executor.submit(function, *args)
            except RuntimeError:  # it died (BrokenProcessPool), or its executor noticed that it had
                self._executor = self._start()
                return self._executor.submit(function, *args)

    def run(self, function: Callable[..., T], *args: Any) -> T:
        """`submit` and wait; once more in a fresh process if this one is killed meanwhile."""
        try:
            return self.submit(function, *args).result()
        except BrokenProcessPool:
            return self.submit(function, *args).result()

    def feel(self, judge: Judge, audio: Audio) -> Future[Felt]:
        """Begin to judge a turn's emotion."""
        return self.submit(_feel, judge, audio)

    def listen(self, rate_hz: int, judge: Judge | None = None) -> Hearing:
        """Begin a turn that is being spoken; `judge`: who is going to tell its emotion, if anybody is."""
        return Hearing(self, next(self._ids), rate_hz, judge)

    def close(self) -> None:
        """End the process; what it was still doing is lost."""
        with self._lock:
            self._closed = True
            self._executor.shutdown(wait=True, kill_workers=True)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Hearing:
    """A turn being heard: `feed` it as audio comes (returns at once), then `finish`; or `drop` it."""

    def __init__(self, worker: Worker, turn_id: int, rate_hz: int, judge: Judge | None = None) -> None:
        self.worker, self.turn_id, self.rate_hz, self.judge = worker, turn_id, rate_hz, judge
        self._chunks: list[NDArray[np.float32]] = []
        self._glance: tuple[int, Future[Features | None]] | None = None  # of so many samples
        self._felt: tuple[int, Future[Felt]] | None = None
        self._warned = False

    def feed(self, samples: NDArray[np.float32]) -> None:
        """Add `(N,)` samples; any N. What `Audio` would refuse is left out and logged once: a sound card's callback,
        which this is called from, has nobody to raise to."""
        try:
            samples = Audio(samples, self.rate_hz).samples.copy()  # the callback will use its buffer again
        except AudioError as error:
            if not self._warned:
                log.warning("a chunk of the turn is left out: %s", error)
            self._warned = True
            return
        self._chunks.append(samples)
        self.worker.submit(_feed, self.turn_id, self.rate_hz, samples)

    @property
    def audio(self) -> Audio:
        """All that was heard."""
        return Audio(np.concatenate(self._chunks or [np.zeros(0, np.float32)]), self.rate_hz)

    @property
    def n_samples(self) -> int:
        return sum(map(len, self._chunks))

    def glance(self) -> None:
        """Begin to measure what was heard so far (returns at once): at a pause that may be the turn's end. If nothing more
        is fed, `finish` has it already, and `feel` what it felt like."""
        self._glance = self.n_samples, self.worker.submit(_so_far, self.turn_id, self.n_samples)
        if self._felt:
            self._felt[
                1
            ].cancel()  # of what was not the whole turn, if it has not begun: 20 ms for each second of it
        if self.judge:
            self._felt = self.n_samples, self.worker.feel(self.judge, self.audio)

    def feel(self, judge: Judge) -> Future[Felt]:
        """Begin to judge the whole turn's emotion; at a glance it was begun already."""
        if self._felt and (self._felt[0], self.judge) == (self.n_samples, judge):
            return self._felt[1]
        return self.worker.feel(judge, self.audio)

    def finish(self, text: str = "", words: Iterable[Word] = ()) -> Features:
        """The turn's features. If the process died in the middle, a fresh one hears the turn again from its start."""
        n_samples = self.n_samples
        if self._glance and self._glance[0] == n_samples:
            with suppress(BrokenProcessPool):
                found = self._glance[1].result()
                if found is not None:
                    self.drop()
                    return with_text(found, text, words)
        try:
            features = self.worker.submit(_finish, self.turn_id, n_samples, text, tuple(words)).result()
        except BrokenProcessPool:
            features = None
        if features is None:
            features = self.worker.run(_hear_again, self.audio, text, tuple(words))
        return features

    def drop(self) -> None:
        self.worker.submit(_drop, self.turn_id)


# --- what runs in the worker process ------------------------------------------------------------------------------


def _warm() -> None:
    """Praat, SciPy and the dictionary take .8 s to load: not in somebody's first turn."""
    tone = np.sin(np.arange(16_000) * 2 * np.pi * 150 / 16_000).astype(np.float32) * 0.1
    extractor = Extractor(16_000)
    extractor.feed(tone)
    extractor.finish()
    extractor.finish("warm")


def _end_with(parent_id: int) -> None:
    """A host that is killed leaves nobody to end this process; so it looks every two seconds."""

    def watch() -> None:
        while os.getppid() == parent_id:
            time.sleep(2)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def _feed(turn_id: int, rate_hz: int, samples: NDArray[np.float32]) -> None:
    if turn_id not in _turns:
        if (
            len(_turns) >= MAX_OPEN_TURNS
        ):  # hosts that never finish nor drop; such a turn is heard again at its end
            _turns.pop(next(iter(_turns)))
        _turns[turn_id] = Extractor(rate_hz)
    _turns[turn_id].feed(samples)


def _finish(turn_id: int, n_samples: int, text: str, words: tuple[Word, ...]) -> Features | None:
    """None when this process did not hear the whole turn, because it was started in the middle of it."""
    extractor = _turns.pop(turn_id, None)
    if extractor is None or extractor.n_samples != n_samples:
        return None
    return extractor.finish(text, words)


def _so_far(turn_id: int, n_samples: int) -> Features | None:
    extractor = _turns.get(turn_id)
    return extractor.so_far() if extractor and extractor.n_samples == n_samples else None


def _hear_again(audio: Audio, text: str, words: tuple[Word, ...]) -> Features:
    extractor = Extractor(audio.rate_hz)
    extractor.feed(audio.samples)
    return extractor.finish(text, words)


def _feel(judge: Judge, audio: Audio) -> Felt:
    return _emotion(judge.folder).feel(audio, judge.manner)


@lru_cache(maxsize=2)
def _emotion(folder: str) -> Emotion:
    return load_emotion(folder)


def labels_of(folder: str) -> tuple[str, ...]:
    """Of the model of emotion there, which is loaded."""
    return _emotion(folder).labels


def _drop(turn_id: int) -> None:
    _turns.pop(turn_id, None)
