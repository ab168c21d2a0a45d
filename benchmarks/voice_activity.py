"""Voice activity: each detector beside the hand-made labels of nine meetings, and what it costs."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from entrain import Audio
from entrain.vad import VAD, VADS, load_vad
from entrain_training.vad.labels import auc, marked, rttm

AMI = Path(__file__).parents[2] / "shared" / "data" / "vad" / "ami"
RATE_HZ, CHUNK_S = 16_000, 0.02


def run(console: Console, quick: bool = False) -> dict[str, object]:
    clips = sorted(AMI.glob("*.flac"))[: 2 if quick else None]
    if not clips:
        console.print(f"voice_activity: left out, since the recordings are not there ({AMI}).")
        return {}
    spoken = rttm(AMI / "debug.train.rttm")
    table = Table("detector", "area under the curve", "miss at .5", "false alarm", "real-time factor", "µs a 20 ms chunk",
                  title=f"Voice activity, {len(clips)} meetings of AMI, every 10 ms")  # fmt: skip
    rows: dict[str, object] = {}
    for name in VADS:
        heard = [listen(load_vad(name), Audio.read(clip).samples) for clip in clips]
        score, chunks_us = (np.concatenate(both) for both in zip(*heard, strict=True))
        label = np.concatenate(
            [marked(spoken[c.stem], len(s)) for c, (s, _) in zip(clips, heard, strict=True)]
        )
        areas = auc(score, label), np.mean(score[label] < 0.5), np.mean(score[~label] >= 0.5)
        factor, chunk_us = chunks_us.mean() / CHUNK_S / 1e6, np.median(chunks_us)
        table.add_row(
            name, f"{areas[0]:.3f}", f"{areas[1]:.1%}", f"{areas[2]:.1%}", f"{factor:.4f}", f"{chunk_us:.0f}"
        )
        keys = ("auc", "miss", "false_alarm", "real_time_factor", "chunk_us")
        rows[name] = dict(zip(keys, map(float, (*areas, factor, chunk_us)), strict=True))
    console.print(table)
    return rows


def listen(vad: VAD, samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """In chunks, as a microphone gives them → the score every 10 ms, and microseconds for each chunk."""
    stream, probabilities, chunks_us = vad.stream(), [], []
    n = round(CHUNK_S * RATE_HZ)
    for start in range(0, len(samples), n):
        started = time.perf_counter()
        probabilities.append(stream.feed(samples[start : start + n]))
        chunks_us.append((time.perf_counter() - started) * 1e6)
    return np.repeat(np.concatenate(probabilities), round(stream.step_s * 1000))[::10], np.array(chunks_us)
