"""Packages that may be missing, or altered: import one, check its weights, or say in a sentence what to do."""

from __future__ import annotations

import hashlib
import json
from importlib import import_module
from importlib.resources import files
from typing import Any


def require(module: str, install: str, error: type[Exception]) -> Any:
    """The module, or `error` with the sentence."""
    try:
        return import_module(module)
    except ImportError as cause:
        package = module.partition(".")[0]
        raise error(f"the package {package!r} is missing ({cause}). Install it with: {install}") from cause


def check_weights(package: str, error: type[Exception]) -> None:
    """That the networks a pinned package carries are the very ones tested here, by sha256 (80 ms for 45 MB)."""
    known = json.loads(files("entrain").joinpath("data/weights.json").read_text(encoding="utf-8"))[package]
    for name, sha256 in known.items():
        file = files(package).joinpath(name)
        found = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "nothing"
        if found != sha256:
            raise error(
                f"{file} is not the network that entrain was tested with (sha256 {found[:12]}…, {sha256[:12]}… is right). "
                "Install entrain's dependencies again: pip install --force-reinstall entrain"
            )
