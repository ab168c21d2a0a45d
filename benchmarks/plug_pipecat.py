"""Pipecat with the plug-in and without it: the very same pipeline, in real time. What it adds to the wait for the first sound, whether the
event loop stands still, and whether what is heard of the agent follows the user."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from entrain import Audio, Entrainer, Targets
from entrain.aside import Aside
from entrain.asr import Moonshine
from entrain.conditioning import condition
from entrain.prosody import extract
from entrain.strategy import Neutral

PLUGIN = Path(__file__).parents[1] / "plugins" / "pipecat"
SAID, REPLY = "When do you open today?", "We open at nine today. Do come."
TICK_S = 0.002


@dataclass
class Seen:
    """Of one way to put the pipeline together."""

    wait_ms: list[float] = field(default_factory=list)
    """From when the language model is asked to the first sound at the loudspeaker."""
    held_ms: list[float] = field(default_factory=list)
    """By the plug-in, of that: as it tells in Pipecat's metrics."""
    stall_ms: list[float] = field(default_factory=list)
    """By which each tick of the event loop was late."""
    user: list[list[tuple[float, float]]] = field(default_factory=list)
    agent: list[list[tuple[float, float]]] = field(default_factory=list)
    """Pitch (st re 100 Hz) and rate (syllables/s) of each turn of each call, measured on its sound."""
    late: int = 0
    """Replies that were neutral, since their plan was not there in 50 ms."""


def run(console: Console, quick: bool = False) -> dict[str, object]:
    bot = _example()
    n, rounds = (4, 1) if quick else (8, 2)
    with Entrainer.load(recogniser=None) as agent:
        plain = Entrainer(agent.tts, agent.voice, Neutral(), worker=agent.worker)
        ears = Moonshine()
        ways: dict[str, Callable[[], Parts]] = {
            "a voice that is told, without": lambda: told(bot, None),
            "a voice that is told, with": lambda: told(bot, agent),
            "entrain's voice, without": lambda: own(None, agent),
            "entrain's voice, with": lambda: own(agent, agent),
            "entrain's voice, neutral": lambda: own(plain, agent),
        }
        seen = {name: Seen() for name in ways}
        steps = [(number, name) for number in range(rounds) for name in ways]
        for number, name in track(steps, "Calls", console=console, transient=True):
            turns = user(agent, n, number)
            ears.transcribe(turns[0])
            asyncio.run(call(bot, ways[name](), turns, ears, seen[name]))
    return report(console, seen)


@dataclass
class Parts:
    tts: Any
    between: Sequence[Any]
    aside: Aside | None = None


def told(bot: Any, agent: Entrainer | None) -> Parts:
    """A stand-in for a voice in the cloud: it says a tone at once, and has OpenAI's settings."""
    from pipecat.frames import frames as f
    from pipecat.services.openai.tts import OpenAITTSService

    from pipecat_entrain import EntrainProcessor

    class Tone(OpenAITTSService):
        async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[f.Frame | None, None]:
            tone = 8_000 * np.sin(np.arange(12_000) * 2 * np.pi * 200 / 24_000)
            yield f.TTSAudioRawFrame(tone.astype("<i2").tobytes(), 24_000, 1, context_id=context_id)

    tts = Tone(api_key="none")
    if agent is None:
        return Parts(tts, [])
    aside = Aside(agent.conversation(register="high"))
    return Parts(tts, [EntrainProcessor(aside, tts)], aside)


def own(agent: Entrainer | None, usual: Entrainer) -> Parts:
    """hibari, with targets or without anybody who sets any."""
    from pipecat_entrain import EntrainProcessor, EntrainTTSService

    aside = Aside((agent or usual).conversation(register="high"))
    tts = EntrainTTSService(aside)
    return Parts(tts, [EntrainProcessor(aside, tts)], aside) if agent else Parts(tts, [])


def user(agent: Entrainer, n: int, seed: int) -> list[Audio]:
    """Somebody whose pitch and rate go up and down together, from turn to turn."""
    way = np.random.default_rng(seed).uniform(-1, 1, n)
    usual = agent.tts.synthesise(SAID)
    return [condition(usual, Targets.shifted(agent.voice, 2.5 * x, 1.0, 1.2**x)).audio for x in way]


async def call(bot: Any, parts: Parts, turns: Sequence[Audio], ears: Moonshine, seen: Seen) -> None:
    from pipecat.frames import frames as f
    from pipecat.metrics.metrics import ProcessingMetricsData
    from pipecat.observers.base_observer import BaseObserver, FramePushed

    asked_s: list[float] = []
    heard: list[Audio] = []

    class Watch(BaseObserver):
        async def on_push_frame(self, data: FramePushed) -> None:
            if not data.first_push:
                return
            if isinstance(data.frame, f.LLMFullResponseStartFrame):
                asked_s.append(time.monotonic())
            elif isinstance(data.frame, f.MetricsFrame):
                ours = [one for one in data.frame.data if isinstance(one, ProcessingMetricsData)]
                seen.held_ms.extend(
                    1e3 * one.value for one in ours if "EntrainProcessor" in one.processor and one.value
                )

    async def ticks() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(TICK_S)
            seen.stall_ms.append(1e3 * (time.perf_counter() - before - TICK_S))

    held = bot.Call(parts.tts, [REPLY] * len(turns), parts.between, recogniser=ears)
    held.worker.add_observer(Watch())
    async with held as line:
        await asyncio.sleep(1.0)
        ticker = asyncio.create_task(ticks())
        for turn in turns:
            before = len(line.loudspeaker.played)
            heard.append((await line.answered(turn))[1])
            first_s = next(at for at, audio in line.loudspeaker.played[before:] if np.any(audio.samples))
            seen.wait_ms.append(1e3 * (first_s - asked_s[-1]))
            await asyncio.sleep(0.4)
        ticker.cancel()
    seen.user.append([measured(turn, SAID) for turn in turns])  # by Praat, which would hold the event loop
    seen.agent.append([measured(reply, REPLY) for reply in heard])
    seen.late += parts.aside.late if parts.aside else 0


def measured(audio: Audio, text: str) -> tuple[float, float]:
    found = extract(audio, text)
    return found.f0_mean_st or np.nan, found.rate_syll_s or np.nan


def follows(seen: Seen, of: int) -> float:
    """Correlation of the change from turn to turn: of the user, and of the agent that answers."""
    changes = [
        np.concatenate([np.diff([turn[of] for turn in call]) for call in who])
        for who in (seen.user, seen.agent)
    ]
    return float(np.corrcoef(*changes)[0, 1]) if np.std(changes[1]) > 1e-6 else 0.0


def report(console: Console, seen: dict[str, Seen]) -> dict[str, object]:
    table = Table(
        "", "turns", "asked → first sound, ms: p50", "p95", "held, ms: p50", "p95", "event loop late by, ms: p95", "p99.9", "max", "late", "r pitch", "r rate",
        title="Pipecat 1.14, in real time: Silero, Moonshine, scripted words (first after 150 ms), loudspeaker",
    )  # fmt: skip
    for name, one in seen.items():
        waits, stalls = np.percentile(one.wait_ms, [50, 95]), np.percentile(one.stall_ms, [95, 99.9, 100])
        held = [f"{ms:.1f}" for ms in np.percentile(one.held_ms, [50, 95])] if one.held_ms else ["", ""]
        r = [f"{follows(one, of):.2f}" if "entrain" in name else "" for of in (0, 1)]
        table.add_row(
            name,
            str(len(one.wait_ms)),
            *(f"{ms:.1f}" for ms in waits),
            *held,
            *(f"{ms:.1f}" for ms in stalls),
            str(one.late),
            *r,
        )
    console.print(table)
    added: dict[str, list[float]] = {}
    for kind in ("a voice that is told", "entrain's voice"):
        both = [np.percentile(seen[f"{kind}, {way}"].wait_ms, [50, 95]) for way in ("with", "without")]
        added[kind] = (both[0] - both[1]).tolist()
        console.print(
            f"{kind}: the plug-in adds {added[kind][0]:+.1f} ms at p50, {added[kind][1]:+.1f} ms at p95"
        )
    return {"added_ms": added, **{name: vars(one) for name, one in seen.items()}}


def _example() -> Any:
    """`plugins/pipecat/example.py`: the same pipeline; under a name of its own, since every plug-in has an example."""
    sys.path.insert(0, str(PLUGIN))
    from loguru import logger

    logger.remove()
    spec = spec_from_file_location("pipecat_example", PLUGIN / "example.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["pipecat_example"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    run(Console(width=170), "--quick" in sys.argv)
