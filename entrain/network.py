"""Small ONNX networks for the ears: found inside the wheels that carry them, checked, run on one thread."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from entrain.optional import require

EARS = "pip install 'entrain[ears]'"


def folder_of(package: str, error: type[Exception]) -> Path:
    """Where a package lies, without importing it (silero_vad's import takes 1.5 s and loads torch)."""
    try:
        spec = find_spec(package)
    except ModuleNotFoundError:  # its parent is missing
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise error(f"the package {package!r} is missing. Install it with: {EARS}")
    return Path(spec.submodule_search_locations[0])


def bundled(package: str, name: str, error: type[Exception]) -> Path:
    """The file `name` inside `package`, if it is the very one tested here, by sha256."""
    known: dict[str, dict[str, str]] = json.loads(
        files("entrain").joinpath("data/weights.json").read_text(encoding="utf-8")
    )
    path, sha256 = folder_of(package, error) / name, known[package][name]
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "nothing"
    if found != sha256:
        raise error(
            f"{path} is not the network that entrain was tested with (sha256 {found[:12]}…, {sha256[:12]}… is right). "
            f"Install it again: pip install --force-reinstall 'entrain[ears]'"
        )
    return path


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
