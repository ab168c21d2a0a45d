"""Twenty-five conversations at once with a real server: from the end of a user's turn to the reply's targets, and nothing lost.

Each client is a host with ears and a voice of its own: it streams a turn of 3–8 s in real time, tells the words, gets the targets, says its
reply (as long as it would take to play), tells what it said, and waits a moment.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import connect

from entrain import Audio

CLIENTS, MINUTES, RATE_HZ, CHUNK_S = 25, 10.0, 16_000, 0.04
TEXT = "it was the best of times it was the worst of times"
REPLY = "And what did people believe in those days?"
REPLY_S, PAUSE_S = 2.5, (0.3, 1.2)


@dataclass
class Seen:
    """What the clients saw, all together."""

    ms: list[float] = field(default_factory=list[float])
    begun: int = 0
    done: int = 0
    errors: list[str] = field(default_factory=list[str])


def run(
    console: Console, quick: bool = False, clients: int = CLIENTS, minutes: float | None = None
) -> dict[str, object]:
    minutes = minutes or (0.5 if quick else MINUTES)
    reading = Audio.read(str(files("moonshine_voice").joinpath("assets/two_cities.wav"))).resample(RATE_HZ)
    with tempfile.TemporaryDirectory() as folder:
        server, url = start(Path(folder))
        try:
            first_mb = memory_mb(server)
            seen = Seen()
            with console.status(f"{clients} conversations for {minutes:g} minutes"):
                early_mb = asyncio.run(hold(url, reading, clients, minutes, seen, lambda: memory_mb(server)))
            last_mb = memory_mb(server)
            cpu_s = sum(sum(process.cpu_times()[:2]) for process in family(server))
        finally:
            server.terminate()
            server.wait(30)
    p50, p95, p99 = map(float, np.percentile(seen.ms, [50, 95, 99]))
    table = Table("turns", "p50 ms", "p95", "p99", "largest", "dropped", "errors", "MB: started", "after 1/4", "at the end", "cores",
                  title=f"{clients} conversations for {minutes:g} minutes: turn end → targets at the client")  # fmt: skip
    cores = cpu_s / (60 * minutes)
    figures = [f"{value:.0f}" for value in (p50, p95, p99, max(seen.ms))]
    table.add_row(str(seen.done), *figures, str(seen.begun - seen.done), str(len(seen.errors)),
                  *(f"{mb:.0f}" for mb in (first_mb, early_mb, last_mb)), f"{cores:.2f}")  # fmt: skip
    console.print(table)
    for error in sorted(set(seen.errors))[:5]:
        console.print(error, markup=False)
    return {"clients": clients, "minutes": minutes, "turns": seen.done, "p50_ms": p50, "p95_ms": p95, "p99_ms": p99,
            "max_ms": max(seen.ms), "dropped": seen.begun - seen.done, "errors": seen.errors, "cores": cores,
            "memory_mb": {"started": first_mb, "quarter": early_mb, "end": last_mb}}  # fmt: skip


def start(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """`entrain serve` as its own process, with a store; and where it is."""
    command = [
        sys.executable,
        "-m",
        "entrain",
        "serve",
        "--port",
        "0",
        "--asr",
        "none",
        "--store",
        str(folder / "talks.db"),
    ]
    server = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert server.stderr
    url = next(found[1] for text in server.stderr if (found := re.search(r"http://(\S+)", text)))
    while True:
        try:
            httpx2.get(f"http://{url}/healthz", timeout=60)
            return server, f"ws://{url}"
        except httpx2.TransportError:
            time.sleep(0.2)


async def hold(url: str, reading: Audio, clients: int, minutes: float, seen: Seen, memory: Any) -> float:
    """All conversations, until the time is over; returns the memory after a quarter of it."""
    began_s = time.monotonic()
    until_s = began_s + 60 * minutes
    tasks = [asyncio.create_task(client(url, reading, i, until_s, seen)) for i in range(clients)]
    await asyncio.sleep(15 * minutes)
    early_mb = await asyncio.to_thread(memory)
    await asyncio.gather(*tasks)
    return early_mb


async def client(url: str, reading: Audio, i: int, until_s: float, seen: Seen) -> None:
    draw = random.Random(i)
    while time.monotonic() < until_s:
        try:
            async with connect(
                f"{url}/v1/conversations/load-{i}/live", compression=None, open_timeout=30
            ) as line:
                await line.send(json.dumps({"type": "hello", "rate_hz": RATE_HZ, "ears_only": True}))
                await until(line, "ready")
                await asyncio.sleep(draw.uniform(0, 5))
                while time.monotonic() < until_s:
                    await turn(line, reading, draw, seen)
        except Exception as error:
            seen.errors.append(f"{type(error).__name__}: {error}")
            await asyncio.sleep(0.5)


async def turn(line: Any, reading: Audio, draw: random.Random, seen: Seen) -> None:
    """One turn of the user's and one of the agent's."""
    length_s = draw.uniform(3, 8)
    start_s = draw.uniform(0, reading.duration_s - length_s)
    pcm = (reading.part(start_s, start_s + length_s).samples * 32767).astype("<i2")
    n, began_s = round(CHUNK_S * RATE_HZ), time.monotonic()
    seen.begun += 1
    await line.send('{"type": "begin"}')
    for at in range(0, len(pcm), n):
        await asyncio.sleep(max(0.0, began_s + at / RATE_HZ - time.monotonic()))
        await line.send(pcm[at : at + n].tobytes())
    stopped_s = time.monotonic()
    await line.send(json.dumps({"type": "end", "text": TEXT, "reply": REPLY}))
    await until(line, "targets")
    seen.ms.append(1000 * (time.monotonic() - stopped_s))
    await asyncio.sleep(REPLY_S)
    await line.send(json.dumps({"type": "spoke", "text": REPLY}))
    await until(line, "said")
    seen.done += 1
    await asyncio.sleep(draw.uniform(*PAUSE_S))


async def until(line: Any, kind: str) -> None:
    while (message := json.loads(await asyncio.wait_for(line.recv(), 30)))["type"] != kind:
        if message["type"] == "error":
            raise RuntimeError(message["message"])


def family(server: subprocess.Popen[str]) -> list[psutil.Process]:
    parent = psutil.Process(server.pid)
    return [parent, *parent.children(recursive=True)]


def memory_mb(server: subprocess.Popen[str]) -> float:
    """Resident, of the server and its Praat process."""
    return sum(process.memory_info().rss for process in family(server)) / 1e6
