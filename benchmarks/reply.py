"""A reply of four seconds on one core: synthesised, measured, moved, levelled and measured again. And `import entrain`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np
from rich.console import Console
from rich.table import Table

REPLY = "We open at nine tomorrow, and close at five in the evening."  # 3.9 s by hibari


def run(console: Console, quick: bool = False) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.reply", "5" if quick else "30"],
        capture_output=True,
        text=True,
        check=True,
    )
    figures = json.loads(done.stdout.splitlines()[-1])
    table = Table("way", "p50 ms", "p95 ms", title=f"A reply of {figures['reply_s']:.1f} s, on one core")
    for way, (p50, p95) in figures["ways"].items():
        table.add_row(way, f"{p50:.0f}", f"{p95:.0f}")
    console.print(table)
    bare, ours = (
        np.median([import_s(code) for _ in range(3 if quick else 10)]) for code in ("pass", "import entrain")
    )
    figures["import_s"] = float(ours - bare)
    console.print(
        f"import entrain: {1e3 * (ours - bare):.0f} ms beyond Python's own {1e3 * bare:.0f}; torch loaded: {torch_loaded()}"
    )
    return figures


def import_s(code: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started


def torch_loaded() -> bool:
    code = "import sys, entrain; print('torch' in sys.modules)"
    return (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "True"
    )


def on_one_core(n: int) -> None:
    """Prints its figures as one line of JSON; the worker process inherits the core."""
    os.sched_setaffinity(0, {0})
    from entrain import Entrainer, Targets

    figures: dict[str, object] = {"ways": {}}
    with Entrainer.load(recogniser=None) as agent:
        targets = Targets.shifted(agent.voice, 2, 1.2, 1.12, 2)
        ways = {"no entrainment": Targets.none(agent.voice), "psola": targets, "native + psola": targets,
                "signalsmith": targets, "world": targets}  # fmt: skip
        for way, aims in ways.items():
            agent.native, agent.engine = (
                "native" in way,
                way.split()[-1] if way != "no entrainment" else "psola",
            )
            times = []
            for _ in range(n + 2):
                started = time.perf_counter()
                speech = agent.conversation().say(REPLY, aims)
                times.append((time.perf_counter() - started) * 1e3)
            figures["ways"][way] = np.percentile(times[2:], [50, 95]).tolist()
            if way == "no entrainment":
                figures["reply_s"] = speech.audio.duration_s
    print(json.dumps(figures))


if __name__ == "__main__":
    on_one_core(int(sys.argv[1]))
