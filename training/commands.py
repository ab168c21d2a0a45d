"""The commands that work on corpora: `prepare`. What is heavy is imported when they run."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

if TYPE_CHECKING:
    from entrain.prosody import Profile

TRAIN = "pip install 'entrain[train]'"


def prepare(
    corpus: Annotated[Path, typer.Argument(help="The corpus's folder, or a turn-table CSV.")],
    out: Annotated[Path, typer.Argument(help="Folder for the table.")],
    layout: Annotated[str, typer.Option(help="How the corpus is laid out; auto looks.")] = "auto",
    profile: Annotated[
        str, typer.Option(help="entrain-1, or praat-75-600 to repeat published tables.")
    ] = "entrain-1",
    mel: Annotated[
        bool, typer.Option("--mel", help="Log-Mel spectrograms too, for the variant mel.")
    ] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes (default: one a core).")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The first so many conversations only.")] = None,
    engine: Annotated[str, typer.Option(help="local: processes here; ray: a cluster.")] = "local",
    address: Annotated[
        str | None, typer.Option(help="The Ray cluster's address (default: one started here).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Measure the turns of a corpus once: OUT/turns.parquet is what `train` and `evaluate` read.

    Stop it whenever you like: the same command goes on. A turn that can't be measured is a row with the reasons; a conversation
    that can't be is listed in OUT/prepare.json, the rest goes on, and the exit code is 1.

    Example: `entrain prepare corpora/games prepared/games`, or `entrain prepare ami.csv.gz prepared/ami --mel --jobs 4`
    """
    from entrain.cli import clear_errors, console
    from entrain.optional import require

    with clear_errors():
        require("pyarrow.parquet", TRAIN, ValueError)
        from entrain_training.engines import local, on_ray
        from entrain_training.features import Settings
        from entrain_training.prepare import prepare as prepared
        from entrain_training.progress import Progress

        _select("profile", profile, "entrain-1", "praat-75-600")
        _select("engine", engine, "local", "ray")
        if address and engine == "local":
            raise ValueError("--address is for a Ray cluster; give --engine ray with it.")
        run = partial(local, jobs=jobs) if engine == "local" else partial(on_ray, jobs=jobs, address=address)
        settings = Settings(cast("Profile", profile), mel)
        with Progress(console, limit, hidden=as_json) as progress:
            try:
                summary = prepared(corpus, out, layout, settings, run, limit, progress.show)
            except KeyboardInterrupt:
                done = progress.tally.n_conversations if progress.tally else 0
                console.print(f"Stopped. {done} conversations are done; the same command goes on from there.")
                raise typer.Exit(130) from None
    if as_json:
        print(json.dumps(summary))
    else:
        _print_prepared(summary, out)
    if failed := summary["failed"]:
        console.print(
            f"[red]{len(failed)} conversations failed[/red]; they are listed in {out / 'prepare.json'}. Run again to retry. "
            f"The first is {failed[0]['conv']}: {failed[0]['why']}",
            highlight=False,
        )
        raise typer.Exit(1)


def _print_prepared(summary: dict[str, Any], out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from entrain.cli import console

    title = f"{out / 'turns.parquet'} · {summary['n_turns']:,} turns · {summary['n_conversations']:,} conversations"
    table = Table("feature", "turns with it", "why the others have none", title=title)
    for name, count in summary["values"].items():
        why = ", ".join(f"{reason}: {n:,}" for reason, n in summary["missing"][name].items())
        table.add_row(name, f"{count:,}", why)
    Console().print(table)
    if factor := summary["real_time_factor_per_core"]:
        console.print(f"{summary['audio_s'] / 3600:.2f} h of audio; real-time factor {factor:.4f} per core.")
    for count, what in (
        (summary["n_kept"], "conversations were done already"),
        (summary["n_remade"], "had been made from other settings, turns or audio, and were made again"),
        (len(summary["skipped"]), "things in the corpus were skipped; prepare.json lists them"),
        (len(summary["notes"]), "turns could not be heard; prepare.json lists them"),
    ):
        if count:
            console.print(f"{count:,} {what}.", highlight=False)


def _select(what: str, given: str, *allowed: str) -> None:
    if given not in allowed:
        raise ValueError(f"there is no {what} {given!r}. Select one of {', '.join(allowed)}.")
