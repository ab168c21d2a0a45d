"""From the end of a user's turn to the targets of the reply, and what it costs an event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from importlib.resources import files

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from entrain import Audio, Entrainer, extract
from entrain.prosody import Extractor

CHUNK_S = 0.02
LAST_S = 0.4  # the end of the turn is fed in real time, the rest as fast as it is analysed


def run(console: Console, quick: bool = False) -> dict[str, object]:
    reading = Audio.read(str(files("moonshine_voice").joinpath("assets/two_cities.wav"))).resample(16_000)
    with Entrainer.load(recogniser=None) as agent:
        rows, everything = [], []
        table = Table(
            "turn", "p50 ms", "p95", "p99", "whole at its end, p50", title="Turn end → targets, worker warm"
        )
        for seconds in (1, 3, 10, 30):
            times = [turn_end_to_targets(agent, part_of(reading, seconds, i)) for i in
                     track(range(5 if quick else 50), f"{seconds} s turns", console=console, transient=True)]  # fmt: skip
            whole = [whole_turn(agent, part_of(reading, seconds, i)) for i in range(3 if quick else 8)]
            p50, p95, p99 = np.percentile(times, [50, 95, 99])
            rows.append(
                {
                    "turn_s": seconds,
                    "p50_ms": p50,
                    "p95_ms": p95,
                    "p99_ms": p99,
                    "whole_ms": float(np.median(whole)),
                }
            )
            everything += times
            table.add_row(f"{seconds} s", f"{p50:.1f}", f"{p95:.1f}", f"{p99:.1f}", f"{np.median(whole):.0f}")
        p50, p95, p99 = np.percentile(everything, [50, 95, 99])
        table.add_row("all", f"{p50:.1f}", f"{p95:.1f}", f"{p99:.1f}", "")
        console.print(table)
        ten = part_of(reading, 10, 0)
        stalls = {"worker process": [], "thread": [], "nothing running": []}
        for _ in range(2 if quick else 10):
            stalls["worker process"].append(
                stall_ms(lambda: agent.conversation().hear(ten, "it was the best of times"))
            )
            stalls["thread"].append(stall_ms(lambda: extract(ten, "it was the best of times")))
            stalls["nothing running"].append(stall_ms(lambda: time.sleep(0.1)))
        table = Table(
            "extraction runs in",
            "longest stall ms: median",
            "largest",
            title="Event loop while a 10 s turn is extracted",
        )
        for where, values in stalls.items():
            table.add_row(where, f"{np.median(values):.1f}", f"{max(values):.1f}")
        console.print(table)
    agreement = agree(reading)
    console.print(f"Incremental against whole, 30 s: largest difference of any feature {agreement['chunks']:.1e}; half-second "
                  f"blocks against one analysis of all: pitch {agreement['f0_st']:.3f} st, rate {agreement['rate'] * 100:.2f} %, "
                  f"level {agreement['level_db']:.3f} dB.")  # fmt: skip
    return {"turns": rows, "all_ms": [p50, p95, p99], "stall_ms": stalls, "agreement": agreement}


def part_of(reading: Audio, seconds: float, i: int) -> Audio:
    start_s = (i * 1.37) % (reading.duration_s - seconds)
    return reading.part(start_s, start_s + seconds)


def turn_end_to_targets(agent: Entrainer, audio: Audio) -> float:
    """ms from the last chunk's arrival to the plan, the turn having been fed as it was spoken."""
    with agent.conversation() as talk:
        hearing = talk.listen(audio.rate_hz)
        n, n_last = round(CHUNK_S * audio.rate_hz), round(LAST_S * audio.rate_hz)
        hearing.feed(audio.samples[:-n_last])
        agent.worker.run(len, [])  # caught up, as it would be in real time
        for start in range(len(audio.samples) - n_last, len(audio.samples), n):
            time.sleep(CHUNK_S)
            hearing.feed(audio.samples[start : start + n])
        started = time.perf_counter()
        talk.hear(hearing, "it was the best of times")
        talk.plan("And what did people believe in those days?")
        return (time.perf_counter() - started) * 1e3


def whole_turn(agent: Entrainer, audio: Audio) -> float:
    """The same without having listened: all of it is extracted at the turn's end."""
    with agent.conversation() as talk:
        started = time.perf_counter()
        talk.hear(audio, "it was the best of times")
        talk.plan("And what did people believe in those days?")
        return (time.perf_counter() - started) * 1e3


def stall_ms(work: Callable[[], object]) -> float:
    """Longest time that an event loop's ticker, due every millisecond, was kept waiting."""

    async def host() -> float:
        longest_s, last = 0.0, time.perf_counter()
        task = asyncio.create_task(asyncio.to_thread(work))
        while not task.done():
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest_s, last = max(longest_s, now - last - 0.001), now
        await task
        return longest_s * 1e3

    return asyncio.run(host())


def agree(reading: Audio) -> dict[str, float]:
    """Streaming in odd chunks against the whole, and blocks against one analysis of everything."""
    turn = reading.part(0, 30)
    streamed = Extractor(turn.rate_hz)
    for start in range(0, len(turn.samples), 331):
        streamed.feed(turn.samples[start : start + 331])
    at_once = Extractor(turn.rate_hz, block_s=np.inf)
    at_once.feed(turn.samples)
    whole, pieces, one = extract(turn), streamed.finish(), at_once.finish()
    return {
        "chunks": float(np.abs(whole.vector - pieces.vector).max()),
        "f0_st": abs(whole.f0_mean_st - one.f0_mean_st),
        "rate": abs(whole.rate_syll_s / one.rate_syll_s - 1),
        "level_db": abs(whole.level_db - one.level_db),
    }
