"""Training: turns per second beside a faithful loop over turns, the peak memory of each, and what spectrograms cost."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from benchmarks.faithful import Faithful
from benchmarks.talks import batches, talks
from entrain.model import Batch, Model, ModelConfig, Predicted, masked_loss
from entrain_training.settings import Training

WAYS: dict[str, Callable[[], nn.Module]] = {
    "ours": lambda: Model(ModelConfig()),
    "a loop over turns": lambda: Faithful(ModelConfig()),
}


class Step:
    """One training step of a network: forward, loss, backward, optimiser."""

    def __init__(self, network: nn.Module, config: ModelConfig = ModelConfig()) -> None:
        self.network, self.config = network, config
        self.optimiser = torch.optim.AdamW(network.parameters())

    def seconds(self, batch: Batch) -> float:
        started = time.perf_counter()
        predicted: Predicted = self.network(batch)
        self.optimiser.zero_grad()
        masked_loss(self.config, predicted, batch).backward()
        self.optimiser.step()
        return time.perf_counter() - started


def run(console: Console, quick: bool = False) -> dict[str, object]:
    """On one thread: where a machine has other work too, more of them mostly wait for each other."""
    settings = Training()
    size = (4, 24) if quick else (settings.batch_size, settings.window)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        speeds = turns_per_s(batches(1 if quick else 4, *size))
        hearing = mel_against_words(1 if quick else 8, size)
    finally:
        torch.set_num_threads(before)
    peaks = {way: peak_mb(way, size) for way in WAYS}
    table = Table("", "turns per s", "peak memory MB",
                  title=f"Training, words-lookahead, batches of {size[0]} × {size[1]} turns ({talks()[1]})")  # fmt: skip
    for way in WAYS:
        table.add_row(way, f"{speeds[way]:.0f}", f"{peaks[way]:.0f}")
    ours, loop = WAYS
    ratio = speeds[ours] / speeds[loop]
    table.add_row("ratio", f"{ratio:.1f}", f"{peaks[ours] / peaks[loop]:.2f}")
    console.print(table)
    table = Table("", "s per 1,000 turns", "× words", title="An epoch with spectrograms")
    for way, seconds in hearing.items():
        table.add_row(way, f"{seconds:.3f}", f"{seconds / hearing['words']:.2f}")
    console.print(table)
    return {"turns_per_s": speeds, "ratio": ratio, "peak_mb": peaks, "mel_s_per_1000_turns": hearing}


def turns_per_s(given: list[Batch]) -> dict[str, float]:
    """Of each way over the same batches, one way after the other on each, so that what else the machine does falls on both."""
    steps = {way: Step(make()) for way, make in WAYS.items()}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for batch in given:
        for way, step in steps.items():
            again = 5 if way == "ours" else 1  # both in the order of a second
            seconds[way].append(float(np.median([step.seconds(batch) for _ in range(again)])))
    n_turns = sum(int(batch.real.sum()) for batch in given)
    return {way: n_turns / sum(times) for way, times in seconds.items()}


def mel_against_words(n: int, size: tuple[int, int]) -> dict[str, float]:
    """Seconds per 1,000 turns, over the same turns; Mel vectors as of turns of 3 s on average, and of those that there are (6 s)."""
    kinds = {"words": ("words", 3.0), "mel, turns of 3 s": ("mel", 3.0), "mel, turns of 6 s": ("mel", 6.2)}
    seconds, n_turns = dict.fromkeys(kinds, 0.0), 0
    steps = {kind: Step(Model(ModelConfig.of(variant))) for kind, (variant, _) in kinds.items()}
    of_length = {mean_s: batches(n, *size, mean_s) for _, mean_s in kinds.values()}
    for step in steps.values():
        step.seconds(of_length[3.0][0])  # the first is slower
    for i in range(n):
        n_turns += int(of_length[3.0][i].real.sum())
        for kind, (_, mean_s) in kinds.items():
            seconds[kind] += steps[kind].seconds(of_length[mean_s][i])
    return {kind: 1e3 * total / n_turns for kind, total in seconds.items()}


def peak_mb(way: str, size: tuple[int, int]) -> float:
    """Memory that two steps need beyond what the process had before, which has seen a small one; in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.train_speed", way, *map(str, size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def _peak(way: str, n_sides: int, window: int) -> None:
    """Prints it. Not by `ru_maxrss`: a process inherits its parent's."""
    torch.set_num_threads(1)
    step, given = Step(WAYS[way]()), batches(2, n_sides, window)
    step.seconds(batches(1, 2, 2)[0])
    Path("/proc/self/clear_refs").write_text("5")  # the peak of all that was imported is forgotten
    before = _status_mb("VmRSS")
    for batch in given:
        step.seconds(batch)
    print(_status_mb("VmHWM") - before)


def _status_mb(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


if __name__ == "__main__":
    _peak(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
