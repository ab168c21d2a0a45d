"""Who is kept apart: training, development and test conversations that share no speaker."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from entrain_training.data import Dialogue

PARTS = {"train": 0.7, "dev": 0.1, "test": 0.2}


def components(dialogues: Sequence[Dialogue]) -> list[int]:
    """The connected component of each conversation in the graph of who talks with whom: two conversations are in one if they share a
    speaker or a group, or a third one links them."""
    parent: dict[str, str] = {}

    def find(node: str) -> str:
        while parent.setdefault(node, node) != node:
            node = parent[node]
        return node

    for i, d in enumerate(dialogues):
        known = [f"{d.corpus}/speaker/{name}" for name in d.names]
        for node in [*known, *([f"{d.corpus}/group/{d.group}"] if d.group else [])]:
            parent[find(node)] = find(f"conversation/{i}")
    roots = [find(f"conversation/{i}") for i in range(len(dialogues))]
    order = {root: n for n, root in enumerate(dict.fromkeys(roots))}
    return [order[root] for root in roots]


def split(dialogues: Sequence[Dialogue], seed: int = 0) -> dict[str, list[Dialogue]]:
    """Whole components to train, dev and test, about by `PARTS` of each corpus's turns.

    A corpus that is one component can't be split and goes to test as a whole, so that it is truly unseen; unless it is the only
    corpus there is, which is an error: there would be nothing to train on.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, list[Dialogue]] = {part: [] for part in PARTS}
    by_corpus: dict[str, dict[int, list[Dialogue]]] = defaultdict(lambda: defaultdict(list))
    for dialogue, component in zip(dialogues, components(dialogues), strict=True):
        by_corpus[dialogue.corpus][component].append(dialogue)
    for parts in by_corpus.values():
        sizes = {c: sum(map(len, ds)) for c, ds in parts.items()}
        total, filled = sum(sizes.values()), dict.fromkeys(PARTS, 0)
        order = [sorted(parts)[i] for i in rng.permutation(len(parts))]
        for component in order:
            lacking = {part: share - filled[part] / total for part, share in PARTS.items()}
            part = max(lacking, key=lambda p: lacking[p]) if len(parts) > 1 else "test"
            filled[part] += sizes[component]
            found[part] += parts[component]
    for part in ("train", "dev"):
        if not found[part]:
            raise ValueError(
                f"there is nothing for {part}: the {len(dialogues)} conversations fall into {len(set(components(dialogues)))} that "
                "share no speaker, too few to be parted. Give more corpora, or conversations of other people."
            )
    return found
