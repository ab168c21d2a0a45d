"""What a talk looks like in a terminal: levels and state, the last turns in numbers, and the plan beside what came out."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live as Screen
from rich.table import Table
from rich.text import Text

from entrain.live import Event, Live
from entrain.report import DIMENSIONS, aim, number
from entrain.turn import FEATURES, Turn

SHOWN_TURNS = 8
FLOOR_DB = -70.0  # an empty bar
BAR_WIDTH = 30
STATES = {
    "idle": "asleep: say the wake word", "woken": "awake", "listening": "listening", "thinking": "thinking", "speaking": "speaking",
}  # fmt: skip
TOLD = {"device": "message", "fault": "message", "wake": "word"}


class JsonView:
    """Events as JSON, a line each, flat: for scripts."""

    def screen(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def on(self, event: Event) -> None:
        print(json.dumps({"type": event.type, "at_s": round(event.at_s, 3), **event.data}), flush=True)

    def each(self, live: Live) -> None: ...


class PlainView:
    """A line a turn, for terminals that can't move the cursor, and for logs."""

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self.console, self.quiet = console, quiet

    def screen(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def on(self, event: Event) -> None:
        line = told(event)
        if line and not (self.quiet and event.type not in ("device", "fault")):
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def each(self, live: Live) -> None: ...


class RichView:
    """The whole picture, drawn over itself a few times a second."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._lock = threading.Lock()  # events come on the talk's threads
        self._turns: deque[Turn] = deque(maxlen=SHOWN_TURNS)
        self._remarks: deque[str] = deque(maxlen=3)
        self._partial = self._saying = ""
        self._state, self._meters = "listening", (FLOOR_DB, FLOOR_DB, 0.0)
        self._screen = Screen(console=console, auto_refresh=False, transient=False)

    def screen(self) -> AbstractContextManager[Any]:
        return self._screen

    def on(self, event: Event) -> None:
        with self._lock:
            match event.type:
                case "partial":
                    self._partial = event.data["text"]
                case "saying":
                    self._saying = event.data["text"]
                case "heard" | "said":
                    self._partial = self._saying = ""
                    self._turns.append(Turn.model_validate(event.data["turn"]))
                case kind if kind in TOLD:
                    self._remarks.append(told(event))
                case _:
                    pass

    def each(self, live: Live) -> None:
        with self._lock:
            self._state, self._meters = live.state, live.meters
            self._screen.update(self.picture(), refresh=True)

    def picture(self) -> RenderableType:
        user_db, agent_db, speech_p = self._meters
        meters = Table.grid(padding=(0, 1))
        meters.add_row("microphone", bar(user_db), f"{user_db:6.1f} dB", f"speech {speech_p:.2f}")
        meters.add_row("agent", bar(agent_db), f"{agent_db:6.1f} dB", STATES.get(self._state, self._state))
        now = Text(
            f"user: {self._partial} …" if self._partial else f"agent: {self._saying}" if self._saying else "",
            "italic",
        )
        remarks = Text("\n".join(self._remarks), "yellow")
        return Group(meters, turn_table(self._turns), plan_table(self._turns), now, remarks)


View = JsonView | PlainView | RichView


def load_view(as_json: bool, quiet: bool, lines: bool, console: Console) -> View:
    """The one that fits: `lines` if somebody types into the same terminal."""
    if as_json:
        return JsonView()
    if quiet or lines or not console.is_terminal or console.is_dumb_terminal:
        return PlainView(console, quiet)
    return RichView(console)


def bar(level_db: float) -> str:
    """From −70 to 0 dB re full scale."""
    filled = round(BAR_WIDTH * min(1.0, max(0.0, 1 - level_db / FLOOR_DB)))
    return "█" * filled + "·" * (BAR_WIDTH - filled)


def turn_table(turns: Sequence[Turn]) -> Table:
    """Both speakers' last turns: each feature as measured and, after it, in their own spreads."""
    units = ", ".join(f"{d.label.lower()}: {d.unit}" for d in DIMENSIONS)
    table = Table("who", *(f"{d.label} (z)" for d in DIMENSIONS), "text", caption=units, expand=True)
    for turn in turns:
        cells = [
            f"{number(getattr(turn.features, d.feature))} ({number(z_of(turn, d.feature), 1, True)})"
            for d in DIMENSIONS
        ]
        table.add_row(
            turn.speaker, *cells, turn.text[:60], style="cyan" if turn.speaker == "user" else "magenta"
        )
    return table


def plan_table(turns: Sequence[Turn]) -> RenderableType:
    """The agent's last turn: what was asked for, aimed at, and what came out."""
    planned = [turn for turn in turns if turn.plan]
    if not planned:
        return Text()
    table = Table("the last reply", "asked", "aim", "came out")
    for d in DIMENSIONS:
        found = aim(planned[-1], d)
        table.add_row(
            f"{d.label} {d.unit}", *(number(value) for value in (found.asked, found.target, found.realised))
        )
    return table


def told(event: Event) -> str:
    """An event as a line; empty for those that only matter to machines."""
    at = f"{event.at_s:7.1f} s  "
    if event.type in ("heard", "said"):
        turn = Turn.model_validate(event.data["turn"])
        values = ", ".join(
            f"{d.label.lower()} {number(getattr(turn.features, d.feature))}" for d in DIMENSIONS
        )
        cut = " [interrupted]" if event.data.get("interrupted") else ""
        return f"{at}{turn.speaker:<5}  {turn.text or '(no words)'}{cut}   ({values})"
    if event.type in TOLD:
        return f"{at}{event.type}: {event.data[TOLD[event.type]]}"
    return ""


def z_of(turn: Turn, feature: str) -> float | None:
    return turn.z[FEATURES.index(feature)]
