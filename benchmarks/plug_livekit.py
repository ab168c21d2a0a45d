"""A LiveKit session with and without the plug-in: what it adds to the wait, what it costs the event loop, and whether what is played follows the user."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from entrain import Audio, Entrainer, extract
from entrain.conditioning import condition
from entrain.levers import rate
from entrain.strategy import Neutral
from entrain.targets import Targets
from entrain.tts import Rendition

# The sessions of the tests; LiveKit and the plug-in are not among entrain's own needs.
SESSIONS = Path(__file__).parent.parent / "plugins" / "livekit" / "tests"

USER = "Good morning, could you tell me when you open on Sunday?"
REPLY = "Yes, of course. On Sunday we are open from ten to four."
N_USERS = 12
SPEED = 4  # times as fast as it would be; waits and stalls are by the clock
DELAY_S = 0.5  # LiveKit's least from silence to the end of a turn
FEATURES = ("f0_mean_st", "rate_syll_s", "level_db")


def run(console: Console, quick: bool = False) -> dict[str, object]:
    sys.path.insert(0, str(SESSIONS))
    from livekit.agents import Agent
    from livekit.plugins import entrain
    from sessions import Fixed

    logging.getLogger("livekit").setLevel(logging.ERROR)
    n, rounds = (5, 1) if quick else (8, 3)
    with Entrainer.load(recogniser=None) as agent:
        neutral = Entrainer(agent.tts, agent.voice, Neutral(), worker=agent.worker)
        users = [user(agent, i) for i in range(N_USERS)]
        said: dict[str, Audio] = {}

        def service() -> Any:
            def speak(text: str) -> Audio:
                if text not in said:
                    said[text] = agent.tts.synthesise(text).audio
                return said[text]

            voice: Any = Fixed(speak)
            voice.update_options = lambda **_: None
            return voice

        def entraining(who: Entrainer, **options: Any) -> Callable[[], Agent]:
            return lambda: entrain.EntrainAgent(entrainer=who, instructions="You keep a shop.", **options)

        def plain() -> Agent:
            return Agent(instructions="You keep a shop.")

        levers = rate("speed", 0.7, 1.5)
        parts: dict[str, tuple[Callable[[], Agent], Callable[[], Any], str]] = {
            "a service's voice, without": (plain, service, ""),
            "its settings": (
                entraining(agent, how="knobs", levers=levers),
                service,
                "a service's voice, without",
            ),
            "its waveform": (entraining(agent, how="waveform"), service, "a service's voice, without"),
            "our voice, without": (plain, lambda: entrain.TTS(agent), ""),
            "our voice": (entraining(agent), lambda: entrain.TTS(agent), "our voice, without"),
            "our voice, neutral": (entraining(neutral), lambda: entrain.TTS(neutral), "our voice, without"),
        }
        found: dict[str, list[Session]] = {name: [] for name in parts}
        for i in range(rounds):  # in turns, or the machine's mood would be taken for a difference
            for name, (make, voice, _) in [*parts.items()][:: 1 if i % 2 else -1]:
                found[name].append(asyncio.run(session(make(), voice(), users, n, i)))
    figures = {name: summary(sessions) for name, sessions in found.items()}
    table = Table(
        "LiveKit Agents", "first sound ms: p50", "p95", "added: p50", "p95", "late", "loop held ms: p95", "largest",
        "r pitch", "r rate", "r level",
        title=f"{n * rounds} turns: from the user's end (and {DELAY_S:g} s) to the first sound; the loop; and changes of the agent with the user's",
    )  # fmt: skip
    for name, (_, _, against) in parts.items():
        figure = figures[name]
        added = ["", ""]
        if against:
            figure["added_ms"] = [figure["first_ms"][i] - figures[against]["first_ms"][i] for i in (0, 1)]
            added = [f"{value:+.1f}" for value in figure["added_ms"]]
        table.add_row(
            name, *(f"{value:.1f}" for value in figure["first_ms"]), *added, str(figure["late"]), *(f"{value:.1f}" for value in figure["held_ms"]),
            *(f"{r:.2f}" if r is not None else "–" for r in figure["r"].values()),
        )  # fmt: skip
    console.print(table)
    return {"turns": n * rounds, "speed": SPEED, "sessions": figures}


def user(agent: Entrainer, i: int) -> Audio:
    """One of some people who say the same otherwise: ±3 semitones, ×.85 to 1.2, ±6 dB."""
    rng = np.random.default_rng(i)
    aim = Targets.shifted(
        agent.voice, f0_shift_st=rng.uniform(-3, 3), rate_factor=rng.uniform(0.85, 1.2), level_shift_db=rng.uniform(-6, 6)
    )  # fmt: skip
    usual = agent.tts.synthesise(USER).audio.gain(-8.0)
    return agent.worker.run(condition, Rendition(usual, USER), aim).audio.resample(16_000)


@dataclass
class Session:
    waits_ms: list[float]
    late_ms: list[float]
    changes: list[tuple[NDArray[np.float64], NDArray[np.float64]]]
    """Of the user and of the agent, `(3,)` each, from turn to turn."""
    late: int
    """Replies that went without their targets."""


async def session(agent: Any, voice: Any, users: list[Audio], n: int, seed: int) -> Session:
    from sessions import Call

    call = await Call(agent, voice, [REPLY], speed=SPEED, delay_s=DELAY_S).start()
    order = np.random.default_rng(seed).integers(0, len(users), n + 1)
    waits_ms: list[float] = []
    late_ms: list[float] = []
    ticking = asyncio.create_task(tick(late_ms))
    for i, who in enumerate(order):
        if i == 1:
            late_ms.clear()  # the first turn warms everything up
        await call.user(users[who], USER)
        await call.quiet(i)
        waits_ms.append(1e3 * (call.loudspeaker.first_s[i] - call.ended_s - DELAY_S))
    ticking.cancel()
    with suppress(asyncio.CancelledError):
        await ticking
    live = getattr(agent, "live", None)
    await call.close()
    user = np.diff([features(users[who], USER) for who in order[1:]], axis=0)
    agents = np.diff([features(audio, REPLY) for audio in call.loudspeaker.heard[1:]], axis=0)
    return Session(
        waits_ms[1:], late_ms, list(zip(user, agents, strict=True)), live.aside.late if live else 0
    )


def summary(sessions: list[Session]) -> dict[str, Any]:
    waits_ms = [wait for one in sessions for wait in one.waits_ms]
    late_ms = [late for one in sessions for late in one.late_ms]
    user, agent = (np.array([pair[i] for one in sessions for pair in one.changes]) for i in (0, 1))
    return {
        "first_ms": [float(value) for value in np.percentile(waits_ms, [50, 95])],
        "held_ms": [float(np.percentile(late_ms, 95)), float(max(late_ms))],
        "late": sum(one.late for one in sessions),
        "r": {name: correlation(user[:, i], agent[:, i]) for i, name in enumerate(FEATURES)},
    }


async def tick(late_ms: list[float]) -> None:
    """How much later than due the loop comes back, each millisecond."""
    last_s = time.perf_counter()
    while True:
        await asyncio.sleep(0.001)
        now_s = time.perf_counter()
        late_ms.append(1e3 * (now_s - last_s - 0.001))
        last_s = now_s


def features(audio: Audio, text: str) -> list[float]:
    found = extract(audio, text)
    return [getattr(found, name) or np.nan for name in FEATURES]


def correlation(user: NDArray[np.float64], agent: NDArray[np.float64]) -> float | None:
    """None where the agent does not change."""
    known = np.isfinite(user) & np.isfinite(agent)
    if known.sum() < 3 or np.std(agent[known]) < 1e-3:
        return None
    return float(np.corrcoef(user[known], agent[known])[0, 1])
