"""A training that is finished: what `entrain train` has left in its folder, read for evaluation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrain.weights import Trained

Ids = tuple[tuple[str, str], ...]  # corpus and id of conversations


class EvaluationError(ValueError):
    """The run can't be evaluated on these tables; the message says what to do."""


@dataclass(frozen=True)
class Run:
    """A network, the split that it was trained on, and how."""

    folder: Path
    trained: Trained
    split: dict[str, Ids]
    settings: dict[str, Any]

    @classmethod
    def read(cls, folder: str | Path) -> Run:
        """Raises `EvaluationError` or `WeightsError` for a folder that is not a finished run."""
        folder = Path(folder)
        trained = Trained.load(folder)
        split = _json(folder / "split.json")
        try:
            parts = {
                part: tuple((str(c), str(v)) for c, v in split[part]) for part in ("train", "dev", "test")
            }
        except (KeyError, TypeError, ValueError) as error:
            raise EvaluationError(
                f"{folder / 'split.json'} does not list the conversations of train, dev and test. Train again."
            ) from error
        return cls(folder, trained, parts, _json(folder / "settings.json"))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvaluationError(
            f"{path} can't be read ({error}). Give a folder that `entrain train` has written."
        ) from error
