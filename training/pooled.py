"""Conversations' turns one after the other: what predictions, trivial predictors and scores share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from entrain_training.data import Array, Dialogue

Bits = NDArray[np.bool_]
Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pooled:
    """N turns of C conversations, in their order."""

    dialogues: tuple[Dialogue, ...]
    first: Places  # (C,) the place of each conversation's first turn
    conversation: Places  # (N,)
    speaker: Places  # (N,) numbered through all conversations
    place: Places  # (N,) 0, 1 … in each conversation
    z: Array  # (N, 7)
    valid: Bits  # (N, 7)
    target: Array  # (N, 7)
    n_words: Places  # (N,)

    @classmethod
    def of(cls, dialogues: Sequence[Dialogue]) -> Pooled:
        sizes = np.array([len(d) for d in dialogues], np.int64)
        first = sizes.cumsum() - sizes
        people = np.array([len(d.names) for d in dialogues], np.int64)
        speakers = [d.speaker + start for d, start in zip(dialogues, people.cumsum() - people, strict=True)]
        conversation = np.repeat(np.arange(len(sizes)), sizes)
        return cls(
            tuple(dialogues), first, conversation, np.concatenate(speakers),
            np.arange(len(conversation)) - first[conversation],
            *(np.concatenate([getattr(d, name) for d in dialogues]) for name in ("z", "valid", "target", "n_words")),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.conversation)

    @property
    def corpora(self) -> list[str]:
        """Of each conversation."""
        return [d.corpus for d in self.dialogues]
