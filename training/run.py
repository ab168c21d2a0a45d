"""The folder of a training: what it was begun with, and files that are there whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from entrain_training.data import Dialogue
from entrain_training.settings import Training, TrainingError
from entrain_training.table import replacing

CHECKPOINT = "checkpoints/last.ckpt"
OF_MACHINE = ("accelerator", "devices", "nodes", "strategy", "precision", "workers")
"""Settings that may differ when a training goes on: it may do so elsewhere."""


def begin(
    run: Path, tables: Sequence[str | Path], settings: Training, parts: Mapping[str, Sequence[Dialogue]], resume: bool
) -> None:  # fmt: skip
    """Write settings.json and split.json; or, where they are, see that the training which goes on is the same. Raises
    `TrainingError` where it is not, and without `resume`."""
    record = {
        "tables": [str(Path(table).resolve()) for table in tables],
        "n_turns": {name: sum(map(len, part)) for name, part in parts.items()},
        "settings": settings.model_dump(mode="json"),
    }
    split = {name: [[d.corpus, d.id] for d in part] for name, part in parts.items()}
    if not (run / "settings.json").exists():
        keep_json(run / "split.json", split)
        keep_json(run / "settings.json", record)
        return
    must_go_on(run, resume, f"with: entrain train --resume {run}")
    before = read(run / "settings.json")
    new, old = record["settings"], Training(**before["settings"]).model_dump(mode="json")
    changed = [
        f"{k} was {old.get(k)!r}, is {new[k]!r}" for k in new if k not in OF_MACHINE and new[k] != old.get(k)
    ]
    if (record["n_turns"], split) != (before["n_turns"], read(run / "split.json")):
        changed.append("the tables have other conversations or turns")
    must_be_same(run, changed)


def must_go_on(run: Path, resume: bool, how: str) -> None:
    """What is there is not overwritten."""
    if not resume:
        raise TrainingError(f"there is a training in {run} already. Give another folder, or go on {how}")


def must_be_same(run: Path, changed: Sequence[str]) -> None:
    if changed:
        raise TrainingError(
            f"the training in {run} can't go on: {'; '.join(changed)}. Begin anew in another folder."
        )


def must_be_of_machine(settings: Iterable[str], tables: Sequence[str] = ()) -> None:
    """To a training that goes on nothing else may be given anew: no other setting, and no table."""
    if other := [*tables, *(name for name in settings if name not in OF_MACHINE)]:
        raise TrainingError(
            f"a training goes on as it was begun; with --resume don't give {', '.join(other)}."
        )


def again(run: Path, tables: Sequence[str], given: Mapping[str, Any]) -> tuple[list[str], Training]:
    """The tables and settings to go on with: those of before, but for the machine's, which may be given anew."""
    must_be_of_machine(given, tables)
    paths, settings = recorded(run)
    return paths, Training(**settings.model_dump() | given)


def recorded(run: str | Path) -> tuple[list[str], Training]:
    """The tables and settings of the training that was begun in this folder."""
    record = read(Path(run) / "settings.json")
    return record["tables"], Training(**record["settings"])


def read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{path} can't be read ({error}). Give a folder that `entrain train` has begun."
        ) from error


def keep(path: Path, content: bytes) -> None:
    """Write a file whole, or not at all: then what was there stays, and `TrainingError` is raised."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise TrainingError(
            f"{path} can't be written ({error}). Make room; the training goes on after its last checkpoint with: "
            "entrain train --resume RUN"
        ) from error


def keep_json(path: Path, value: Any) -> None:
    keep(path, (json.dumps(value, indent=1) + "\n").encode())
