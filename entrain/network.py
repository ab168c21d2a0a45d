"""Small ONNX networks for the ears, run on one thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from entrain.optional import require

EARS = "pip install 'entrain[ears]'"


def open_network(network: Path | bytes, error: type[Exception]) -> Any:
    """An onnxruntime session, from a file or its bytes, on one thread: these networks take under a millisecond, and the cores have other work."""
    onnxruntime = require("onnxruntime", EARS, error)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    try:
        source = network if isinstance(network, bytes) else str(network)
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as cause:  # onnxruntime's own types differ between releases
        name = "this" if isinstance(network, bytes) else network
        raise error(f"{name} is not a network that onnxruntime can run: {cause}") from cause
