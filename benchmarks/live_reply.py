"""From the user's last sound to the agent's first, and from a barge-in to silence: the very same loop with entrain and without it,
turn about, in real time, on a real reading."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from entrain import Audio, Entrainer, Features, Targets
from entrain.conversation import Conversation, Piece
from entrain.converse import user_turns
from entrain.ear import Ears
from entrain.endpoint import find_turns
from entrain.live import Event, Live
from entrain.responder import Script
from entrain.sentences import sentences
from entrain.strategy import Neutral
from entrain.swift import Thought, without_lead
from entrain.worker import Hearing, Judge, Worker

RATE_HZ, CHUNK = 16_000, 320  # 20 ms, as a sound card gives them
HUSHED = 10  # chunks without a sound: no gap between words
STAGES = ("end", "words", "reply", "plan", "voice", "sound")
REPLY = (
    "That is good to know. Please tell me a little more about it, since I would like to understand it well."
)


class Bare(Conversation):
    """The loop without entrain: nothing is measured, planned or moved."""

    def plan(self, text: str) -> Targets:
        return Targets.none(self.entrainer.voice)

    def pieces(self, text: str, targets: Targets, thought: Thought | None = None) -> Iterator[Piece]:
        assert thought is not None
        yield Piece(0, thought.sentence, without_lead(thought.said()).audio)
        for number, sentence in enumerate(sentences(text)[1:], 1):
            yield Piece(number, sentence, self.entrainer.tts.synthesise(sentence).audio)


class Deaf(Worker):
    """Measures nothing, and starts no process."""

    def _start(self) -> Any:
        return None

    def listen(self, rate_hz: int, judge: Judge | None = None) -> Hearing:
        return Unmeasured(self, 0, rate_hz)

    def run(self, function: Any, *args: Any) -> Any:
        return Features()

    def close(self) -> None:
        pass


class Unmeasured(Hearing):
    def feed(self, samples: NDArray[np.float32]) -> None:
        self._chunks.append(samples)

    def glance(self) -> None:
        pass

    def finish(self, text: str = "", words: Any = ()) -> Features:
        return Features(voiced_s=1.0)

    def drop(self) -> None:
        pass


class Caller:
    """A user on the line: speaks recorded turns in real time, and listens."""

    def __init__(self, talk: Conversation, ears: Ears) -> None:
        self.timing: dict[str, float] = {}
        self.said = 0
        self._room = np.random.default_rng(0)
        self.live = Live(talk, Script([REPLY] * 1000), RATE_HZ, ears=ears, on=self._on)
        self.out_chunk = round(self.live.out_rate_hz * CHUNK / RATE_HZ)

    def _on(self, event: Event) -> None:
        if event.type == "timing":
            self.timing = event.data
        self.said += event.type == "said"

    def hears(self, samples: NDArray[np.float32]) -> Iterator[tuple[float, bool]]:
        """Play `(N,)` into the microphone at its pace; after each chunk: the time, and whether the agent sounds."""
        begin = time.perf_counter()
        for n in range(0, len(samples), CHUNK):
            quiet = self._room.normal(0, 1e-4, CHUNK).astype(np.float32)
            chunk = samples[n : n + CHUNK]
            quiet[: len(chunk)] += chunk
            time.sleep(max(0.0, begin + n / RATE_HZ - time.perf_counter()))
            self.live.feed(quiet)
            yield time.perf_counter(), bool(np.abs(self.live.pull(self.out_chunk)).max() > 1e-4)

    def waits(self, seconds: float) -> Iterator[tuple[float, bool]]:
        return self.hears(np.zeros(round(seconds * RATE_HZ), np.float32))

    def answered_ms(self, turn: Audio) -> float | None:
        """Say a turn that ends with its last sound; when does the answer begin? None: never."""
        stopped = [at for at, _ in self.hears(turn.samples)][-1]
        began = next((at for at, sounds in self.waits(8) if sounds), None)
        return None if began is None else 1000 * (began - stopped)

    def hear_out(self) -> None:
        before = self.said
        for _ in self.waits(20):
            if self.said > before:
                return

    def silenced_ms(self, turn: Audio) -> float | None:
        """Barge in; when does the agent fall silent?"""
        begin, n_silent = time.perf_counter(), 0
        for at, sounds in self.hears(turn.samples):
            n_silent = 0 if sounds else n_silent + 1
            if n_silent == HUSHED:
                return 1000 * (at - begin) - 20 * (HUSHED - 1)
        return None


def run(console: Console, quick: bool = False) -> dict[str, object]:
    reading = files("moonshine_voice").joinpath("assets/two_cities.wav")
    turns = [trimmed(turn.resample(RATE_HZ)) for turn in user_turns([str(reading)], split_s=0.45)]  # type: ignore[list-item]
    turns = [turn for turn in turns if 0.8 < turn.duration_s < 6]
    rounds, barges = (1, 1) if quick else (20, 10)
    with Entrainer.load() as agent:
        bare = Entrainer(agent.tts, agent.voice, Neutral(), recogniser=agent.recogniser, worker=Deaf())
        ears = Ears.load()
        callers = {
            "with entrain": Caller(agent.conversation(), ears),
            "without": Caller(Bare(bare, bare.conversation().history), ears),
        }
        waits: dict[str, list[float]] = {name: [] for name in callers}
        stages: dict[str, list[list[float]]] = {name: [] for name in callers}
        for number in track(range(rounds), "Turns", console=console, transient=True):
            for name, caller in callers.items():
                list(caller.waits(0.5))
                waited = caller.answered_ms(turns[number % len(turns)])
                list(caller.waits(0.5))
                if waited is not None:
                    waits[name].append(waited)
                    stages[name].append([caller.timing.get(stage, np.nan) for stage in STAGES])
                caller.hear_out()
        silences = [
            barge(callers["with entrain"], turns[n % len(turns)], turns[(n + 1) % len(turns)])
            for n in track(range(barges), "Barge-ins", console=console, transient=True)
        ]
        for caller in callers.values():
            caller.live.close()
    return told(console, waits, stages, [ms for ms in silences if ms is not None], barges)


def barge(caller: Caller, turn: Audio, against: Audio) -> float | None:
    list(caller.waits(0.3))
    caller.answered_ms(turn)
    list(caller.waits(0.8))
    silenced = caller.silenced_ms(against)
    caller.hear_out()
    caller.hear_out()
    return silenced


def trimmed(turn: Audio) -> Audio:
    """From its first sound to its last."""
    spans = find_turns(turn, 10)
    return turn.part(spans[0][0], spans[-1][1]) if spans else turn


def told(
    console: Console,
    waits: dict[str, list[float]],
    stages: dict[str, list[list[float]]],
    silences: list[float],
    barges: int,
) -> dict[str, object]:
    table = Table(
        "",
        "turns",
        "p50 ms",
        "p95",
        title="User stops → first audio: local ears, scripted words, in real time",
    )
    for name, ms in waits.items():
        p50, p95 = np.percentile(ms, [50, 95])
        table.add_row(name, str(len(ms)), f"{p50:.0f}", f"{p95:.0f}")
    console.print(table)
    ready = {name: np.nanmedian(np.array(rows), axis=0) for name, rows in stages.items()}  # (6,)
    steps = {name: np.diff(at, prepend=0) for name, at in ready.items()}
    table = Table("stage, median ms", *STAGES, title="Of which")
    for name, step in steps.items():
        table.add_row(name, *(f"{ms:.1f}" for ms in step))
    console.print(table)
    # What entrain adds once the words are there, turn by turn: recognition's own luck, and where in a sound card's 20 ms the first
    # piece falls, are left out of the difference.
    own = {name: np.array([row[4] - row[1] for row in rows]) for name, rows in stages.items()}
    n = min(map(len, own.values()))
    added = own["with entrain"][:n] - own["without"][:n]
    p50, p95 = np.nanpercentile(added, [50, 95])
    console.print(
        f"words → first piece ready, with less without, turn by turn: p50 {p50:.1f} ms, p95 {p95:.1f} ms ({n} turns)"
    )
    late = np.percentile(silences, [50, 95]) if silences else (np.nan, np.nan)
    console.print(
        f"barge-in, first sound → silence: p50 {late[0]:.0f} ms, p95 {late[1]:.0f} ms ({len(silences)} of {barges})"
    )
    return {
        "waits_ms": waits, "stages": list(STAGES), "stages_ms": stages, "added_ms": added.tolist(), "barge_in_ms": silences,
    }  # fmt: skip
