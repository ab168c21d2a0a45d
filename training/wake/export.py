"""A trained wake word for use: a head as safetensors, conv-gru as ONNX with its state outside; both with their configs."""

from __future__ import annotations

import io
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save, save_file
from torch import Tensor, nn

from entrain.embedding import FRAME
from entrain.optional import require
from entrain.wake import WakeWord
from entrain.wake_net import HEAD, NETWORK, Head, HeadConfig, RecurrentConfig, WakeError, from_path
from entrain_training.options import TRAIN
from entrain_training.run import keep
from entrain_training.schedule import TrainingError
from entrain_training.wake.network import CONTEXT, LAYERS, UNITS, ConvGRU, Embedding
from entrain_training.wake.settings import Wake

STATES = {"level": (1, 2), "memory": (LAYERS, 1, UNITS)}
TO_GO_ON_FROM = "weights.safetensors"  # conv-gru's, for --start-from


def write(network: Embedding | ConvGRU, folder: Path, word: str, settings: Wake, threshold: float) -> Path:
    """What `load_wake` takes: the folder's file, or the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    network.eval()
    if isinstance(network, Embedding):
        config = HeadConfig(word=word, threshold=threshold, smooth=settings.smooth, n_embeddings=network.n)
        keep(folder / HEAD, save(network.weights(), {"config": config.model_dump_json()}))
        return folder / HEAD
    weights = {k: np.ascontiguousarray(v.numpy()) for k, v in network.state_dict().items()}
    save_file(weights, folder / TO_GO_ON_FROM)
    keep(folder / NETWORK, onnx(network))
    config = RecurrentConfig(
        word=word, threshold=threshold, smooth=settings.smooth, context_samples=CONTEXT, states=STATES
    )
    keep(folder / "config.json", (config.model_dump_json(indent=1) + "\n").encode())
    return folder


class Step(nn.Module):
    """One frame of 80 ms, as `entrain.wake_net.Recurrent` runs it: the score is the mean of its four."""

    def __init__(self, network: ConvGRU) -> None:
        super().__init__()
        self.network = network

    def forward(self, samples: Tensor, level: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, level, memory = self.network.step(samples, level, memory)
        return torch.sigmoid(logits).mean(1), level, memory


def onnx(network: ConvGRU) -> bytes:
    """`samples` `(1, 1200 + 1280)`, `level`, `memory` → `score` `(1,)` and both after."""
    require("onnxscript", TRAIN, TrainingError)
    shown = (torch.zeros(1, CONTEXT + FRAME), *(torch.zeros(shape) for shape in STATES.values()))
    names = {"input_names": ["samples", *STATES], "output_names": ["score", *(f"{k}_after" for k in STATES)]}
    found = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(Step(network).eval(), shown, found, dynamo=False, opset_version=17, **names)
    return found.getvalue()


def start_from(network: Embedding | ConvGRU, path: Path) -> None:
    """The weights of an earlier wake word, of the same network and sizes."""
    try:
        if isinstance(network, ConvGRU):
            weights = load_file((path if path.is_dir() else path.parent) / TO_GO_ON_FROM)
            network.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
        else:
            network.take(Head.load(path / HEAD if path.is_dir() else path).weights)
    except (OSError, SafetensorError, WakeError, RuntimeError, KeyError) as error:
        raise TrainingError(
            f"{path} can't be gone on from ({error}). Give a wake word of the same network, hidden and n_embeddings."
        ) from error


def load(path: Path) -> WakeWord:
    config, scorer = from_path(path)
    return WakeWord(config.word, scorer, config.threshold, config.smooth)


def with_threshold(path: Path, threshold: float) -> None:
    """The same weights with another threshold: of a head's file, or a conv-gru's folder."""
    if path.is_dir():
        config: Any = RecurrentConfig.model_validate_json((path / "config.json").read_text(encoding="utf-8"))
        new = config.model_copy(update={"threshold": threshold})
        keep(path / "config.json", (new.model_dump_json(indent=1) + "\n").encode())
        return
    head = Head.load(path)
    config = head.config.model_copy(update={"threshold": threshold})
    keep(path, save(head.weights, {"config": config.model_dump_json()}))
