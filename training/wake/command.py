"""`entrain train wake`, which is `entrain wake create`, and `entrain evaluate wake`. What is heavy is imported when they run."""

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
    Page,
    Precision,
    Resume,
    Seed,
    Set,
    given,
)

if TYPE_CHECKING:
    from entrain_training.wake.sounds import Sources

Positives = Annotated[
    list[Path] | None,
    typer.Option(help="Folder of recordings of the word, once in each.", show_default=False),
]
Negatives = Annotated[
    list[Path] | None, typer.Option(help="Folder of speech without it; give several.", show_default=False)
]
Backgrounds = Annotated[
    list[Path] | None,
    typer.Option(help="Folder of noises: another room's hum, a street, music.", show_default=False),
]


def train(
    word: Annotated[
        str | None, typer.Argument(help="The wake word, as 'hey joe'.", show_default=False)
    ] = None,
    positives: Positives = None,
    negatives: Negatives = None,
    backgrounds: Backgrounds = None,
    near: Annotated[
        str, typer.Option(help="More that sounds like it, by commas: 'hey john,hey jo ann'.")
    ] = "",
    text: Annotated[
        Path | None, typer.Option(help="A turn table (.csv.gz): sentences for the voices to say.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="CSV with file,end_s: where the word ends, in seconds (default: where speech does)."
        ),
    ] = None,
    voices: Annotated[
        str | None,
        typer.Option(
            help="hibari,espeak,piper,kokoro (all that are installed); kokoro:FOLDER: Kokoro's speakers there; none: only recordings."
        ),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(help="embedding: a head on the bundled speech embeddings; or conv-gru, from scratch."),
    ] = None,
    start_from: Annotated[
        Path | None, typer.Option(help="Begin with the weights of this wake word, of the same network.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder, or NAME.safetensors (default: wake/WORD).")
    ] = None,
    resume: Resume = None,
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
    """Make a wake word of your own. With no recordings at all, the installed voices say it.

    Voices say the word, what sounds like it, and other sentences, at many pitches, rates and sizes; recordings, where given, are mixed
    in; all is heard in rooms and noise by many microphones, otherwise each time. A fifth is kept to choose the threshold. What voices
    say is kept in OUT/voices; stop it whenever you like: `--resume OUT` goes on. The more speakers, the fewer strangers are missed:
    `npm pack kokoro-js@1.2.1`, unpacked, has 54: `--voices hibari,espeak,piper,kokoro:package/voices`.

    Example: `entrain wake create "hey joe" -o wake/joe`, then `entrain talk --wake wake/joe`, or, with recordings,
    `entrain wake create "hey joe" --positives mine/ --negatives others/ --backgrounds noise/ --near "hey john,hey jo ann"`
    """
    from entrain.cli import clear_errors, console
    from entrain.optional import require

    named = {
        "network": network, "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "seed": seed,
        "accelerator": accelerator, "devices": devices, "precision": precision,
    }  # fmt: skip
    with clear_errors():
        changes = given(setting, **named)
        for package in ("lightning", "tensorboard", "pyroomacoustics", "pedalboard", "onnx", "silero_vad"):
            require(package, TRAIN, ValueError)
        from entrain_training.run import read
        from entrain_training.study import again
        from entrain_training.wake.create import create as created
        from entrain_training.wake.create import folder_and_file
        from entrain_training.wake.settings import Wake
        from entrain_training.wake.sounds import Sources

        if resume:
            if any((word, positives, negatives, backgrounds, near, text, labels, voices, start_from)):
                raise ValueError(
                    "a training goes on with the sound that it was begun with; give --resume alone."
                )
            folder, file = folder_and_file(resume)
            sources = Sources.of(read(folder / "settings.json")["about"])
            settings = again(folder, Wake, changes)
        else:
            sources = _sources(
                word, positives, negatives, backgrounds, near, text, labels, voices, start_from
            )
            folder, file = folder_and_file(out or Path("wake") / sources.word.replace(" ", "_"))
            settings = Wake(**_without_voices(changes, voices))
        try:
            made = created(sources, folder, settings, file=file, console=console, resume=resume is not None)
        except KeyboardInterrupt:
            begun = (folder / "settings.json").exists()  # else voices still spoke, whose lines are kept
            again_by = f"entrain train wake --resume {file or folder}" if begun else "the same command"
            console.print(f"Stopped. To go on: {again_by}", soft_wrap=True)
            raise typer.Exit(130) from None
    _print_created(made.path, made.card, as_json)


create = train


def _sources(
    word: str | None, positives: list[Path] | None, negatives: list[Path] | None, backgrounds: list[Path] | None,
    near: str, text: Path | None, labels: Path | None, voices: str | None, start_from: Path | None,
) -> Sources:  # fmt: skip
    from entrain_training.wake.sounds import Sources

    if not word or not word.strip():
        raise ValueError("which word? Give it first: entrain wake create 'hey joe'")
    return Sources(
        word=" ".join(word.lower().split()), positives=positives or (), negatives=negatives or (), backgrounds=backgrounds or (),
        near=_by_commas(near), text=text, labels=labels,
        voices=None if voices is None else [v.strip() for v in voices.split(",") if v.strip() not in ("", "none")],
        start_from=start_from,
    )  # fmt: skip


def _by_commas(told: str) -> list[str]:
    return [phrase.strip() for phrase in told.split(",") if phrase.strip()]


def _without_voices(changes: dict[str, Any], voices: str | None) -> dict[str, Any]:
    return changes | ({"n_synthesised": 0, "n_near": 0, "n_sentences": 0} if voices == "none" else {})


def _print_created(path: Path, card: dict[str, Any], as_json: bool) -> None:
    from entrain.cli import console

    if as_json:
        print(json.dumps(card | {"path": str(path)}))
        return
    print(
        f"{path}: {card['word']!r}, {card['network']}, {card['parameters']:,} parameters, {card['epochs']} epochs · threshold "
        f"{card['threshold']} lets {card['dev_false_accepts_per_hour']:.2f} an hour through in {card['dev_hours']:.2f} h kept for that"
    )
    for kind, miss in card["dev_miss_10_db"].items():
        print(f"of the {kind} words kept for that, {miss['value']:.1%} are missed at 10 dB")
    for line in card["left_out"]:
        print(f"note: {line}")
    console.print(
        f"Next: entrain talk --wake {path}, or entrain evaluate wake {path} --positives DIR --negatives DIR --backgrounds DIR",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(help="Wake words: folders or files that were made here, or names, as 'hey jarvis'."),
    ],
    positives: Positives = None,
    negatives: Negatives = None,
    backgrounds: Backgrounds = None,
    near: Annotated[
        str,
        typer.Option(
            help="More near misses, by commas, for the voices to say; others come from the dictionary."
        ),
    ] = "",
    voices: Annotated[
        str | None,
        typer.Option(
            help="Who says the near misses: hibari,espeak,piper,kokoro (all that are installed); none."
        ),
    ] = None,
    speakers: Annotated[
        str | None,
        typer.Option(help="Per speaker: a regular expression whose group is the name, or 'folder'."),
    ] = None,
    snr_db: Annotated[float, typer.Option(help="Of the noisy test.")] = 10.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 1,
    out: Page = Path("results-wake"),
    as_json: AsJson = False,
) -> None:
    """How often is the word missed, and how often does something else wake? On recordings that training has not heard.

    Writes OUT/results.html with the curves, results.md and results.json: misses against false accepts per hour, clean and in noise, by
    speaker, on near misses and parts of the phrase, one word and two, how late; ready-made words of the same phrase beside it.

    Example: `entrain evaluate wake wake/joe --positives test/joe --negatives test/speech --backgrounds test/noise`
    """
    from entrain.cli import clear_errors, console
    from entrain.optional import require

    with clear_errors():
        require("onnx", TRAIN, ValueError)
        from entrain_training import sections
        from entrain_training.wake.evaluate import evaluate as evaluated
        from entrain_training.wake.measure import Test

        if not positives or not negatives:
            raise ValueError(
                "give recordings of the word with --positives, and of other speech with --negatives."
            )
        test = Test(
            positives=positives, negatives=negatives, backgrounds=backgrounds or (), snr_db=snr_db, seed=seed, speakers=speakers,
            near=_by_commas(near),
            voices=None
            if voices is None
            else [v.strip() for v in voices.split(",") if v.strip() not in ("", "none")],
        )  # fmt: skip
        with console.status("…") as status:
            found = evaluated(
                {model: model for model in models}, test, out / "voices", lambda line: status.update(line)
            )
        page = sections.write(found, out, "Wake words")
    print(
        json.dumps([s.data for s in found]) if as_json else (out / "results.md").read_text(encoding="utf-8")
    )
    console.print(f"Next: open {page} in a browser.")
