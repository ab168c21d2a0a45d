"""What an evaluation of emotion shows: rows, per speaker, by what was known of them, and who was taken for whom."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from entrain.report import AGENT, number, svg
from entrain_training.emotion.judged import Judged, accuracy, confusion, log_loss, recall
from entrain_training.page import interval
from entrain_training.sections import Figure, Grid

HEAD = ("", "unweighted recall", "accuracy", "log loss", "recordings", "speakers")
KNOWN = ((0, 0), (1, 3), (4, 9), (10, 19), (20, 10_000))
"""Turns of the speaker that were heard before."""


def row(name: str, judged: Judged, published: str | None = None) -> tuple[str, ...]:
    """Under HEAD, and what is published where that is told."""
    cells = (
        name, interval(recall(judged), 1, 3), interval(accuracy(judged), 1, 3), number(log_loss(judged), 2),
        f"{len(set(judged.recordings.tolist())):,}", str(len(set(judged.speakers.tolist()))),
    )  # fmt: skip
    return cells if published is None else (*cells, published)


def per_speaker(title: str, judged: Judged) -> Grid:
    """Unweighted recall of each."""
    rows = []
    for speaker in sorted(set(judged.speakers.tolist())):
        theirs = judged.where(judged.speakers == speaker)
        rows.append((speaker, number(recall(theirs).value, 3), number(accuracy(theirs).value, 3)))
    return Grid(title=title, head=("speaker", "unweighted recall", "accuracy"), rows=tuple(rows))


def by_known(title: str, judged: Judged) -> Grid:
    """What it helps to have heard a speaker before."""
    rows = []
    for low, high in KNOWN:
        picked = judged.where((judged.before >= low) & (judged.before <= high))
        if len(picked.true):
            name = str(low) if low == high else f"{low} to {high}" if high < 1_000 else f"{low} and more"
            rows.append((name, interval(recall(picked), 1, 3)))
    return Grid(
        title=title, head=("turns of the speaker heard before", "unweighted recall"), rows=tuple(rows)
    )


def confusion_grid(title: str, judged: Judged) -> Grid:
    shares = confusion(judged)
    rows = tuple(
        (label, *(number(100 * v, 0) for v in line))
        for label, line in zip(judged.labels, shares, strict=True)
    )
    return Grid(title=title, head=("true, taken for, %", *judged.labels), rows=rows)


def confusion_plot(name: str, title: str, judged: Judged) -> Figure:
    shares = confusion(judged)
    size = 1.6 + 0.45 * len(judged.labels)
    worst = np.where(np.eye(len(shares), dtype=bool), 0, shares)
    true, found = np.unravel_index(int(worst.argmax()), worst.shape)
    alt = (
        f"{title}: of each emotion in rows, the share taken for each other in columns; most often confused: {judged.labels[true]} "
        f"taken for {judged.labels[found]}, {100 * worst[true, found]:.0f} %"
    )
    return Figure(title=title, svg=svg(partial(_paint, judged.labels, shares), (size, size), name), alt=alt)


def _paint(labels: tuple[str, ...], shares: Any, figure: Any) -> None:
    axes, places = figure.subplots(), range(len(labels))
    for i, line in enumerate(shares):
        axes.bar(places, 1, 1, i - 0.5, color=[(AGENT, 0.6 * float(share)) for share in line])
        for j, share in enumerate(line):
            if share >= 0.005:
                axes.text(j, i, f"{100 * share:.0f}", ha="center", va="center", fontsize=8)
    axes.set(
        yticks=places, yticklabels=labels, xlabel="taken for", ylabel="true", ylim=(len(labels) - 0.5, -0.5)
    )
    axes.set_xticks(places, labels, rotation=45, ha="right")
    axes.grid(visible=False)
