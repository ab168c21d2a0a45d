"""Run the benchmarks, print their tables, keep their figures in bench-out/."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import (
    latency,
    live_reply,
    live_step,
    plug_install,
    plug_livekit,
    plug_pipecat,
    rasa,
    realise,
    reply,
    server_load,
    train_speed,
    turn_end,
    voice_activity,
)

PARTS = {
    "realise": realise.run,
    "latency": latency.run,
    "reply": reply.run,
    "live_reply": live_reply.run,
    "train_speed": train_speed.run,
    "live_step": live_step.run,
    "server_load": server_load.run,
    "voice_activity": voice_activity.run,
    "turn_end": turn_end.run,
    "plug_pipecat": plug_pipecat.run,
    "plug_livekit": plug_livekit.run,
    "rasa": rasa.run,
    "plug_install": plug_install.run,
}


def main(
    only: Annotated[list[str] | None, typer.Option(help=f"Run only these of {', '.join(PARTS)}.")] = None,
    quick: Annotated[bool, typer.Option(help="A tenth of the work: for a look, not for the README.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for the figures as JSON.")] = Path("bench-out"),
) -> None:
    """The figures in the README: realised against target, turn end to targets, a reply's time, a live reply, training, a live step, the
    server under load, voice activity, the end of turns, and what the plug-ins cost and do. An hour on two cores."""
    unknown = set(only or []) - set(PARTS)
    if unknown:
        raise typer.BadParameter(f"no benchmark {', '.join(unknown)}; select from {', '.join(PARTS)}")
    console = Console(width=150)
    out.mkdir(exist_ok=True)
    console.print(f"Python {platform.python_version()}, {platform.machine()}; side by side in one run")
    for name, run in PARTS.items():
        if not only or name in only:
            figures = run(console, quick)
            (out / f"{name}.json").write_text(json.dumps(figures, indent=1))
    console.print(f"The figures are in {out}/. Next: compare them with the README's.")


if __name__ == "__main__":
    typer.run(main)
