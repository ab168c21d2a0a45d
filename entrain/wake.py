"""The wake word: sound at 16 kHz → the moments at which somebody said it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from entrain.asr import RATE_HZ
from entrain.embedding import FRAME
from entrain.network import EARS
from entrain.optional import bundled, folder_of, require
from entrain.vad import Frames
from entrain.wake_net import Scorer, WakeError, from_path

Samples = NDArray[np.float32]  # (N,) at 16 kHz, full scale at ±1


@dataclass(frozen=True)
class Woken:
    at_s: float
    """Where the stream was when the word was certain: its end, and up to .2 s."""
    word: str
    score: float


class WakeStream(Protocol):
    def feed(self, samples: Samples) -> list[Woken]:
        """`samples` `(N,)` at 16 kHz, any N → each time that the word was said in the frames that are now complete."""
        ...


class Wake(Protocol):
    @property
    def word(self) -> str: ...
    def stream(self) -> WakeStream: ...


@dataclass(frozen=True)
class WakeWord:
    """A word, what scores it, and when a score counts."""

    word: str
    scorer: Callable[[], Scorer]
    """Makes a fresh one for each stream."""
    threshold: float = 0.5
    smooth: int = 1
    """The score that counts is the mean of the last so many."""
    refractory_s: float = 1.5
    """After a trigger the word is not heard again for so long: one word, one trigger."""

    def stream(self) -> WakeWordStream:
        return WakeWordStream(self)


class WakeWordStream:
    def __init__(self, wake: WakeWord) -> None:
        self.wake, self.scorer, self.frames = wake, wake.scorer(), Frames(FRAME)
        self.scores: deque[float] = deque([0.0] * wake.smooth, wake.smooth)
        self.n_fed, self.deaf_until_s = 0, 0.0

    def feed(self, samples: Samples) -> list[Woken]:
        return [woken for frame in self.frames.feed(samples) for woken in self._step(frame)]

    def _step(self, frame: Samples) -> list[Woken]:
        self.n_fed += 1
        at_s, score = self.n_fed * FRAME / RATE_HZ, self.score(frame)
        if score < self.wake.threshold or at_s < self.deaf_until_s:
            return []
        self.deaf_until_s = at_s + self.wake.refractory_s
        return [Woken(at_s, self.wake.word, score)]

    def score(self, frame: Samples) -> float:
        """The smoothed score after one more frame, `(1280,)`."""
        self.scores.append(self.scorer.score(frame))
        return sum(self.scores) / len(self.scores)


# --- words that come ready in a wheel -------------------------------------------------------------------------------

READY = {
    "alexa": "alexa",
    "hey jarvis": "hey_jarvis",
    "hey mycroft": "hey_mycroft",
    "hey rhasspy": "hey_rhasspy",
    "okay nabu": "okay_nabu",
}
"""openWakeWord's (Apache-2.0), in the wheel of pyopen-wakeword 1.1.0."""


class ReadyScorer:
    def __init__(self, file: str) -> None:
        ready = require("pyopen_wakeword", EARS, WakeError)
        self.features: Any = ready.OpenWakeWordFeatures.from_builtin()
        self.head: Any = ready.OpenWakeWord.from_builtin(ready.Model(file))
        self.last = 0.0

    def score(self, frame: Samples) -> float:
        pcm = (np.clip(frame, -1, 1) * 32767).astype("<i2").tobytes()
        for embedding in self.features.process_streaming(pcm):
            for score in self.head.process_streaming(embedding):
                self.last = float(score)
        return self.last


def ready_word(word: str) -> WakeWord:
    folder_of("pyopen_wakeword", EARS, WakeError)
    for name in ("melspectrogram", "embedding_model", READY[word]):
        bundled("pyopen_wakeword", f"models/{name}.tflite", EARS, WakeError)
    return WakeWord(word, lambda: ReadyScorer(READY[word]))


# --- by name or by path ---------------------------------------------------------------------------------------------


def trained_word(path: Path) -> WakeWord:
    config, scorer = from_path(path)
    return WakeWord(config.word, scorer, config.threshold, config.smooth)


def own_words() -> dict[str, Path]:
    """Words whose heads ship with entrain → their files."""
    folder = Path(str(files("entrain").joinpath("data/wake")))
    return {path.stem.replace("_", " "): path for path in sorted(folder.glob("*.safetensors"))}


def load_wake(name: str) -> Wake:
    """By word ("computer", "hey jarvis", …), or by the file or folder that `entrain wake create` wrote. Raises `WakeError`."""
    word = name.strip().lower()
    if word in own_words():
        return trained_word(own_words()[word])
    if word in READY:
        return ready_word(word)
    if name and Path(name).exists():
        return trained_word(Path(name))
    raise WakeError(
        f"there is no wake word {name!r}. Select one of {', '.join([*own_words(), *READY])}, or give the file or folder of one that `entrain wake create` made."
    )
