"""A talk at a sound card: the live loop between a microphone and a loudspeaker, its record as it goes, its report at the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrain.conversation import Entrainer
from entrain.converse import report_talk
from entrain.duplex import Duplex
from entrain.ear import Ears
from entrain.echo import EchoCanceller, EchoError
from entrain.live import Event, Live
from entrain.normalize import Register
from entrain.reply import Responder
from entrain.turn import Turn

TICK_S = 0.1  # between two looks at meters and clock
LAST_WORDS_S = 5.0  # a driver or a server that hangs must not keep a program from ending


@dataclass(frozen=True)
class Setting:
    """How a talk is held. `input_name`, `output_name`: devices by number or part of the name; None is the system's choice."""

    out: Path
    """Folder of `conversation.jsonl` and `report.html`."""
    input_name: str | None = None
    output_name: str | None = None
    echo: bool = True
    """Take the agent's own voice out of what the microphone hears."""
    denoise: bool = False
    hands_free: bool = True
    greeting: str = ""
    conversation_id: str | None = None
    register: Register = "any"
    patience_s: float = 10.0
    """How long the responder may take."""
    muted_s: float = 60.0
    """After so long a silence of the microphone that is told, seconds."""


class Talk:
    """One talk. `on` gets every `Event` of the live loop, and two more: `ready`, with the rate in use and how many turns were stored
    before; `device`, with a `message` about the sound card."""

    def __init__(
        self, agent: Entrainer, responder: Responder, ears: Ears, setting: Setting,
        on: Callable[[Event], None] = lambda event: None,
    ) -> None:  # fmt: skip
        """Opens the devices' names and rate, not yet their sound; raises `DeviceError`."""
        self.agent, self.responder, self.setting, self._on = agent, responder, setting, on
        setting.out.mkdir(parents=True, exist_ok=True)
        self.conversation = agent.conversation(setting.conversation_id, setting.register)
        self._n_before = len(self.conversation.turns)
        self.live: Live | None = None
        self.duplex = Duplex(setting.input_name, setting.output_name, self._tell_device, setting.muted_s)
        self._cancel_echo()
        self._record = (setting.out / "conversation.jsonl").open("w", encoding="utf-8")
        self.live = Live(
            self.conversation, responder, self.duplex.rate_hz, self.duplex.rate_hz, ears, setting.hands_free,
            self._note, setting.patience_s,
        )  # fmt: skip

    def run(
        self,
        stop: threading.Event,
        seconds: float | None = None,
        each: Callable[[Live], None] = lambda live: None,
    ) -> Path:
        """Talk until `stop` is set or `seconds` are over; `each` is called ten times a second. Returns the report's path."""
        assert self.live
        until_s = time.monotonic() + (seconds or float("inf"))
        try:
            self.duplex.open(self.live.feed, self.live.pull)
            self._tell("ready", rate_hz=self.duplex.rate_hz, turns=self._n_before)
            if self.setting.greeting:
                self.live.say(self.setting.greeting)
            while not stop.wait(TICK_S) and time.monotonic() < until_s:
                each(self.live)
        finally:
            self._close()
        return self._report()

    @property
    def turns(self) -> list[Turn]:
        """Of this talk; what was said before, in a stored conversation, is left out."""
        return self.conversation.turns[self._n_before :]

    def _cancel_echo(self) -> None:
        setting = self.setting
        if not (setting.echo or setting.denoise):
            return
        try:
            self.duplex.canceller = EchoCanceller(
                self.duplex.rate_hz, echo=setting.echo, noise=setting.denoise
            )
        except EchoError as error:
            self._tell_device(
                f"no echo canceller: {error}. The microphone is only gated by level; use a headset."
            )

    def _note(self, event: Event) -> None:
        """The record is written as the talk goes: one that is broken off has it."""
        if event.type in ("heard", "said"):
            self._record.write(Turn.model_validate(event.data["turn"]).model_dump_json() + "\n")
            self._record.flush()
        self._on(event)

    def _tell_device(self, message: str) -> None:
        self._tell("device", message=message)

    def _tell(self, kind: str, **data: Any) -> None:
        at_s = self.live.now_s if self.live else self.conversation.now_s
        self._on(Event(type=kind, at_s=at_s, data=data))

    def _close(self) -> None:
        """The loop first: what is being said is kept. Then the devices and the store, whatever state they are in."""
        assert self.live
        closer = threading.Thread(target=self.live.close, daemon=True)
        closer.start()
        closer.join(LAST_WORDS_S)
        self.duplex.close()
        self.conversation.close()
        self._record.close()

    def _report(self) -> Path:
        audio = {i: Path(turn.audio_file) for i, turn in enumerate(self.turns) if turn.audio_file}
        path = self.setting.out / "report.html"
        return report_talk(self.conversation, self._n_before, path, audio, self.responder.name)
