"""Wake-word networks trained here: a head on speech embeddings, or a recurrent network on the sound itself; both by path."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from entrain.embedding import EMBEDDING, FRAME, Embedder, SpeechEmbedding
from entrain.network import open_network
from entrain.optional import require
from entrain.turn import Record

Samples = NDArray[np.float32]  # (N,) at 16 kHz, full scale at ±1
HEAD, NETWORK = "model.safetensors", "model.onnx"
"""In a folder that `entrain wake create` wrote: one of them."""
CREATE = "Make one with: entrain wake create 'hey joe' --out FOLDER"


class WakeError(RuntimeError):
    """There is no such wake word, or its detector can't run; the message says what to install or to choose."""


class Scorer(Protocol):
    """Remembers what it has heard; one for each stream."""

    def score(self, frame: Samples) -> float:
        """The next 80 ms, `(1280,)` → 0…1, that the word has just been said."""
        ...


class WakeConfig(Record):
    """What lies beside the weights: in the head's file, or as `config.json`."""

    word: str
    threshold: float = Field(default=0.5, gt=0, le=1)
    smooth: int = Field(default=1, gt=0)
    """The score that counts is the mean of the last so many."""


# --- a head on embeddings -------------------------------------------------------------------------------------------


class HeadConfig(WakeConfig):
    n_embeddings: int = Field(gt=0)
    """How many embeddings, 80 ms apart, the head looks at."""


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
            score = head(np.zeros((1, config.n_embeddings, EMBEDDING), np.float32))
            if not np.isfinite(score).all():
                raise ValueError("its weights are not numbers")
        except Exception as error:  # the file's, the config's, a shape's
            raise WakeError(f"{path} is not the head of a wake word ({error}). {CREATE}") from error
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


# --- a recurrent network on the sound -------------------------------------------------------------------------------


class RecurrentConfig(WakeConfig):
    """`config.json` beside a `model.onnx` that maps `samples` `(1, context + 1280)` and the states to a score `(1,)` and the states
    afterwards, in this order and with these names."""

    context_samples: int = Field(ge=0)
    """How much of the sound before each 80 ms the network is shown again."""
    states: dict[str, tuple[int, ...]]
    """Name of each state → its shape; all start at zero."""


@dataclass(frozen=True)
class Recurrent:
    """The network and its config. Streams share it, never the state."""

    config: RecurrentConfig
    session: Any

    @classmethod
    def load(cls, folder: Path) -> Recurrent:
        try:
            config = RecurrentConfig(**json.loads((folder / "config.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise WakeError(f"{folder} holds no wake word ({error}). {CREATE}") from error
        session = open_network(folder / NETWORK, WakeError)
        there, wanted = [node.name for node in session.get_inputs()], ["samples", *config.states]
        if sorted(there) != sorted(wanted) or len(session.get_outputs()) != len(wanted):
            raise WakeError(
                f"the network in {folder} takes {', '.join(there)}; its config.json says {', '.join(wanted)}. {CREATE}"
            )
        return cls(config, session)


class RecurrentScorer:
    def __init__(self, network: Recurrent) -> None:
        config = network.config
        self.network, self.context = network, np.zeros(config.context_samples, np.float32)
        self.states = {name: np.zeros(shape, np.float32) for name, shape in config.states.items()}

    def score(self, frame: Samples) -> float:
        sound = np.concatenate((self.context, frame))
        self.context = sound[FRAME:]  # (context,)
        score, *states = self.network.session.run(None, {"samples": sound[None], **self.states})
        self.states = dict(zip(self.states, states, strict=True))
        return float(np.asarray(score).reshape(()))


def from_path(path: Path) -> tuple[WakeConfig, Callable[[], Scorer]]:
    """The config, and what makes a scorer for each stream, of a head's file or a folder with either network in it."""
    if path.suffix == ".onnx":
        path = path.parent
    if path.is_dir() and not (path / HEAD).is_file():
        network = Recurrent.load(path)
        return network.config, lambda: RecurrentScorer(network)
    head, networks = Head.load(path / HEAD if path.is_dir() else path), SpeechEmbedding(WakeError)
    return head.config, lambda: HeadScorer(head, networks)
