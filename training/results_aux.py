"""The ears' results page: voice activity, wake word and emotion, trained where they are not yet, and evaluated beside their rivals.

    python -m entrain_training.results_aux ../shared/data --out results/aux     three hours on two cores; goes on where it was stopped

To train or evaluate something anew, delete its folder in OUT.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from entrain_training.schedule import TrainingError
from entrain_training.sections import Section, write

PARTS = ("vad", "wake", "emotion")
TITLE = "Trained ears: voice activity, wake word, emotion"


def make(data: Path, out: Path, parts: tuple[str, ...], quick: bool, console: Console) -> Path:
    """Each part in turn, and the page anew after each; returns the page."""
    sections: list[Section] = []
    page = out / "results.html"
    for part in parts:
        console.print(f"{part}:", highlight=False)
        results = import_module(f"entrain_training.{part}.results")

        def say(line: str) -> None:
            console.print(f"  {line}", highlight=False, soft_wrap=True)

        sections += results.make(data, out / part, quick, say)
        page = write(sections, out, TITLE)
    return page


def main(
    data: Annotated[
        Path, typer.Argument(help="The folder of public recordings; its README says what is in it.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the trainings and the page.")] = Path(
        "results/aux"
    ),
    only: Annotated[list[str] | None, typer.Option(help=f"Only these of {', '.join(PARTS)}.")] = None,
    quick: Annotated[bool, typer.Option(help="Tiny sizes, in OUT/quick: does it work?")] = False,
) -> None:
    """Train and evaluate the ears. Stop it whenever you like: the same command goes on."""
    from entrain.options import clear_errors

    with clear_errors():
        if unknown := set(only or ()) - set(PARTS):
            raise TrainingError(f"there is no part {', '.join(unknown)}. Select from {', '.join(PARTS)}.")
        if not data.is_dir():
            raise TrainingError(
                f"there is no folder {data}. Give the one with vad/, noise/, wake/ and emotion/."
            )
        parts = tuple(part for part in PARTS if not only or part in only)
        try:
            page = make(data, out / "quick" if quick else out, parts, quick, Console(stderr=True))
        except KeyboardInterrupt:
            Console(stderr=True).print("Stopped. The same command goes on from there.")
            raise typer.Exit(130) from None
    print(f"Now open {page} in a browser.")


if __name__ == "__main__":
    typer.run(main)
