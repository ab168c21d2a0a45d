"""`entrain talk`: a spoken conversation at this machine's microphone and loudspeaker."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from entrain.options import (
    ASR,
    TTS,
    VAD,
    Emotion,
    Engine,
    Profile,
    Strength,
    check_register,
    clear_errors,
    console,
)

if TYPE_CHECKING:
    from entrain.conversation import Entrainer
    from entrain.ear import Ears
    from entrain.live import Live
    from entrain.reply import Responder
    from entrain.talk import Setting, Talk
    from entrain.talk_view import View

PERSON_S = 120.0  # a human types slower than a machine answers


class TalkError(ValueError):
    """These options don't go together; the message says which."""


def talk(
    responder: Annotated[str, typer.Option(help="Who answers: eliza, script:FILE, person (you type), rasa:URL or openai:URL.")] = "eliza",
    strategy: Annotated[str, typer.Option(help="What to aim at: neural[:folder] (the model), weighted, matching or neutral.")] = "neural",
    strength: Strength = 1.0,
    wake: Annotated[str | None, typer.Option("--wake", help="Sleep until this word is said: computer, hey jarvis, alexa …, or a head's file.")] = None,
    no_wake: Annotated[bool, typer.Option("--no-wake", help="Always awake (the default).")] = False,
    tts: TTS = "hibari",
    engine: Engine = "psola",
    voice: Profile = None,
    asr: ASR = "moonshine",
    vad: VAD = "silero",
    emotion: Emotion = None,
    input_: Annotated[str | None, typer.Option("--input", help="Microphone: number or part of its name.")] = None,
    output: Annotated[str | None, typer.Option("--output", help="Loudspeaker: number or part of its name.")] = None,
    list_devices: Annotated[bool, typer.Option("--devices", help="List the devices, and end.")] = False,
    store: Annotated[str | None, typer.Option(help="Remember the conversation here (file or URL).", envvar="ENTRAIN_STORE")] = None,
    conversation: Annotated[str | None, typer.Option(help="Its name; goes on with a stored one.")] = None,
    register: Annotated[str, typer.Option(help="Low or high, if the user's voice is known to be so; else any.")] = "any",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the record and the report.")] = Path("talk"),
    keep_audio: Annotated[bool, typer.Option("--keep-audio", help="Keep the sound of every turn, in OUT/audio and in the report.")] = False,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="End after so long.")] = None,
    push_to_talk: Annotated[bool, typer.Option("--push-to-talk", help="Press space or enter to talk, and again when done.")] = False,
    no_echo_cancel: Annotated[bool, typer.Option("--no-echo-cancel", help="For headsets: leave the microphone's sound as it is.")] = False,
    denoise: Annotated[bool, typer.Option("--denoise", help="Suppress steady noise. Moves level by −2 dB and pitch by −.1 st.")] = False,
    greeting: Annotated[str, typer.Option(help="What the agent says first.")] = "",
    muted_s: Annotated[float, typer.Option(min=1, help="Say so when the microphone is silent for so many seconds.")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Events as JSON lines.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only what goes wrong.")] = False,
) -> None:  # fmt: skip
    """Talk with the agent: microphone in, loudspeaker out. Ctrl-C ends it, and the report is written.

    Writes `OUT/conversation.jsonl` (a turn a line, as it goes) and `OUT/report.html`.

    Example: `entrain talk --greeting "Hello, how are you?"`, or `entrain talk --wake computer --responder rasa:http://127.0.0.1:5005`
    """
    with clear_errors(soft_wrap=True):
        if list_devices:
            _list_devices(as_json)
            raise typer.Exit
        _check(register, responder, wake if no_wake else None, push_to_talk)
        from entrain.devices import find_device

        find_device(input_, "input")  # said now, not after the voice has loaded
        find_device(output, "output")
        if not quiet:
            console.print("Loading …")
        from entrain.conversation import Entrainer
        from entrain.ear import Ears
        from entrain.responder import Person, load_responder
        from entrain.talk import Setting
        from entrain.talk_view import load_view

        setting = Setting(
            out=out, input_name=input_, output_name=output, echo=not no_echo_cancel, denoise=denoise,
            hands_free=not push_to_talk, greeting=greeting, conversation_id=conversation,
            register=register,  # pyright: ignore[reportArgumentType]  checked above
            patience_s=PERSON_S if responder == "person" else 10.0, muted_s=muted_s,
        )  # fmt: skip
        who = Person(_ask) if responder == "person" else load_responder(responder, conversation)
        ears = Ears.load(vad, wake)
        view = load_view(as_json, quiet, responder == "person", Console(stderr=quiet))
        with _no_interrupts():
            agent = Entrainer.load(
                tts, strategy, strength, recogniser=None if asr == "none" else asr, store=store, engine=engine,
                voice=voice, keep_audio=out / "audio" if keep_audio else None, emotion=emotion,
            )  # fmt: skip
        with agent:
            page = _hold(
                agent, who, ears, setting, view, seconds, "" if quiet else _instructions(push_to_talk, wake)
            )
        if not quiet:
            console.print(f"Now open {page} in a browser.", highlight=False, soft_wrap=True)


def _check(register: str, responder: str, unwanted_wake: str | None, push_to_talk: bool) -> None:
    """What can be known to be wrong before anything is loaded."""
    check_register(register)
    if unwanted_wake:
        raise TalkError("--wake and --no-wake exclude each other; leave one out.")
    if push_to_talk and responder == "person":
        raise TalkError("--push-to-talk and --responder person both need the keyboard; leave one out.")


def _hold(
    agent: Entrainer, who: Responder, ears: Ears, setting: Setting, view: View, seconds: float | None, instructions: str
) -> Path:  # fmt: skip
    from entrain.talk import Talk

    going = Talk(agent, who, ears, setting, view.on)
    if instructions:
        console.print(instructions, highlight=False)
    if not setting.hands_free:
        threading.Thread(target=_keys, args=(going,), daemon=True).start()
    with _until_stopped() as stop, view.screen():
        return going.run(stop, seconds, view.each)


def _instructions(push_to_talk: bool, wake: str | None) -> str:
    if push_to_talk:
        return "Press space or enter to talk, and again when you are done. Ctrl-C ends."
    return f"Say {wake!r}, then speak. Ctrl-C ends." if wake else "Speak. Ctrl-C ends."


def _list_devices(as_json: bool) -> None:
    from entrain.devices import devices

    found = devices()
    if as_json:
        print(json.dumps([device.model_dump() for device in found]))
        return
    table = Table("number", "name", "in", "out", "default")
    for device in found:
        default = [kind for kind in ("input", "output") if getattr(device, f"default_{kind}")]
        table.add_row(
            str(device.number), device.name, str(device.inputs), str(device.outputs), ", ".join(default)
        )
    Console().print(table)


def _keys(going: Talk) -> None:
    """A terminal does not tell when a key is let go: the first press begins, the next ends."""
    live: Live | None = going.live
    pressed = False
    with _single_keys():
        while live and (key := _key()):
            if key in b" \n\r":
                pressed = not pressed
                (live.begin if pressed else live.end)()


def _ask(question: str) -> str:
    console.print(question, highlight=False, markup=False, soft_wrap=True)
    line = b""
    while not line.endswith(b"\n"):
        if not (key := _key()):
            raise EOFError
        line += key
    return line.decode(errors="replace")


def _key() -> bytes:
    """One byte of the keyboard. Not through `sys.stdin`: Python can't end while a thread waits in that."""
    return os.read(sys.stdin.fileno(), 1)


@contextmanager
def _single_keys() -> Generator[None]:
    """Keys at once, not lines, where the terminal can."""
    if not sys.stdin.isatty() or sys.platform == "win32":
        yield
        return
    import atexit
    import termios
    import tty

    before: Any = termios.tcgetattr(sys.stdin)
    atexit.register(termios.tcsetattr, sys.stdin, termios.TCSADRAIN, before)  # this thread is never joined
    tty.setcbreak(sys.stdin)
    yield


@contextmanager
def _no_interrupts() -> Generator[None]:
    """The worker process inherits this: Ctrl-C goes to all of a terminal's processes, and it must measure the last turn still."""
    if sys.platform == "win32":
        yield
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@contextmanager
def _until_stopped() -> Generator[threading.Event]:
    """Ctrl-C, or a service manager's SIGTERM, ends the talk cleanly; a second one ends it at once."""
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: Any) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
