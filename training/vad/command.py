"""`entrain train vad` and `entrain evaluate vad`. What is heavy is imported when they run."""

from __future__ import annotations


def train() -> None:
    """Not here yet."""


def evaluate() -> None:
    """Not here yet."""
