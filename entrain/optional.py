"""Packages that may be missing: import one, or say in a sentence what to install."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def require(module: str, install: str, error: type[Exception]) -> Any:
    """The module, or `error` with the sentence."""
    try:
        return import_module(module)
    except ImportError as cause:
        package = module.partition(".")[0]
        raise error(f"the package {package!r} is missing ({cause}). Install it with: {install}") from cause
