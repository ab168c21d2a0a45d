"""`entrain train emotion` and `entrain evaluate emotion`. What is heavy is imported when they run."""

from __future__ import annotations


def train() -> None:
    """Not here yet."""


def evaluate() -> None:
    """Not here yet."""
