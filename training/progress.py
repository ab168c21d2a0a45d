"""The progress of `entrain prepare` on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from entrain_training.tally import Tally


class Progress:
    """A bar with conversations, turns a second and hours of audio an hour. How many conversations a corpus has is known only
    at its end, since readers give them one by one; so without a limit the bar tells that it runs, not how far it is."""

    def __init__(self, console: Console, total: int | None = None, hidden: bool = False) -> None:
        self.tally: Tally | None = None
        """The last one shown."""
        self._bars = Bars(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(),
            console=console, disable=hidden, transient=True,
        )  # fmt: skip
        self._task = self._bars.add_task("Measuring", total=total)

    def show(self, tally: Tally) -> None:
        self.tally = tally
        speed = f"{tally.new_turns / tally.wall_s:,.0f} turns/s"
        if tally.new_audio_s:
            speed += f" · {tally.new_audio_s / tally.wall_s:,.1f}× real time"
        failed = f" · {len(tally.failed)} failed" if tally.failed else ""
        self._bars.update(
            self._task,
            completed=tally.n_conversations + len(tally.failed),
            description=f"{tally.n_conversations:,} conversations · {tally.n_turns:,} turns · {speed}{failed}",
        )

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()
