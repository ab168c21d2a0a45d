"""The commands that work on corpora: `prepare`, `train`, `evaluate`. What is heavy is imported when they run."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from entrain_training.options import (
    TRAIN,
    Accelerator,
    AsJson,
    Devices,
    Out,
    Page,
    Precision,
    Resume,
    given,
    select,
)
from entrain_training.presets import PRESETS

if TYPE_CHECKING:
    from entrain.prosody import Profile


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
    emotion: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a model that `entrain train emotion` wrote: it judges every turn that can be heard."
        ),
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes (default: one a core).")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The first so many conversations only.")] = None,
    engine: Annotated[str, typer.Option(help="local: processes here; ray: a cluster.")] = "local",
    address: Annotated[
        str | None, typer.Option(help="The Ray cluster's address (default: one started here).")
    ] = None,
    as_json: AsJson = False,
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

        select("profile", profile, "entrain-1", "praat-75-600")
        select("engine", engine, "local", "ray")
        if address and engine == "local":
            raise ValueError("--address is for a Ray cluster; give --engine ray with it.")
        run = partial(local, jobs=jobs) if engine == "local" else partial(on_ray, jobs=jobs, address=address)
        settings = Settings(cast("Profile", profile), mel, str(emotion.absolute()) if emotion else "")
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


_VARIANTS = "What the network reads (words-lookahead).\n\n" + "\n".join(
    f"- {name}: {what}" for name, what in PRESETS.items()
)


def train(
    tables: Annotated[
        list[Path] | None, typer.Argument(help="Tables that `entrain prepare` wrote.", show_default=False)
    ] = None,
    out: Out = Path("run"),
    resume: Resume = None,
    variant: Annotated[str | None, typer.Option(help=_VARIANTS)] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Train on all of it, for exactly --epochs: for weights that ship.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="At most so many (40).")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Conversations at once (16).")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="AdamW's (0.003).")] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            help="Probability that our own turns enter as recorded (1), or START,END,EPOCHS, as 1,0.5,10."
        ),
    ] = None,
    likelihood: Annotated[str | None, typer.Option(help="student, laplace or smooth_l1.")] = None,
    normalise: Annotated[
        str | None, typer.Option(help="causal; or conversation, as published tables.")
    ] = None,
    emotion: Annotated[
        bool,
        typer.Option(
            "--emotion", help="Read the emotions that the tables tell (`entrain prepare --emotion`)."
        ),
    ] = False,
    vectors: Annotated[str | None, typer.Option(help="Word vectors: .txt, .vec (.gz) or .bin.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed gives the same model (0).")] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Any other, as hidden=128 or train_on=both; an unknown name lists them all."
        ),
    ] = None,
    accelerator: Accelerator = None,
    devices: Devices = None,
    nodes: Annotated[int | None, typer.Option(min=1, help="Machines (1).")] = None,
    strategy: Annotated[str | None, typer.Option(help="Lightning's: auto, ddp …")] = None,
    precision: Precision = None,
    as_json: AsJson = False,
) -> None:
    """Train the network on prepared tables. Nobody who speaks in a dev or test conversation is heard in training.

    Writes the model of the best epoch, the losses and the split to OUT; watch it with `tensorboard --logdir OUT/logs`. Stop it
    whenever you like: `entrain train --resume OUT` goes on exactly.

    Example: `entrain train prepared/ami prepared/primock57 -o runs/words --epochs 20`
    """
    from entrain.cli import clear_errors, console
    from entrain.optional import require

    named = {
        "variant": variant, "everything": everything or None, "epochs": epochs, "batch_size": batch_size,
        "learning_rate": learning_rate, "likelihood": likelihood, "normalise": normalise, "vectors": vectors, "seed": seed,
        "accelerator": accelerator, "devices": devices, "nodes": nodes, "strategy": strategy, "precision": precision,
    }  # fmt: skip
    with clear_errors():
        changes = given(setting, **named) | _teacher(teacher)
        for package in ("pyarrow.parquet", "lightning", "tensorboard"):
            require(package, TRAIN, ValueError)
        from entrain_training.data import emotions_in
        from entrain_training.run import again
        from entrain_training.train import Training, fit, is_first

        paths = [str(table) for table in tables or []]
        if emotion:
            changes["emotion"] = emotions_in(paths) if paths else []
        if resume:
            out, paths, settings = resume, *again(resume, paths, changes)
        else:
            settings = Training(**changes)
        try:
            trained = fit(paths, out, settings, resume=resume is not None, console=console)
        except KeyboardInterrupt:
            console.print(
                f"Stopped. To go on after the last epoch that was done: entrain train --resume {out}"
            )
            raise typer.Exit(130) from None
    if is_first():  # of several processes that train together
        _print_trained(trained.card | {"run": str(out), "learnt": trained.learnt}, as_json)


def _teacher(given: str | None) -> dict[str, str]:
    names = ("teacher", "teacher_end", "teacher_epochs")
    values = given.split(",") if given else []
    if len(values) not in (0, 1, 3):
        raise ValueError(f"--teacher is {given!r}; give one probability, or START,END,EPOCHS.")
    return dict(zip(names, values, strict=False))


def _print_trained(card: dict[str, Any], as_json: bool) -> None:
    from entrain.cli import console

    judged = card["judged"]
    if as_json:
        print(json.dumps(card))
        return
    print(
        f"{card['run']}: epoch {card['epoch']} of {card['n_epochs']} · {judged['part']} loss {judged['loss']:.4f}"
        + (f" ({judged['loss_free']:.4f} with our own turns as predicted)" if "loss_free" in judged else "")
        + f", {judged['loss_of_0']:.4f} where 0 is predicted"
    )
    for kind, told in (("real", "people"), ("simulated", "the simulator"), ("no", "nobody: too few values")):
        if names := [name for name, whence in card["learnt"].items() if whence == kind]:
            print(f"learnt from {told}: {', '.join(names)}")
    console.print(
        f"Next: entrain evaluate {card['run']} --table …, or entrain converse --strategy neural:{card['run']} …"
    )


def evaluate(
    run: Annotated[list[Path], typer.Argument(help="Folders that `entrain train` wrote.")],
    table: Annotated[list[Path], typer.Option(help="Prepared tables, those of training: one --table each.")],
    part: Annotated[str, typer.Option(help="Which part of each run's split: test, dev or train.")] = "test",
    out: Page = Path("results"),
    shuffles: Annotated[int, typer.Option(min=0, help="Of partners, for the sham; 0 leaves it out.")] = 20,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at once.")] = 1,
    vectors: Annotated[Path | None, typer.Option(help="Word vectors, if trained with others.")] = None,
    as_json: AsJson = False,
) -> None:
    """How well do models predict conversations that they have not seen? Beside what is trivial, each other and sham partners.

    Writes OUT/results.html with plots, results.md in short, and results.json with everything.

    Example: `entrain evaluate runs/words runs/base --table prepared/ami --table prepared/primock57`
    """
    from entrain.cli import clear_errors, console
    from entrain.optional import require

    with clear_errors():
        for package in ("pyarrow.parquet", "sklearn"):
            require(package, TRAIN, ValueError)
        from entrain_training.evaluate import evaluate as evaluated
        from entrain_training.page import markdown, write

        select("part", part, "test", "dev", "train")
        with console.status("…") as status:
            results = evaluated(
                run,
                table,
                cast("Any", part),
                vectors=vectors,
                n_shuffles=shuffles,
                jobs=jobs,
                say=lambda line: status.update(line),
            )
        page = write(results, out)
    print(results.model_dump_json() if as_json else markdown(results, "Results"))
    console.print(f"Now open {page} in a browser.")


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
