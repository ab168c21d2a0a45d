"""The demonstration: one real reading, as it is, slower and lower, faster and higher; the same replies to each."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from entrain.audio import Audio
from entrain.conditioning import Ask, measure, psola
from entrain.conversation import Entrainer
from entrain.converse import hold, user_turns
from entrain.responder import Script
from entrain.strategy import Neutral
from entrain.tts import Rendition
from entrain.turn import Turn

READING = "assets/two_cities.wav"  # Dickens, read for LibriVox (public domain); in moonshine-voice's wheel
N_TURNS = 6
REPLIES = (
    "That is a strong way to begin. Please go on.",
    "And what did people believe in those days?",
    "I see. So there was light and darkness at once.",
    "It sounds as if nobody could agree on anything.",
    "Were they hopeful, or were they in despair?",
    "Thank you. I would love to hear the rest of it tomorrow.",
)


@dataclass(frozen=True)
class Version:
    name: str
    ask: Ask


VERSIONS = (
    Version("as read", Ask()),
    Version("slow and low", Ask(f0_st=-3.0, duration_x=1.3)),
    Version("fast and high", Ask(f0_st=3.0, duration_x=0.77)),
)


def run(out: Path, strategy: str, console: Console) -> None:
    """Four conversations into `out`, and a table of what the agent did in each."""
    reading = Path(str(files("moonshine_voice").joinpath(READING)))
    turns = user_turns([reading], split_s=0.45)[:N_TURNS]
    rows: list[tuple[str, list[Turn]]] = []
    with Entrainer.load(strategy=strategy) as agent:
        console.print(
            f"Voice {agent.tts.name}, strategy {strategy}. The user is a real reading ({reading.name})."
        )
        for version in VERSIONS:
            changed = [_changed(turn, version.ask) for turn in turns]
            rows.append((version.name, _hold(agent, changed, out, version.name, console)))
        agent.strategy = Neutral()
        rows.append(("control: as read, no entrainment", _hold(agent, turns, out, "control", console)))
    Console().print(_table(rows))
    console.print("The last column is the agent's own change against the control, over the very same words.")
    console.print(
        f"Now open {out / 'slow-and-low' / 'report.html'} and its neighbours in a browser, and listen."
    )


def _changed(audio: Audio, ask: Ask) -> Audio:
    """The same reading by another kind of speaker, made with our own engine."""
    if ask == Ask():
        return audio
    return psola(audio, ask, measure(Rendition(audio, ""))[1])


def _hold(agent: Entrainer, turns: list[Audio], out: Path, name: str, console: Console) -> list[Turn]:
    folder = out / name.replace(" ", "-")
    steps = track(turns, f"{name:<16}", console=console)
    result = hold(agent, steps, Script(REPLIES), folder, title=f"Two cities, {name}", register="low")
    return [Turn.model_validate(turn) for turn in result["turns"]]


def _table(rows: list[tuple[str, list[Turn]]]) -> Table:
    table = Table("the user", "user: pitch st, syll/s", "agent: pitch st, syll/s", "agent against control")
    control = _means(rows[-1][1], "agent")
    for name, turns in rows:
        user, agent = _means(turns, "user"), _means(turns, "agent")
        change = f"{agent[0] - control[0]:+.2f} st, ×{agent[1] / control[1]:.2f}"
        table.add_row(name, f"{user[0]:.2f}, {user[1]:.2f}", f"{agent[0]:.2f}, {agent[1]:.2f}", change)
    return table


def _means(turns: list[Turn], speaker: str) -> tuple[float, float]:
    of = [turn.features for turn in turns if turn.speaker == speaker]
    pitch = [f.f0_mean_st for f in of if f.f0_mean_st is not None]
    rate = [f.rate_syll_s for f in of if f.rate_syll_s is not None]
    return float(np.mean(pitch)), float(np.mean(rate))
