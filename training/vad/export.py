"""A trained detector, for use: config.json and model.onnx, which `--vad net:RUN` takes, and model.safetensors, to train on from."""

from __future__ import annotations

import io
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from entrain.optional import require
from entrain.vad import NetworkConfig
from entrain_training.run import keep, keep_json
from entrain_training.schedule import TrainingError
from entrain_training.vad.labels import FRAME
from entrain_training.vad.networks import Detector

ONNX = "pip install 'entrain[onnx]'"


class Shown(nn.Module):
    """As `entrain.vad.NetworkVAD` calls it: K frames in order, the states by name."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, samples: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        heard, after = self.detector.recurrent(self.detector.values(samples)[None], states or None)
        return torch.sigmoid(self.detector.out(heard[0])[:, 0]), *(after if states else ())


def write(detector: Detector, run: Path) -> NetworkConfig:
    """Writes config.json, model.onnx and model.safetensors to `run`."""
    require("onnx", ONNX, TrainingError)
    layers, hidden = detector.recurrent.num_layers, detector.recurrent.hidden_size
    states = dict.fromkeys(("h", "c"), (layers, 1, hidden)) if detector.streams else {}
    config = NetworkConfig(
        name=detector.name,
        frame_samples=FRAME,
        context_samples=detector.context,
        states=states,
        streams=detector.streams,
    )
    example = torch.zeros(3, detector.context + FRAME), *(torch.zeros(shape) for shape in states.values())
    keep(run / "model.onnx", graph(Shown(detector).eval(), example, list(states)))
    keep(run / "model.safetensors", save({k: v.contiguous() for k, v in detector.state_dict().items()}))
    keep_json(run / "config.json", config.model_dump(mode="json"))
    return config


def graph(module: nn.Module, example: tuple[Tensor, ...], states: list[str]) -> bytes:
    """As ONNX, for any number of frames."""
    content = io.BytesIO()
    export: Any = import_module("torch.onnx").export
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # of shapes that it takes for constant: the batch is one, and stays so
        export(
            module, example, content, input_names=["samples", *states],
            output_names=["probability", *(f"{name}_after" for name in states)],
            dynamic_axes={"samples": {0: "k"}, "probability": {0: "k"}}, dynamo=False, opset_version=17,
        )  # fmt: skip
    return content.getvalue()


def begin_from(detector: Detector, run: Path) -> None:
    """Take the weights of an earlier training of the same network."""
    try:
        detector.load_state_dict(load_file(run / "model.safetensors"))
    except (OSError, RuntimeError) as error:
        raise TrainingError(
            f"{run} holds no trained {detector.name} to go on from ({error}). Give a folder that `entrain train vad` "
            "wrote, with the same network."
        ) from error
