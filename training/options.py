"""Options that the training commands share, so that all look alike; and NAME=VALUE, for any other setting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

TRAIN = "pip install 'entrain[train]'"
"""How to get what the trainings need."""

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the model and all else.")]
Page = Annotated[Path, typer.Option("--out", "-o", help="Folder for the page.")]
Resume = Annotated[Path | None, typer.Option(help="Go on with the training in this folder.")]
Epochs = Annotated[int | None, typer.Option(min=1, help="At most so many.")]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Examples at once.")]
LearningRate = Annotated[float | None, typer.Option(help="AdamW's.")]
Seed = Annotated[
    int | None, typer.Option(min=0, help="The same seed gives the same model (another every time).")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any other, as weight_decay=0.1; an unknown name lists them all."),
]
Accelerator = Annotated[str | None, typer.Option(help="Lightning's: auto, cpu, gpu …")]
Devices = Annotated[str | None, typer.Option(help="Lightning's: how many (1), or which: 0,2.")]
Precision = Annotated[str | None, typer.Option(help="Lightning's: 32-true, bf16-mixed …")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def given(settings: list[str] | None, **named: Any) -> dict[str, Any]:
    """The settings that were given: those with an option of their own, and NAME=VALUE."""
    return {name: value for name, value in named.items() if value is not None} | dict(
        map(setting, settings or [])
    )


def setting(told: str) -> tuple[str, Any]:
    """`hidden=128` → `("hidden", 128)`; values are JSON, or else text."""
    name, is_one, value = told.partition("=")
    if not is_one:
        raise ValueError(f"--set is {told!r}; give NAME=VALUE.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def select(what: str, told: str, *allowed: str) -> None:
    if told not in allowed:
        raise ValueError(f"there is no {what} {told!r}. Select one of {', '.join(allowed)}.")
