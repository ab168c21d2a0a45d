"""One live step of the network on one core, after 500 turns: the reply of 12 words foreseen, the turn observed; and by ONNX Runtime."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from entrain.model import Now, State
    from entrain.weights import Trained

N_TURNS, N_WORDS = 500, 12


def run(console: Console, quick: bool = False) -> dict[str, list[float]]:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.live_step", "50" if quick else "2000"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    table = Table(
        "",
        "p50 ms",
        "p95 ms",
        title=f"A live step after {N_TURNS} turns, a reply of {N_WORDS} words, on one core",
    )
    for way, (p50, p95) in figures.items():
        table.add_row(way, f"{p50:.2f}", f"{p95:.2f}")
    console.print(table)
    return figures


def on_one_core(n: int) -> None:
    """Prints its figures as one line of JSON."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import torch

    from entrain.model import Model, ModelConfig, State
    from entrain.weights import Trained, silent

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Model(ModelConfig()).eval()
    hidden = model.config.hidden
    state = State(
        torch.randn(1, hidden), torch.randn(1, hidden), torch.randn(1, N_TURNS, hidden),
        torch.randn(1, N_TURNS, hidden), (torch.arange(N_TURNS)[None] % 2).float(),
    )  # fmt: skip
    now = silent(model, N_WORDS)._replace(words=torch.randn(N_WORDS, model.config.word_dim))
    with torch.inference_mode():
        foreseen = model.foresee(state, now)
        ways: dict[str, Callable[[], object]] = {
            "foresee": lambda: model.foresee(state, now),
            "observe": lambda: model.observe(state, now, foreseen),
            "both": lambda: model.observe(state, now, model.foresee(state, now)),
        }
        if all(find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime")):
            ways["both, by ONNX Runtime"] = _by_onnx(Trained(model, {}), state, now)
        print(json.dumps({way: _percentiles(step, n) for way, step in ways.items()}))


def _by_onnx(trained: Trained, state: State, now: Now) -> Callable[[], object]:
    import onnxruntime

    from entrain.weights import INPUTS, export_onnx

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = export_onnx(trained, Path(folder) / "model.onnx")
        session = onnxruntime.InferenceSession(path.read_bytes(), options)
    given = dict(zip(INPUTS, (np.asarray(tensor) for tensor in (*state, *now)), strict=True))
    feed = {i.name: given[i.name] for i in session.get_inputs()}
    return lambda: session.run(None, feed)


def _percentiles(step: Callable[[], object], n: int) -> list[float]:
    """p50 and p95 of `n` steps, ms; the first ones, which are slower, aside."""
    times: list[float] = []
    for _ in range(n + 20):
        started = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - started))
    return np.percentile(times[20:], [50, 95]).tolist()


if __name__ == "__main__":
    on_one_core(int(sys.argv[1]))
