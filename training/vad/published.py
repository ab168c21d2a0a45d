"""The published table of five networks and three lengths of sequence, again, each with five seeds, on scenes of our own.

Its corpus, QUT-NOISE-TIMIT, is licensed. Here the sound is fixed: half-minute scenes as `mixes.py` makes them, the same for every network and
seed; training sees random crops of them, and every network the same number of seconds.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from entrain_training.run import keep_json
from entrain_training.sections import Grid
from entrain_training.study import learn
from entrain_training.vad.export import write
from entrain_training.vad.labels import FRAME
from entrain_training.vad.measures import Heard, measure
from entrain_training.vad.meetings import Crops, Meeting
from entrain_training.vad.mixes import Mixes
from entrain_training.vad.networks import NETWORKS
from entrain_training.vad.rivals import ours
from entrain_training.vad.task import Detection, Part, Settings

LENGTHS_S = (1, 3, 30)
SCENE_S = 30
PUBLISHED = {
    ("lstm", 1): 86.9, ("lstm", 3): 88.3, ("lstm", 30): 91.3, ("blstm", 1): 94.0, ("blstm", 3): 91.6, ("lstm2", 3): 88.9,
    ("cdnn", 3): 84.5,
}  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """How much is trained. Each step hears half a minute."""

    networks: Sequence[str] = tuple(NETWORKS)
    lengths_s: Sequence[int] = LENGTHS_S
    seeds: int = 5
    scenes: int = 40
    test_scenes: int = 20
    steps: int = 150


def fixed(mixes: Mixes, n: int, seed: int) -> list[Meeting]:
    """Scenes that stay."""
    rng = np.random.default_rng(seed)
    examples = [mixes.draw(SCENE_S * 100, child) for child in rng.spawn(n)]
    return [
        Meeting(f"scene{i:03}", e.samples, e.labels, frozenset((f"scene{i:03}",)))
        for i, e in enumerate(examples)
    ]


def train_all(train: Mixes, test: Mixes, out: Path, scale: Scale, say: Callable[[str], None]) -> dict[tuple[str, int], list[float]]:  # fmt: skip
    """(network, seconds) → accuracy in % of each seed. What is done already is read from `out`; seed by seed, so that what is
    stopped has something of everything."""
    learnt, judged = fixed(train, scale.scenes, 10), fixed(test, scale.test_scenes, 11)
    found: dict[tuple[str, int], list[float]] = {}
    for seed in range(scale.seeds):
        for name in scale.networks:
            for length_s in scale.lengths_s:
                run = out / f"{scale.scenes}-scenes-{scale.steps}-steps" / f"{name}-{length_s}s-{seed}"
                say(f"{name}, {length_s} s, seed {seed}")
                accuracy = trained(name, length_s, seed, learnt, judged, run, scale)
                found.setdefault((name, length_s), []).append(accuracy)
    return found


def trained(
    name: str, length_s: int, seed: int, learnt: Sequence[Meeting], judged: Sequence[Meeting], run: Path, scale: Scale
) -> float:  # fmt: skip
    """Accuracy in %, on whole test scenes."""
    result = run / "result.json"
    if not result.exists():
        settings = Settings(
            network=name, seconds=length_s, batch_size=round(SCENE_S / length_s), steps=scale.steps, epochs=1, warm_up=10,
            seed=seed, keep="last", dev_scenes=1, noise_alarm=1.0,
        )  # fmt: skip
        about = {
            "scenes": len(learnt),
            "test_scenes": len(judged),
            "frames": sum(int(m.labels.sum()) for m in learnt),
        }
        task = Detection(settings, [Part(Crops(learnt), 1.0)], Crops(learnt[:1]), about)
        learn(task, run, settings, resume=True)
        write(task.network, run)
        keep_json(result, {"accuracy": accuracy(run, judged)})
        shutil.rmtree(run / "checkpoints")  # seventy-five would be half a gigabyte
    return json.loads(result.read_text(encoding="utf-8"))["accuracy"]


def accuracy(run: Path, judged: Sequence[Meeting]) -> float:
    listener = ours(run.name, [run])
    heard = [Heard(listener.hear(m.name, m.samples), m.labels) for m in judged]
    return 100 * measure(heard, FRAME / 16_000).accuracy.value


def grid(found: dict[tuple[str, int], list[float]], scale: Scale) -> Grid:
    """Mean and deviation beside what was published."""
    rows: list[tuple[str, ...]] = []
    for name in scale.networks:
        cells = [told(found.get((name, length), [])) for length in scale.lengths_s]
        theirs = [f"{PUBLISHED[name, s]}" if (name, s) in PUBLISHED else "–" for s in scale.lengths_s]
        rows.append((name, *(cell for both in zip(cells, theirs, strict=True) for cell in both)))
    head = ("network", *(text for s in scale.lengths_s for text in (f"{s} s", f"{s} s, published")))
    minutes = scale.scenes * SCENE_S / 60
    title = (
        f"Accuracy in %, {scale.seeds} seeds: mean ± deviation; {minutes:.0f} minutes of scenes, {scale.steps} steps of {SCENE_S} s each. "
        "Published: another corpus (QUT-NOISE-TIMIT, licensed), so compare the order, not the figures"
    )
    return Grid(title=title, head=head, rows=tuple(rows))


def told(accuracies: Sequence[float]) -> str:
    if not accuracies:
        return "–"
    deviation = f" ± {np.std(accuracies, ddof=1):.1f}" if len(accuracies) > 1 else ""
    return f"{np.mean(accuracies):.1f}{deviation}"


def data(found: dict[tuple[str, int], list[float]]) -> dict[str, Any]:
    """For results.json."""
    return {f"{name}, {length_s} s": values for (name, length_s), values in found.items()}
