"""The wake word: sound at 16 kHz → the moments at which somebody said it."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from entrain.asr import RATE_HZ
from entrain.embedding import EMBEDDING, FRAME, Embedder, SpeechEmbedding
from entrain.network import EARS
from entrain.optional import bundled, folder_of, require
from entrain.turn import Record
from entrain.vad import Frames

log = logging.getLogger(__name__)

Samples = NDArray[np.float32]  # (N,) at 16 kHz, full scale at ±1


class WakeError(RuntimeError):
    """There is no such wake word, or its detector can't run; the message says what to install or to choose."""


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


class Scorer(Protocol):
    """Remembers what it has heard; one for each stream."""

    def score(self, frame: Samples) -> float:
        """The next 80 ms, `(1280,)` → 0…1, that the word has just been said."""
        ...


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


# --- words with a head trained here ---------------------------------------------------------------------------------


class HeadConfig(Record):
    """Lies in the head's file, beside its weights."""

    word: str
    n_embeddings: int = Field(gt=0)
    """How many embeddings, 80 ms apart, the head looks at."""
    threshold: float = Field(default=0.5, gt=0, le=1)
    smooth: int = Field(default=1, gt=0)


@dataclass(frozen=True)
class Head:
    """A small network on the last few embeddings: one hidden layer of rectified units, one logistic output."""

    config: HeadConfig
    weights: dict[str, NDArray[np.float32]]

    @classmethod
    def load(cls, path: Path) -> Head:
        safetensors = require("safetensors", "pip install entrain", WakeError)
        try:
            with safetensors.safe_open(path, "numpy") as file:
                config = HeadConfig(**json.loads(file.metadata()["config"]))
                names: list[str] = file.keys()
                weights = {name: file.get_tensor(name).astype(np.float32) for name in names}
            head = cls(config, weights)
            head(np.zeros((1, config.n_embeddings, EMBEDDING), np.float32))
        except Exception as error:  # the file's, the config's, a shape's
            raise WakeError(
                f"{path} is not the head of a wake word ({error}). "
                "Make one with: python -m entrain_training.wakeword"
            ) from error
        return head

    def __call__(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """`(K, n_embeddings, 96)` → scores `(K,)`."""
        w = self.weights
        x = ((embeddings - w["mean"]) / w["scale"]).reshape(len(embeddings), -1)
        hidden = np.maximum(x @ w["hidden.weight"].T + w["hidden.bias"], 0)
        logit = hidden @ w["out.weight"].T + w["out.bias"]  # (K, 1)
        return (0.5 + 0.5 * np.tanh(logit[:, 0] / 2)).astype(
            np.float32
        )  # the logistic function, without overflow


class HeadScorer:
    def __init__(self, head: Head, networks: SpeechEmbedding) -> None:
        self.head, self.embedder = head, Embedder(networks)
        silence = self.embedder.networks.of(self.embedder.mels[None])
        self.embeddings = np.tile(silence, (head.config.n_embeddings, 1))  # (n, 96)

    def score(self, frame: Samples) -> float:
        self.embeddings = np.concatenate((self.embeddings[1:], self.embedder.embed(frame[None])))
        return float(self.head(self.embeddings[None])[0])


def head_word(path: Path) -> WakeWord:
    head, networks = Head.load(path), SpeechEmbedding(WakeError)
    config = head.config
    return WakeWord(config.word, lambda: HeadScorer(head, networks), config.threshold, config.smooth)


def own_words() -> dict[str, Path]:
    """Words whose heads ship with entrain → their files."""
    folder = Path(str(files("entrain").joinpath("data/wake")))
    return {path.stem.replace("_", " "): path for path in sorted(folder.glob("*.safetensors"))}


def load_wake(name: str) -> Wake:
    """By word ("computer", "hey jarvis", …), or by the file of a head trained with `entrain_training.wakeword`."""
    word = name.strip().lower()
    if word in own_words():
        return head_word(own_words()[word])
    if word in READY:
        return ready_word(word)
    if Path(name).is_file():
        return head_word(Path(name))
    raise WakeError(
        f"there is no wake word {name!r}. Select one of {', '.join([*own_words(), *READY])}, or give the file of a head."
    )
