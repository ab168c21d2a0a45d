"""What the commands share: options with their help, the console for remarks, and errors as sentences."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

console = Console(stderr=True)  # progress and remarks; stdout is for results

TTS = Annotated[
    str,
    typer.Option(
        "--tts", help="Voice: hibari, espeak[:language], piper[:file], kokoro[:speaker], coqui:folder."
    ),
]
Engine = Annotated[str, typer.Option(help="Waveform engine: psola, world or signalsmith.")]
Strength = Annotated[float, typer.Option(min=0, max=1, help="0 leaves the voice alone, 1 goes all the way.")]
Profile = Annotated[Path | None, typer.Option(help="Profile of the voice, from `entrain voice`.")]
ASR = Annotated[str, typer.Option(help="Recogniser: moonshine, whisper:NAME, or none.")]
VAD = Annotated[str, typer.Option(help="Voice activity: silero, webrtc, energy or net:FOLDER.")]
Emotion = Annotated[
    Path | None,
    typer.Option(help="Folder of a model that `entrain train emotion` wrote: it then judges every turn."),
]


class Defaulted(TyperGroup):
    """Commands, of which one need not be named: `entrain train TABLE` is `entrain train model TABLE`."""

    default = "model"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] != "--help" and args[0] not in self.commands:
            args = [self.default, *args]
        return super().parse_args(ctx, args)


@contextmanager
def clear_errors(soft_wrap: bool = False) -> Generator[None]:
    """What a user can mend is a sentence and exit code 2; anything else is a bug and keeps its traceback. `soft_wrap`: long lines
    are left to the terminal."""
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        known = type(error).__module__.startswith("entrain") or isinstance(error, (ValueError, OSError))
        if not known:
            raise
        console.print(f"[red]entrain:[/red] {escape(str(error))}", highlight=False, soft_wrap=soft_wrap)
        raise typer.Exit(2) from error


def check_register(register: str) -> None:
    if register not in ("any", "low", "high"):
        raise ValueError(f"there is no register {register!r}. Select one of any, low, high.")
