"""The folder of a model of emotion: config.json, and tensors in safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def write(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> Path:
    """config.json last: where it is, all is."""
    folder.mkdir(parents=True, exist_ok=True)
    contiguous = {name: np.ascontiguousarray(t) for name, t in tensors.items()}
    import_module("safetensors.numpy").save_file(contiguous, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    return folder


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Raises `ValueError` for what is no safetensors file."""
    try:
        return import_module("safetensors.numpy").load_file(path)
    except import_module("safetensors").SafetensorError as error:
        raise ValueError(f"{path.name}: {error}") from error
