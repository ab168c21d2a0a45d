"""`entrain train emotion` and `entrain evaluate emotion`. What is heavy is imported when they run."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from entrain_training.options import (
    TRAIN,
    Accelerator,
    AsJson,
    BatchSize,
    Devices,
    Epochs,
    LearningRate,
    Out,
    Page,
    Precision,
    Resume,
    Seed,
    Set,
    given,
    select,
)

KINDS = ("svm", "network", "wav2vec2", "mean")

Recordings = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Folders of RAVDESS, EMODB, CREMA-D, EMOVO, nEMO or URDU, known by their files' names; or CSV files with the columns "
        "path,emotion,speaker[,sentence].",
        show_default=False,
    ),
]
Kind = Annotated[
    str | None,
    typer.Option(
        help="What is trained (svm).\n\n- svm: support vectors on functionals of the voice, a minute\n- network: a small residual network "
        "over log-Mel frames, from scratch\n- wav2vec2: fine-tunes a pretrained one, `--checkpoint` names it; wants a GPU\n- mean: of svm "
        "and network"
    ),
]
Normalise = Annotated[
    str | None,
    typer.Option(
        help="online: each speaker is compared with what was heard of them so far (default); none: with everybody."
    ),
]
Checkpoint = Annotated[
    str | None, typer.Option(help="wav2vec2: a name on the hub, or a folder (facebook/wav2vec2-base).")
]
Cache = Annotated[
    Path | None, typer.Option(help="Where measures are kept, so that nothing is measured twice (--out).")
]


def train(
    recordings: Recordings = None,
    out: Out = Path("emotion"),
    resume: Resume = None,
    model: Kind = None,
    normalise: Normalise = None,
    checkpoint: Checkpoint = None,
    cache: Cache = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    seed: Seed = None,
    setting: Set = None,
    accelerator: Accelerator = None,
    devices: Devices = None,
    precision: Precision = None,
    as_json: AsJson = False,
) -> None:
    """Train a model that hears emotion in a turn, from labelled recordings.

    Writes the model to OUT: config.json and safetensors or ONNX. Stop it whenever you like: the same command with `--resume OUT`
    goes on. How well it does with strangers only `entrain evaluate emotion` tells.

    Example: `entrain train emotion ravdess/ -o emotion/ravdess`, then `entrain talk --emotion emotion/ravdess`
    """
    from entrain.cli import clear_errors, console
    from entrain.optional import require

    named = _named(model, normalise, checkpoint, epochs, batch_size, learning_rate, seed)
    named |= {"accelerator": accelerator, "devices": devices, "precision": precision}
    with clear_errors():
        changes = given(setting, **named)
        _check(changes)
        for package in ("sklearn", "lightning", "tensorboard"):
            require(package, TRAIN, ValueError)
        from entrain_training.clips import LeftOut
        from entrain_training.emotion.train import train as trained

        left_out = LeftOut()
        try:
            if resume:
                out, settings = resume, _again(resume, changes)
                recordings = recordings or _recorded(resume)
            else:
                settings = _settings(changes)
            with console.status("measuring") as status:
                measured = _measured(recordings, cache or out, left_out, status.update)
                _remember(out, recordings)
            for line in left_out.told():
                console.print(line, highlight=False)
            console.print(f"{len(measured)} recordings, {', '.join(measured.labels())}", highlight=False)
            trained(
                measured, out, settings, console, resume is not None, partial(console.print, highlight=False)
            )
        except KeyboardInterrupt:
            begun = (out / "recordings.json").exists()
            how = f"entrain train emotion --resume {out}" if begun else "the same command again"
            console.print(f"Stopped. To go on: {how}")
            raise typer.Exit(130) from None
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    if as_json:
        print(json.dumps({"run": str(out), "left_out": left_out.told()} | _short(config)))
        return
    print(f"{out}: {config['name']}, {', '.join(config['labels'])}")
    console.print(
        f"Next: entrain evaluate emotion OTHER_RECORDINGS --run {out}, or entrain talk --emotion {out}",
        highlight=False,
    )


def evaluate(
    recordings: Recordings = None,
    run: Annotated[
        list[Path] | None,
        typer.Option(help="A trained model: tested on all who were not heard in its training."),
    ] = None,
    folds: Annotated[
        str | None,
        typer.Option(
            help="Train and test instead: ravdess-six-by-four, ravdess-five, leave-one-speaker-out, a JSON file, or random (which "
            "puts the same speakers on both sides)."
        ),
    ] = None,
    model: Kind = None,
    normalise: Normalise = None,
    checkpoint: Checkpoint = None,
    sentences_apart: Annotated[
        bool, typer.Option("--sentences-apart", help="No sentence on both sides either.")
    ] = False,
    orders: Annotated[int, typer.Option(min=1, help="Random orders in which a speaker's turns come.")] = 5,
    cache: Cache = None,
    epochs: Epochs = None,
    seed: Seed = None,
    setting: Set = None,
    out: Page = Path("results"),
    as_json: AsJson = False,
) -> None:
    """How well is emotion heard in people who were not in training? With the folds of a protocol, or of models trained before.

    Writes OUT/results.html with plots, results.md and results.json. Each fold's model stays in OUT; stopped, the same command with
    the same `--seed` goes on.

    Example: `entrain evaluate emotion ravdess/ --folds ravdess-six-by-four --model svm --seed 0`
    """
    from entrain.cli import clear_errors, console
    from entrain.optional import require

    with clear_errors():
        changes = given(setting, **_named(model, normalise, checkpoint, epochs, None, None, seed))
        _check(changes)
        for package in ("sklearn", "lightning", "tensorboard"):
            require(package, TRAIN, ValueError)
        from entrain_training.clips import LeftOut
        from entrain_training.emotion.evaluate import of_folds, of_models
        from entrain_training.emotion.folds import RANDOM, WARNING
        from entrain_training.sections import write

        if (folds is None) == (not run):
            raise ValueError("give either --folds, to train and test, or --run MODEL.")
        if folds == RANDOM:
            console.print(f"[yellow]{WARNING}[/yellow]")
        left_out = LeftOut()
        try:
            with console.status("measuring") as status:
                measured = _measured(recordings, cache or out, left_out, status.update)
                if run:
                    section = of_models(measured, run, left_out, orders, seed or 0, status.update)
                else:
                    settings, told = _settings({"seed": 0} | changes), folds or ""
                    section = of_folds(
                        measured, told, settings, out, left_out, orders, sentences_apart, status.update
                    )
        except KeyboardInterrupt:
            console.print("Stopped. The same command goes on.")
            raise typer.Exit(130) from None
        page = write([section], out, "Emotion")
    print(section.model_dump_json() if as_json else page.with_suffix(".md").read_text(encoding="utf-8"))
    console.print(f"Now open {page} in a browser.")


def _named(
    model: str | None, normalise: str | None, checkpoint: str | None, epochs: int | None, batch_size: int | None,
    learning_rate: float | None, seed: int | None,
) -> dict[str, Any]:  # fmt: skip
    return {
        "model": model, "normalise": normalise, "checkpoint": checkpoint, "epochs": epochs, "batch_size": batch_size,
        "learning_rate": learning_rate, "seed": seed,
    }  # fmt: skip


def _check(changes: dict[str, Any]) -> None:
    if "model" in changes:
        select("kind of model", changes["model"], *KINDS)
    if "normalise" in changes:
        select("normalisation", changes["normalise"], "online", "none", "whole")


def _settings(changes: dict[str, Any]) -> Any:
    from entrain_training.emotion.study import EmotionStudy

    return EmotionStudy(**changes)


def _again(run: Path, changes: dict[str, Any]) -> Any:
    from entrain_training.emotion.study import EmotionStudy
    from entrain_training.study import again

    of_mean = run / "svm"  # the mean keeps its settings with its members
    if of_mean.is_dir() and not (run / "settings.json").exists():
        return again(of_mean, EmotionStudy, changes).model_copy(update={"model": "mean"})
    return again(run, EmotionStudy, changes)


def _measured(recordings: list[Path] | None, cache: Path, left_out: Any, say: Any) -> Any:
    from entrain_training.emotion.corpora import items
    from entrain_training.emotion.measured import measure

    if not recordings:
        raise ValueError("no recordings; give folders, or CSV files.")
    return measure(items(recordings, left_out), cache, left_out, say)


def _remember(out: Path, recordings: list[Path] | None) -> None:
    from entrain_training.run import keep_json

    if not (out / "recordings.json").exists():
        keep_json(out / "recordings.json", [str(path.resolve()) for path in recordings or []])


def _recorded(run: Path) -> list[Path]:
    from entrain_training.run import read

    return [Path(path) for path in read(run / "recordings.json")]


def _short(config: dict[str, Any]) -> dict[str, Any]:
    return {name: config[name] for name in ("kind", "name", "labels", "card") if name in config}
