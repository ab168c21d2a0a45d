"""What the results page needs: the tables, and every run."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from entrain_training.aims import DEFAULT
from entrain_training.coupling import COUPLINGS, Simulated
from entrain_training.settings import Training
from entrain_training.simulate import simulate, to_table
from entrain_training.table import read_table, write_table

pa: Any = import_module("pyarrow")
pc: Any = import_module("pyarrow.compute")

REAL = ("ami", "primock57", "spjallromur")
PUBLISHED, HONEST = "published", "honest"
SIMULATED = {f"simulated-{name}": name for name in COUPLINGS}
"""Group of runs → coupling."""


class Scale(NamedTuple):
    """How much is done."""

    epochs: int
    patience: int
    simulated: int  # conversations of each coupling
    simulated_epochs: int
    shuffles: int
    first: int | None  # conversations of each real table; None: all
    changes: dict[str, Any]  # to the networks


FULL = Scale(14, 4, 800, 14, 10, None, {})
QUICK = Scale(1, 1, 50, 1, 1, 40, {"hidden": 8, "word_hidden": 4})


class Task(NamedTuple):
    """A run to train."""

    group: str
    name: str
    tables: tuple[Path, ...]
    settings: Training


def plan(tables: dict[str, Path], scale: Scale) -> list[Task]:
    """All runs, the slow ones first."""
    how = {
        "epochs": scale.epochs,
        "patience": scale.patience,
        "free_every": 0,
        "accelerator": "cpu",
    } | scale.changes
    as_published = how | {"normalise": "conversation", "likelihood": "smooth_l1"}
    honest: dict[str, dict[str, Any]] = {
        "teacher-0": {"teacher": 0.0},
        "teacher-1-to-0": {"teacher": 1.0, "teacher_end": 0.0, "teacher_epochs": max(1, scale.epochs - 4)},
        **{name: {"variant": name} for name in (DEFAULT, "words", "base", "dual", "partner", "none")},
        "whole-conversation-z": {"normalise": "conversation"},
    }
    real, without_names = tuple(tables[name] for name in REAL), (tables["nameless"],)
    tasks = [Task(HONEST, name, real, Training(**how | changes)) for name, changes in honest.items()]
    for name in ("base", "words", DEFAULT):
        tasks.append(Task(PUBLISHED, name, without_names, Training(variant=name, **as_published)))
    longer = how | {"epochs": scale.simulated_epochs}
    for group in SIMULATED:
        tasks.append(Task(group, DEFAULT, (tables[group],), Training(**longer)))
    return tasks


def make_tables(prepared: Path, folder: Path, scale: Scale) -> dict[str, Path]:
    """Table → where it is: the real ones; all of them with speakers who can't be recognised, to part them as was published; and
    simulated ones. Those that are there are not made again."""
    folder.mkdir(parents=True, exist_ok=True)

    def made(name: str, tables: Callable[[], list[Any]]) -> Path:
        path = folder / f"{name}.parquet"
        if not path.exists():
            write_table(tables(), path)
        return path

    found = {name: prepared / name for name in REAL}
    if (n := scale.first) is not None:
        found = {
            name: made(name, lambda path=path: [first(read_table(path), n)]) for name, path in found.items()
        }
    without_names = made("nameless", lambda: [nameless(read_table(path)) for path in found.values()])
    made_up = {
        group: made(
            f"{group}-{scale.simulated}", lambda group=group: [to_table(simulated(group, scale), group)]
        )
        for group in SIMULATED
    }
    return found | {"nameless": without_names} | made_up


def simulated(group: str, scale: Scale) -> list[Simulated]:
    """The conversations of a simulated table, the same each time."""
    return simulate(scale.simulated, (20, 80), COUPLINGS[SIMULATED[group]], 7)


def first(table: Any, n: int) -> Any:
    """The rows of a table's first `n` conversations."""
    place = {name: i for i, name in enumerate(dict.fromkeys(table["conv"].to_pylist()))}
    return table.filter(pa.array([place[name] < n for name in table["conv"].to_pylist()]))


def nameless(table: Any) -> Any:
    """A table whose speakers have another name in every conversation, so that a split parts conversations and not people."""
    columns = table.column_names
    names = pc.binary_join_element_wise(table["conv"], table["speaker"], "/")
    table = table.set_column(columns.index("speaker"), table.schema.field("speaker"), names)
    empty = pa.array([""] * table.num_rows, pa.string())
    return table.set_column(columns.index("group"), table.schema.field("group"), empty)
