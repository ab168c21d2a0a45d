"""`entrain train vad` and `entrain evaluate vad`. What is heavy is imported when they run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
)

if TYPE_CHECKING:
    from entrain_training.vad.fit import Sources

Data = Annotated[
    Path | None, typer.Option(help="All of the next, in a folder laid out as ../shared/data (its README).")
]
Speech = Annotated[
    list[Path] | None, typer.Option(help="Folder of clean speech to mix; give several.", show_default=False)
]
Noise = Annotated[Path | None, typer.Option(help="Folder of sounds without speech.")]
Meetings = Annotated[Path | None, typer.Option(help="Folder of recordings and the .rttm that marks them.")]
_NETWORKS = """One of five (cdnn).

- lstm: 20 MFCC, LSTM 256

- blstm: both ways, for whole recordings only

- lstm2: two layers

- cdnn: log-Mel, convolution along frequency, LSTM 192

- cdnn-raw: the same on 40 learned filters of 401 taps"""


def train(
    data: Data = None,
    speech: Speech = None,
    noise: Noise = None,
    meetings: Meetings = None,
    texts: Annotated[
        Path | None, typer.Option(help="Turn table (.csv.gz): the default voice says some of it.")
    ] = None,
    out: Out = Path("run"),
    resume: Resume = None,
    start: Annotated[
        Path | None, typer.Option("--from", help="Begin with the weights of this run, of the same network.")
    ] = None,
    network: Annotated[str | None, typer.Option(help=_NETWORKS)] = None,
    seconds: Annotated[float | None, typer.Option(help="Of each example (3).")] = None,
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
    """Train a voice activity detector on scenes mixed on the fly, and on labelled meetings where there are any.

    The scenes: one to three talkers of the clean speech with pauses, in rooms, noise (−5 to 20 dB) and microphones; labels come from
    the clean side. A fifth of the speakers and of the noise is kept for `entrain evaluate vad`, a tenth for choosing the epoch.
    Writes config.json and model.onnx, ready for `--vad net:OUT`, to OUT; stop it whenever you like: `--resume OUT` goes on exactly.

    Example: `entrain train vad --data ../shared/data --network cdnn --seconds 3 -o runs/ears`, or
    `entrain train vad --speech clean/ --noise noise/ --meetings ami/ -o runs/ears`
    """
    from entrain.cli import clear_errors, console
    from entrain.optional import require

    named = {
        "network": network, "seconds": seconds, "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate,
        "seed": seed, "accelerator": accelerator, "devices": devices, "precision": precision,
    }  # fmt: skip
    with clear_errors():
        changes = given(setting, **named)
        for package in ("lightning", "tensorboard", "pyroomacoustics", "pedalboard", "onnx"):
            require(package, TRAIN, ValueError)
        from entrain_training.run import read
        from entrain_training.study import again
        from entrain_training.vad.fit import Sources, fit
        from entrain_training.vad.task import Settings

        if resume:
            if data or speech or noise or meetings or texts or start:
                raise ValueError(
                    "a training goes on with the data that it was begun with; give --resume alone."
                )
            out, about = resume, read(resume / "settings.json")["about"]
            sources, settings = Sources.of(about), again(resume, Settings, changes)
            start = Path(about["start"]) if about["start"] else None
        else:
            sources, settings = _sources(data, speech, noise, meetings, texts), Settings(**changes)
            if not sources.speech:
                raise ValueError("there is no speech to learn from. Give --speech DIR too.")
        try:
            told = fit(sources, out, settings, start=start, resume=resume is not None, console=console)
        except KeyboardInterrupt:
            console.print(f"Stopped. To go on: entrain train vad --resume {out}", soft_wrap=True)
            raise typer.Exit(130) from None
    _print_trained(told, out, as_json)


def _sources(
    data: Path | None, speech: list[Path] | None, noise: Path | None, meetings: Path | None, texts: Path | None = None
) -> Sources:  # fmt: skip
    from entrain_training.vad.fit import Sources

    if data:
        found = Sources.within(data)
    elif noise:
        found = Sources(tuple(speech or ()), noise)
    else:
        raise ValueError("there is no sound to work on. Give --data DIR, or --speech DIR and --noise DIR.")
    more = {"speech": tuple(speech or ()), "noise": noise, "meetings": meetings, "texts": texts}
    return found._replace(**{name: value for name, value in more.items() if value})


def _print_trained(told: dict[str, Any], out: Path, as_json: bool) -> None:
    from entrain.cli import console

    if as_json:
        print(json.dumps(told))
        return
    print(
        f"{out}: {told['network']}, {told['parameters']:,} parameters, epoch {told['epoch']} of {told['n_epochs']} · "
        f"AUC {told['dev_auc']:.3f} on scenes of other speakers and noises"
    )
    for line in told["left_out"]:
        print(f"note: {line}")
    use = (
        f", or entrain talk --vad net:{out}" if told["streams"] else " (it looks ahead, so it can't listen live)"
    )  # fmt: skip
    console.print(f"Next: entrain evaluate vad {out} --data …{use}", highlight=False, soft_wrap=True)


def evaluate(
    run: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Folders that `entrain train vad` wrote; none: the rivals alone.", show_default=False
        ),
    ] = None,
    data: Data = None,
    speech: Speech = None,
    noise: Noise = None,
    meetings: Meetings = None,
    scenes: Annotated[int, typer.Option(min=1, help="Mixed at each noise level, of ten seconds each.")] = 24,
    out: Page = Path("results/vad"),
    as_json: AsJson = False,
) -> None:
    """How well do detectors hear speech? Yours beside silero, ten-vad, webrtc and energy, in one run.

    On meetings: AUC, accuracy, miss and false alarm, how soon a start and an end are known. On noise alone: how much is taken for speech.
    On scenes of speakers and noises kept from training: each at −5 to 20 dB. What isn't installed is listed as left out. A meeting of
    people whom a run learnt from is no test: give others, or train with `--set real=0`. Writes OUT/results.html with plots, results.md and results.json.

    Example: `entrain evaluate vad runs/ears --data ../shared/data`
    """
    from entrain.cli import clear_errors, console
    from entrain.optional import require

    with clear_errors():
        for package in ("sklearn", "pyroomacoustics", "pedalboard"):
            require(package, TRAIN, ValueError)
        from entrain_training.clips import LeftOut
        from entrain_training.sections import write
        from entrain_training.vad.evaluate import evaluate as evaluated
        from entrain_training.vad.evaluate import tests
        from entrain_training.vad.meetings import read_meetings
        from entrain_training.vad.rivals import ours, rivals, unheard

        sources = _sources(data, speech, noise, meetings)
        left_out = LeftOut()
        with console.status("reading") as status:
            found = read_meetings(sources.meetings, left_out) if sources.meetings else []
            kept, why = unheard(found, run or [])
            what = tests(kept, sources.noise, sources.speech, left_out, scenes)
            others, missing = rivals()
            listeners = [*(ours(folder.name, [folder]) for folder in run or []), *others]
            note = "entrain evaluate vad " + " ".join(map(str, run or [])) + "."
            section = evaluated(
                listeners, what, [*why, *missing, *left_out.told()], note, lambda line: status.update(line)
            )
        page = write([section], out, "Voice activity")
    print(section.model_dump_json() if as_json else page.with_suffix(".md").read_text(encoding="utf-8"))
    console.print(f"Now open {page} in a browser.", highlight=False)
