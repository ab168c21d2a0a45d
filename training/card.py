"""What a model was trained on, for its card, and for whoever waits for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from entrain.model import ModelConfig
from entrain.turn import FEATURES
from entrain.weights import Learnt
from entrain_training.data import Dialogue

MIN_LEARNT = 100  # values of a feature in training, below which it was not learnt
MAX_UNKNOWN = 0.5  # share of a corpus's words that the vectors lack, above which it is said
PACKAGES = ("entrain", "torch", "lightning", "numpy")

Parts = Mapping[str, Sequence[Dialogue]]


def corpora(parts: Parts) -> dict[str, dict[str, Any]]:
    """Of each corpus: turns, conversations, speakers, what could not be used, and how many turns each part has of it."""
    found: dict[str, list[Dialogue]] = defaultdict(list)
    for dialogue in (d for part in parts.values() for d in part):
        found[dialogue.corpus].append(dialogue)
    return {
        corpus: {
            **counts(dialogues),
            "conversations_without_values": sum(not d.valid.any() for d in dialogues),
            "unknown_words": round(unknown_words(dialogues), 4),
            "parts": {
                name: counts(d for d in part if d.corpus == corpus)["turns"] for name, part in parts.items()
            },
        }
        for corpus, dialogues in found.items()
    }


def counts(dialogues: Iterable[Dialogue]) -> dict[str, int]:
    dialogues = list(dialogues)
    speakers = {(d.corpus, name) for d in dialogues for name in d.names}
    return {"turns": sum(map(len, dialogues)), "conversations": len(dialogues), "speakers": len(speakers)}


def unknown_words(dialogues: Iterable[Dialogue]) -> float:
    """Share of the words that the vectors lack; 0 where there is no word."""
    rows = np.concatenate([d.rows for d in dialogues])
    return float((rows == 0).mean()) if len(rows) else 0.0


def learnt(train: Sequence[Dialogue]) -> dict[str, Learnt]:
    """Feature → "real" where people taught it, "simulated" where only the simulator did, "no" where under 100 values could. A
    feature with the simulator's mark in one conversation of a corpus is simulated in all of them."""
    marked: dict[str, frozenset[str]] = defaultdict(frozenset)
    for d in train:
        marked[d.corpus] |= d.simulated
    found: dict[str, Learnt] = {}
    for i, name in enumerate(FEATURES):
        real = sum(int(d.valid[:, i].sum()) for d in train if name not in marked[d.corpus])
        every = sum(int(d.valid[:, i].sum()) for d in train)
        found[name] = "real" if real >= MIN_LEARNT else "simulated" if every >= MIN_LEARNT else "no"
    return found


def remarks(of_corpora: Mapping[str, Mapping[str, Any]], config: ModelConfig) -> list[str]:
    """What one should know of the corpora before waiting for the training."""
    found: list[str] = []
    for corpus, about in of_corpora.items():
        if config.words and about["unknown_words"] > MAX_UNKNOWN:
            found.append(
                f"{corpus}: the word vectors lack {about['unknown_words']:.0%} of its words, so its texts say little. "
                "Give vectors of its language with --vectors."
            )
        if not about["parts"]["train"]:
            found.append(
                f"{corpus}: none of it is trained on; its conversations fall into too few that share no speaker."
            )
        if about["conversations_without_values"]:
            found.append(
                f"{corpus}: {about['conversations_without_values']} conversations have no value of any feature."
            )
    return found


def versions() -> dict[str, str]:
    return {package: version(package) for package in PACKAGES}
