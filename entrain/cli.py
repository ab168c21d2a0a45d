"""The command line: every command teaches by --help, shows progress, and gives JSON to scripts with --json."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Column, Table

from entrain.options import (
    TTS,
    Defaulted,
    Emotion,
    Engine,
    Profile,
    Strength,
    check_register,
    clear_errors,
    console,
)
from entrain.serve_command import serve
from entrain.talk_command import talk

if TYPE_CHECKING:
    from entrain.neural import Neural
    from entrain.strategy import WizardOfOz

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Prosodic entrainment for spoken dialogue: hear how a person talks, and answer in kind.\n\n"
    "Begin with `entrain doctor`, then `entrain demo`.",
)
history_app = typer.Typer(no_args_is_help=True, help="Stored conversations: list, export, import, delete.")
app.add_typer(history_app, name="history")
commands, vad, wake, emotion = (
    cast("Any", import_module(f"entrain_training.{name}"))  # is training/, which pyright can't find
    for name in ("commands", "vad.command", "wake.command", "emotion.command")
)
for verb, what in (("train", "Train"), ("evaluate", "Evaluate")):
    group = typer.Typer(
        cls=Defaulted,
        no_args_is_help=True,
        help=f"{what} a network: model, the default, predicts prosody; vad, wake and emotion are ears.\n\n"
        f"`entrain {verb} RUN_OR_TABLE …` is `entrain {verb} model RUN_OR_TABLE …`.",
    )
    group.command(Defaulted.default)(getattr(commands, verb))
    for name, module in (("vad", vad), ("wake", wake), ("emotion", emotion)):
        group.command(name)(getattr(module, verb))
    app.add_typer(group, name=verb)
wake_app = typer.Typer(no_args_is_help=True, help="Wake words of your own.")
wake_app.command("create")(wake.create)
app.add_typer(wake_app, name="wake")

Strategy = Annotated[
    str,
    typer.Option(
        help="What to aim at: neural[:folder] (the model), weighted, matching, neutral, or wizard: you decide."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
StoreUrl = Annotated[str, typer.Option(help="SQLite file or database URL.", envvar="ENTRAIN_STORE")]


@app.command()
def say(
    text: Annotated[str, typer.Argument(help="What to say.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the wav goes.")] = Path("say.wav"),
    pitch: Annotated[float, typer.Option(help="Semitones up or down.")] = 0.0,
    range_: Annotated[float, typer.Option("--range", help="Pitch range as a factor.")] = 1.0,
    rate: Annotated[float, typer.Option(help="Rate as a factor; 1.1 is ten per cent faster.")] = 1.0,
    level: Annotated[float, typer.Option(help="dB louder or softer.")] = 0.0,
    after: Annotated[
        str | None,
        typer.Option(
            help="A conversation.jsonl, an exported .json, or a stored one's id: say it as the next reply there, as --strategy decides."
        ),
    ] = None,
    strategy: Strategy = "neural",
    strength: Strength = 1.0,
    tts: TTS = "hibari",
    engine: Engine = "psola",
    voice: Profile = None,
    store: Annotated[
        str | None, typer.Option(help="Where stored conversations are.", envvar="ENTRAIN_STORE")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say a text with a given prosody, or as the next reply of a conversation, and print what was really realised.

    Example: `entrain say "We open at nine." --pitch -1.5 --rate 0.9 -o slow.wav`, or `entrain say "We open at nine." --after
    talk/conversation.jsonl`
    """
    from entrain.conversation import Entrainer
    from entrain.converse import read_conversation
    from entrain.targets import Targets

    with clear_errors():
        if after is not None and (pitch, range_, rate, level) != (0.0, 1.0, 1.0, 0.0):
            raise ValueError(
                "--after lets the strategy decide; leave --pitch, --range, --rate and --level out."
            )
        before = read_conversation(after, store) if after is not None else []
        agent = Entrainer.load(
            tts, strategy if after else "neutral", strength, engine=engine, voice=voice, recogniser=None
        )
    with clear_errors(), agent, agent.conversation() as talk:
        for turn in before:
            talk.history.add(turn)
        targets = None
        if after is None:
            targets = Targets.shifted(
                agent.voice, f0_shift_st=pitch, f0_range_factor=range_, rate_factor=rate, level_shift_db=level
            )
        speech = talk.say(text, targets)
        if speech.fault:
            raise ValueError(speech.fault)
        if not len(speech.audio.samples):
            raise ValueError(f"there is nothing to say in {text!r}; give words.")
        speech.audio.write(out)
    if as_json:
        print(json.dumps({"audio": str(out), **speech.realised.model_dump()}))
        return
    table = Table(
        "", "aim", "realised", title=f"{out} · {speech.audio.duration_s:.2f} s · {speech.realised.engine}"
    )
    for name in ("f0_mean_st", "f0_range_st", "rate_syll_s", "level_db"):
        table.add_row(name, *(_number(getattr(speech.realised, key)) for key in (f"aim_{name}", name)))
    Console().print(table)
    for remark in speech.realised.not_realised:
        console.print(f"not realised: {remark}", markup=False)


@app.command()
def converse(
    user: Annotated[list[Path] | None, typer.Option(help="The user's turns, one audio file each.")] = None,
    more: Annotated[list[Path] | None, typer.Argument(help="Further turns.", show_default=False)] = None,
    replies: Annotated[Path | None, typer.Option(help="Text file: a reply a line.")] = None,
    responder: Annotated[
        str, typer.Option(help="Who answers: eliza, person (you type), rasa:URL or openai:URL#MODEL.")
    ] = "eliza",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for replies, record and report.")] = Path(
        "conversation"
    ),
    split: Annotated[
        float, typer.Option(help="Cut each file into turns at pauses of this many seconds; 0: don't.")
    ] = 0.0,
    texts: Annotated[
        Path | None, typer.Option(help="What the user says, a turn a line; without it, it is recognised.")
    ] = None,
    tts: TTS = "hibari",
    strategy: Strategy = "neural",
    strength: Strength = 1.0,
    engine: Engine = "psola",
    voice: Profile = None,
    asr: Annotated[str, typer.Option(help="Recogniser: moonshine, or whisper:NAME.")] = "moonshine",
    store: Annotated[str | None, typer.Option(help="Remember the conversation here (file or URL).")] = None,
    conversation: Annotated[str | None, typer.Option(help="Its name; goes on with a stored one.")] = None,
    register: Annotated[
        str, typer.Option(help="Low or high, if the user's voice is known to be so; else any.")
    ] = "any",
    emotion: Emotion = None,
    as_json: AsJson = False,
) -> None:
    """Hold a whole conversation from files: every user turn is answered in speech that fits it.

    Writes `OUT/01-agent.wav` …, `OUT/conversation.jsonl` (a turn a line) and `OUT/report.html`.

    Example: `entrain converse --user hello.wav question.wav --replies replies.txt -o talk`
    """
    from entrain.conversation import Entrainer
    from entrain.converse import hold, user_turns
    from entrain.report import likeliest
    from entrain.responder import load_responder
    from entrain.strategy import WizardOfOz

    with clear_errors():
        check_register(register)
        turns = user_turns([*(user or []), *(more or [])], split)
        known_texts = texts.read_text(encoding="utf-8").splitlines() if texts else []
        who = load_responder(f"script:{replies}" if replies else responder, conversation)
        with Entrainer.load(
            tts=tts,
            strategy=strategy,
            strength=strength,
            engine=engine,
            voice=voice,
            recogniser=asr,
            store=store,
            emotion=emotion,
        ) as agent:
            settings: Any = {"texts": known_texts, "conversation_id": conversation, "register": register}
            if isinstance(agent.strategy, WizardOfOz):
                result = hold(agent, turns, who, out, before_reply=_ask(agent.strategy), **settings)
            else:
                steps = track(turns, "Talking", console=console, disable=as_json)
                result = hold(agent, steps, who, out, **settings)
    if as_json:
        print(json.dumps(result))
        return
    felt = ["emotion"] if emotion else []
    names = ("who", "st re 100 Hz", "range st", "syll/s", "dB", *felt, "text")
    table = Table(*names, title=f"Conversation {result['id']}")
    for turn in result["turns"]:
        f = turn["features"]
        names = ("f0_mean_st", "f0_range_st", "rate_syll_s", "level_db")
        felt = [escape(likeliest(turn["emotion"]))] if emotion else []
        table.add_row(
            turn["speaker"], *(_number(f[name]) for name in names), *felt, escape(turn["text"][:60])
        )
    Console().print(table)
    console.print(
        f"Now open {result['report']} in a browser: hear the replies, and see plan against realised."
    )


@app.command()
def features(
    files: Annotated[list[Path], typer.Argument(help="Audio files; each is one turn.")],
    text: Annotated[str, typer.Option(help="What is said, for the rate (with one file).")] = "",
    recognise: Annotated[bool, typer.Option(help="Recognise the words, for the rate.")] = False,
    profile: Annotated[
        str, typer.Option(help="entrain-1, or praat-75-600 to repeat published tables.")
    ] = "entrain-1",
    emotion: Emotion = None,
    as_json: AsJson = False,
) -> None:
    """The seven prosodic features of turns, and why any of them is missing.

    Example: `entrain features turn.wav --text "we open at nine" --json`, or `entrain features turn.wav --emotion runs/emotion`
    """
    from entrain.asr import load_recogniser
    from entrain.audio import Audio
    from entrain.emotion import load_emotion
    from entrain.prosody import extract
    from entrain.turn import FEATURES

    with clear_errors():
        if profile not in ("entrain-1", "praat-75-600"):
            raise ValueError(f"there is no profile {profile!r}. Select one of entrain-1, praat-75-600.")
        ears = load_recogniser() if recognise else None
        judge = load_emotion(emotion) if emotion else None
        rows: list[dict[str, Any]] = []
        for path in track(files, "Measuring", console=console, disable=as_json or len(files) < 3):
            audio = Audio.read(path)
            words = ears.transcribe(audio).text if ears else text
            found = extract(audio, words, profile=profile)  # pyright: ignore[reportArgumentType]
            rows.append({"file": str(path), "text": words, **found.model_dump()})
            if judge:  # each file by itself: they need not be of one speaker
                felt = judge.feel(audio)
                rows[-1]["emotion"] = felt.probabilities
                rows[-1]["missing"] |= {} if felt.probabilities else {"emotion": felt.why}
    if as_json:
        print(json.dumps(rows if len(rows) > 1 else rows[0]))
        return
    labels = judge.labels if judge else ()
    table = Table("file", *FEATURES, *map(escape, labels), "missing")
    for row in rows:
        why = ", ".join(f"{name}: {reason}" for name, reason in row["missing"].items())
        emotions: dict[str, float] = row.get("emotion") or {}
        figures = [row[name] for name in FEATURES] + [emotions.get(label) for label in labels]
        table.add_row(Path(row["file"]).name, *map(_number, figures), why)
    Console().print(table)


@app.command()
def report(
    source: Annotated[
        str, typer.Argument(help="A conversation.jsonl, an exported .json, or the id of a stored one.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write.")] = Path("report.html"),
    attention: Annotated[bool, typer.Option(help="Show where the model looks for each reply.")] = True,
    model: Annotated[Path | None, typer.Option(help="Folder of that model (default: what ships).")] = None,
    store: Annotated[
        str | None, typer.Option(help="Where stored conversations are.", envvar="ENTRAIN_STORE")
    ] = None,
) -> None:
    """One self-contained page about a conversation: both voices over time, plan against realised, and players.

    Where the model looks for each reply is shown whatever strategy chose its sound then.
    """
    from entrain.converse import read_conversation
    from entrain.report import write_report

    with clear_errors():
        turns = read_conversation(source, store)
        audio = {
            i: Path(turn.audio_file)
            for i, turn in enumerate(turns)
            if turn.audio_file and Path(turn.audio_file).exists()
        }
        looked = _neural(model).look(turns) if attention else {}
        write_report(turns, out, title=f"Conversation {Path(source).stem}", audio=audio, looked=looked)
    console.print(f"Now open {out} in a browser.")


@app.command()
def measure(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="A conversation.jsonl, an exported .json, a stored one's id, or a table: .csv, .csv.gz."
        ),
    ],
    feature: Annotated[
        str | None, typer.Option(help="The feature, or a table's column (default: rate_syll_s; rate).")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="This measure alone; may be given again.")] = None,
    draws: Annotated[int, typer.Option(min=1, help="Sham partners of each kind.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same p.")] = 0,
    min_words: Annotated[int, typer.Option(help="In a table, pass over turns of fewer words.")] = 3,
    each: Annotated[bool, typer.Option("--each", help="Every conversation's values too.")] = False,
    store: Annotated[
        str | None, typer.Option(help="Where stored conversations are.", envvar="ENTRAIN_STORE")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Do the speakers entrain? Twelve measures over one or more conversations, each beside sham partners.

    More is more alike. **within**: the same with the partner's values shifted round in time; **between**: with a partner
    from another conversation. Believe a value whose p is small for both: people drift, and any two may be alike.

    Example: `entrain measure talk/conversation.jsonl --feature f0_mean_st`, or `entrain measure turns.csv.gz --only synchrony`
    """
    from rich.progress import Progress

    from entrain.converse import read_conversation
    from entrain.measure import MEASURES
    from entrain.measure import measure as measured
    from entrain.series import Talk, of_turns, read_table

    with clear_errors(), Progress(console=console, disable=as_json) as progress:
        talks: dict[str, Talk] = {}
        for source in sources:
            if source.endswith((".csv", ".csv.gz")):
                talks |= read_table(source, feature or "rate", min_words)
            else:
                talks[source] = of_turns(read_conversation(source, store), feature or "rate_syll_s")
        task = progress.add_task("Measuring")
        results = measured(
            talks, only or tuple(MEASURES), draws, seed,
            lambda done, of: progress.update(task, completed=done, total=of),
        )  # fmt: skip
    if as_json:
        print(json.dumps([result.model_dump(exclude=None if each else {"each"}) for result in results]))
        return
    name = Column("measure", no_wrap=True)
    table = Table(name, "value", "within", "p", "between", "p", "n", "left out")
    for result in results:
        shams = [(sham.mean, sham.p) if sham else (None, None) for sham in (result.within, result.between)]
        figures = [_number(value) for value in (result.value, *shams[0], *shams[1])]
        table.add_row(result.name, *figures, str(result.n), str(result.n_left_out))
    Console().print(table)
    for result in results:
        console.print(f"{result.name}: {MEASURES[result.name].meaning}", highlight=False)
    if each:
        table = Table("conversation", *(result.name for result in results))
        for talk in talks:
            table.add_row(talk, *(_number(result.each.get(talk)) for result in results))
        Console().print(table)


@app.command()
def voice(
    tts: Annotated[str, typer.Argument(help="The voice to measure, as for --tts.")],
    texts: Annotated[
        Path | None, typer.Option(help="Sentences, one a line (default: forty that ship).")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The profile's file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a TTS voice: the mean and spread of each feature, which targets are set from.

    Example: `entrain voice espeak:en-us -o espeak.json`, then `entrain converse --tts espeak:en-us --voice espeak.json …`
    """
    from rich.progress import Progress

    from entrain.tts import load_tts
    from entrain.turn import FEATURES
    from entrain.voice import VoiceProfile, file_name, sentences

    with clear_errors(), Progress(console=console, disable=as_json) as progress:
        lines = (
            [line for line in texts.read_text(encoding="utf-8").splitlines() if line]
            if texts
            else sentences()
        )
        task = progress.add_task("Measuring", total=len(lines))
        measured = VoiceProfile.measure(load_tts(tts), lines, lambda n: progress.update(task, completed=n))
        path = out or Path(file_name(measured.name))
        measured.save(path)
    if as_json:
        print(measured.model_dump_json())
        return
    table = Table(
        "feature", "mean", "spread", title=f"{measured.name} · {measured.n_sentences} sentences · {path}"
    )
    for name, mean, spread in zip(FEATURES, measured.mean, measured.spread, strict=True):
        table.add_row(name, _number(mean), _number(spread))
    Console().print(table)


@app.command()
def doctor(emotion: Emotion = None, as_json: AsJson = False) -> None:
    """Check devices, engines, weights and versions; say how to mend what is missing. Exit code 1 if entrain can't run."""
    from entrain.doctor import examine

    findings = examine(emotion)
    if as_json:
        print(json.dumps([finding.model_dump() for finding in findings]))
    else:
        table = Table("", "what", "found", "to mend it")
        for f in findings:
            mark = "[green]✓[/green]" if f.ok else "[red]✗[/red]" if f.needed else "[yellow]–[/yellow]"
            table.add_row(mark, f.what, escape(f.found), escape(f.mend))
        Console().print(table)
    if any(f.needed and not f.ok for f in findings):
        raise typer.Exit(1)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the demonstration.")] = Path(
        "demo-out"
    ),
    strategy: Strategy = "neural",
) -> None:
    """The main job on a real reading that ships with the recogniser: as it was read, slower and lower, faster and higher. The
    same replies come out differently, and measurably so."""
    from entrain.demo import run

    with clear_errors():
        run(out, strategy, console)


app.command()(commands.prepare)
app.command()(serve)
app.command()(talk)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a trained model, or - for the one that ships.")],
    out: Annotated[Path, typer.Argument(help="The file to write (.onnx).")],
    as_json: AsJson = False,
) -> None:
    """A trained model as ONNX, for other runtimes: a graph of one turn that carries its state. It is then compared with the
    original over random conversations.

    Example: `entrain export run model.onnx`
    """
    from entrain.parity import MAX_DIFFERENCE, parity
    from entrain.weights import Trained, WeightsError, export_onnx

    for chatty in ("torch.onnx", "onnx_ir"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    with clear_errors():
        trained = Trained.load(None if str(run) == "-" else run)
        export_onnx(trained, out)
        difference = parity(trained, out)
        if difference > MAX_DIFFERENCE:
            raise WeightsError(
                f"{out} differs from {run} by {difference:.1e}; {MAX_DIFFERENCE:.0e} is allowed. Don't use it; tell us."
            )
    if as_json:
        print(json.dumps({"onnx": str(out), "difference": difference}))
    else:
        print(
            f"{out} says what the model says: the largest difference over random conversations is {difference:.1e}."
        )


@history_app.command("list")
def history_list(store: StoreUrl) -> None:
    """The ids of the stored conversations, one a line."""
    from entrain.store import Store

    with clear_errors():
        print("\n".join(Store(store).list()))


@history_app.command("export")
def history_export(conversation: str, store: StoreUrl) -> None:
    """One conversation as JSON on standard output."""
    from entrain.store import Store

    with clear_errors():
        place = Store(store)
        found = place.load(conversation)
        if found is None:
            raise ValueError(
                f"there is no conversation {conversation!r} in the store. See: entrain history list"
            )
        print(found.to_json(place.all_turns(conversation)))


@history_app.command("import")
def history_import(file: Path, store: StoreUrl) -> None:
    """Put an exported conversation into a store; one of the same id must not be there."""
    from entrain.history import History
    from entrain.store import Store

    with clear_errors():
        place, history = Store(store), History.from_json(file.read_text(encoding="utf-8"))
        if place.load(history.id) is not None:
            raise ValueError(
                f"conversation {history.id!r} is there already. Delete it first: entrain history delete"
            )
        place.save(history)
        console.print(f"{len(history)} turns of {history.id!r} imported.")


@history_app.command("delete")
def history_delete(conversation: str, store: StoreUrl) -> None:
    """Delete a conversation whole. There is no way back."""
    from entrain.store import Store

    with clear_errors():
        if not Store(store).delete(conversation):
            raise ValueError(f"there is no conversation {conversation!r} in the store.")
        console.print(f"{conversation!r} is deleted.")


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from entrain import __version__

        print(__version__)
        sys.exit()


def _ask(wizard: WizardOfOz) -> Callable[[str, str], None]:
    """The wizard's prompt: aims in z, one spread of the voice each, that hold until they are changed."""

    def ask(heard: str, reply: str) -> None:
        console.print(
            f"[bold]user[/bold]  {escape(heard)}\n[bold]reply[/bold] {escape(reply)}", highlight=False
        )
        line = typer.prompt(
            "aims, such as f0_mean_st=-1 rate_syll_s=0.5", default="", show_default=False, err=True
        )
        for part in line.split():
            name, _, z = part.partition("=")
            wizard.set(**{name: float(z)})

    return ask


def _neural(model: Path | None) -> Neural:
    from entrain.neural import Neural

    return Neural(model)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}" if abs(value) < 1 else f"{value:.2f}"
