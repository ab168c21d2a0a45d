"""Packages that may be missing, or altered: import one, check its weights, or say in a sentence what to do."""

from __future__ import annotations

import hashlib
import json
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def require(module: str, install: str, error: type[Exception]) -> Any:
    """The module, or `error` with the sentence."""
    try:
        return import_module(module)
    except ImportError as cause:
        package = module.partition(".")[0]
        raise error(f"the package {package!r} is missing ({cause}). Install it with: {install}") from cause


def folder_of(package: str, install: str, error: type[Exception]) -> Path:
    """Where a package lies, without importing it (silero_vad's import takes 1.5 s and loads torch)."""
    try:
        spec = find_spec(package)
    except ModuleNotFoundError:  # its parent is missing
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise error(f"the package {package!r} is missing. Install it with: {install}")
    return Path(spec.submodule_search_locations[0])


def bundled(package: str, name: str, install: str, error: type[Exception]) -> Path:
    """The file `name` inside a pinned package, if it is the very one tested here, by sha256 (2 ms a megabyte)."""
    path, sha256 = folder_of(package, install, error) / name, _known()[package][name]
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "nothing"
    if found != sha256:
        raise error(
            f"{path} is not the network that entrain was tested with (sha256 {found[:12]}…, {sha256[:12]}… is right). "
            f"Install it again, with --force-reinstall: {install}"
        )
    return path


def check_weights(package: str, install: str, error: type[Exception]) -> None:
    """That all networks a pinned package carries are the very ones tested here."""
    for name in _known()[package]:
        bundled(package, name, install, error)


def _known() -> dict[str, dict[str, str]]:
    return json.loads(files("entrain").joinpath("data/weights.json").read_text(encoding="utf-8"))
