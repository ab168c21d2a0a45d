"""The tables that runs are evaluated on, and what does not depend on the run: each read or fitted once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from entrain.words import Words
from entrain_training.baselines import trivial
from entrain_training.data import Dialogue, read_dialogues
from entrain_training.finished import EvaluationError, Ids, Run
from entrain_training.pooled import Pooled


class Ground:
    """Prepared tables, with the words that all runs share."""

    def __init__(self, tables: Sequence[str | Path], words: Words) -> None:
        self.tables, self.words = tables, words
        self.trivial = lru_cache(maxsize=2)(trivial)
        self._dialogues = lru_cache(maxsize=2)(self._read)
        self._pooled = lru_cache(maxsize=6)(self._pool)

    def part(self, run: Run, part: str) -> Pooled:
        """The turns of one part of the run's split. Raises `EvaluationError` where the tables have none of its conversations."""
        turns = self.find(run, part)
        if turns is None:
            raise EvaluationError(
                f"none of the {len(run.split[part])} conversations of the {part} part of {run.folder} is in "
                f"{', '.join(map(str, self.tables))}. Give the tables that it was trained on: trivial predictors are fitted there too."
            )
        return turns

    def find(self, run: Run, part: str) -> Pooled | None:
        """The same; None where there are none."""
        config = run.trained.model.config
        return self._pooled(run.split[part], config.normalise, config.mel, config.emotion)

    def _pool(self, ids: Ids, normalise: Any, mel: bool, emotion: tuple[str, ...]) -> Pooled | None:
        known = self._dialogues(normalise, mel, emotion)
        there = [known[name] for name in ids if name in known]
        return Pooled.of(there) if there else None

    def _read(self, normalise: Any, mel: bool, emotion: tuple[str, ...]) -> dict[tuple[str, str], Dialogue]:
        try:
            dialogues = read_dialogues(self.tables, self.words, normalise, mel, emotion)
        except ValueError as error:
            raise EvaluationError(str(error)) from error
        return {(d.corpus, d.id): d for d in dialogues}
