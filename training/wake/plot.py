"""Misses against false accepts, as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from entrain.report import AGENT, FAINT, INK, USER, svg
from entrain_training.sections import Figure
from entrain_training.wake.measure import Measured

COLOURS = (USER, AGENT, INK, FAINT)
SIZE_IN = (6.0, 3.6)
TARGET = 0.5, 5.0  # false accepts per hour, % missed


def curves(found: Sequence[Measured], snr_db: float, word: str) -> Figure:
    """Clean dotted, in noise solid; the dot is the threshold in use."""

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        for i, it in enumerate(found):
            _draw(axes, it, COLOURS[i % len(COLOURS)], snr_db)
        axes.set(xlabel="false accepts per hour", ylabel="missed, %", xlim=(0, 30), ylim=(0, 50))
        axes.set_xscale("symlog", linthresh=1.0)
        axes.axvline(TARGET[0], color=FAINT, linewidth=0.8)
        axes.axhline(TARGET[1], color=FAINT, linewidth=0.8)
        axes.legend(frameon=False, fontsize=8)

    told = [
        f"{it.name}: {it.best(TARGET[0])[1].value:.1%} missed in noise at .5 false accepts an hour"
        for it in found
    ]
    name = "wake-" + word.replace(" ", "-")
    return Figure(
        title=f"{word}: misses against false accepts; a dot is the threshold in use", svg=svg(paint, SIZE_IN, name), alt="; ".join(told)
    )  # fmt: skip


def _draw(axes: Any, it: Measured, colour: str, snr_db: float) -> None:
    at = min(it.curve, key=lambda point: abs(point.threshold - it.wake.threshold))
    for kind, style, told in (("noisy", "-", f"{snr_db:g} dB"), ("clean", ":", "clean")):
        false, miss = ([getattr(p, f"{what}_{kind}") for p in it.curve] for what in ("false", "missed"))
        axes.step(
            false,
            100 * np.array(miss),
            color=colour,
            linestyle=style,
            where="post",
            label=f"{it.name}, {told}",
        )
        axes.plot(getattr(at, f"false_{kind}"), 100 * getattr(at, f"missed_{kind}"), "o", color=colour)
