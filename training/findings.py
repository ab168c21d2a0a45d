"""What an evaluation finds: of one run, and of several."""

from __future__ import annotations

from typing import Any, Literal

from entrain.model import ModelConfig
from entrain.turn import SCHEMA, Finite, Record
from entrain_training.calibration import Calibration
from entrain_training.looks import Course, Look
from entrain_training.scores import Paired, Score
from entrain_training.sham import Sham

Part = Literal["train", "dev", "test"]


class RunResult(Record):
    """All that is known of one run."""

    name: str
    folder: str
    config: ModelConfig
    settings: dict[str, Any]
    learnt: dict[str, str]
    n_parameters: int
    n_conversations: int
    n_turns: int
    n_speakers: int
    n_shared_speakers: int
    """Of them, how many it heard in training: 0 where the split is honest."""
    unknown_words: Finite
    scores: tuple[Score, ...]
    sham: tuple[Sham, ...]
    calibration: tuple[Calibration, ...]
    attention: dict[str, Any] | None
    courses: tuple[Course, ...]
    looks: tuple[Look, ...]

    def find(
        self, *, turns: str = "all turns", fed: str = "recorded", corpus: str = "", feature: str = ""
    ) -> Score | None:
        """By default over all corpora and features, which stand first. None where there are too few."""
        for row in self.scores:
            if (
                (row.turns, row.fed) == (turns, fed)
                and corpus in ("", row.corpus)
                and feature in ("", row.feature)
            ):
                return row
        return None


class Results(Record):
    """Everything that the page shows, and more."""

    features_schema: str = SCHEMA
    part: Part
    tables: tuple[str, ...]
    runs: tuple[RunResult, ...]
    paired: tuple[Paired, ...]
    left_out: tuple[str, ...]
    """What was not evaluated, and why."""
