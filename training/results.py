"""The results page: train what is not trained yet, evaluate it, and set it beside what was published and what is best possible.

    python -m entrain_training.results PREPARED --out results        40 minutes on two cores; goes on where it was stopped

PREPARED has the tables `entrain prepare` made of ami.csv.gz, primock57.csv.gz and spjallromur.csv.gz, a folder each. Delete OUT/runs/…
to train a run anew, OUT/GROUP to evaluate a group anew.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console

from entrain_training.aims import DEFAULT, Optimum
from entrain_training.coupling import COUPLINGS
from entrain_training.engines import _processes as processes
from entrain_training.engines import cores
from entrain_training.evaluate import evaluate
from entrain_training.findings import Results
from entrain_training.index import write_index
from entrain_training.optimal import score
from entrain_training.page import write
from entrain_training.settings import Training
from entrain_training.simulate import simulate, to_table
from entrain_training.table import read_table, write_table

pa: Any = import_module("pyarrow")
pc: Any = import_module("pyarrow.compute")

REAL = ("ami", "primock57", "spjallromur")
ENGLISH = ("ami", "primock57")
"""What the figures aimed at are told on; Spjallrómur is Icelandic, whose words the vectors lack."""
PUBLISHED, HONEST, SPJALLROMUR = "published", "honest", "spjallromur"
SIMULATED = {f"simulated-{name}": name for name in COUPLINGS}


class Scale(NamedTuple):
    """How much is done."""

    epochs: int
    patience: int
    simulated: int  # conversations
    simulated_epochs: int
    shuffles: int
    first: int | None  # conversations of each real table; None: all
    changes: dict[str, Any]


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
    real = tuple(tables[name] for name in REAL)
    how = {
        "epochs": scale.epochs,
        "patience": scale.patience,
        "free_every": 0,
        "accelerator": "cpu",
        **scale.changes,
    }
    as_published = how | {"normalise": "conversation", "likelihood": "smooth_l1"}
    honest: dict[str, dict[str, Any]] = {
        "teacher-0": {"teacher": 0.0},
        "teacher-1-to-0": {"teacher": 1.0, "teacher_end": 0.0, "teacher_epochs": max(1, scale.epochs - 4)},
        **{name: {"variant": name} for name in (DEFAULT, "words", "base", "dual", "partner", "none")},
        "whole-conversation-z": {"normalise": "conversation"},
    }
    return [
        *(Task(HONEST, name, real, Training(**how | changes)) for name, changes in honest.items()),
        *(
            Task(PUBLISHED, name, (tables["nameless"],), Training(variant=name, **as_published))
            for name in ("base", "words", DEFAULT)
        ),
        *(
            Task(group, DEFAULT, (tables[group],), Training(**how | {"epochs": scale.simulated_epochs}))
            for group in SIMULATED
        ),
    ]  # fmt: skip


def make_tables(prepared: Path, folder: Path, scale: Scale) -> dict[str, Path]:
    """Table → where it is: the real ones; all of them with speakers who can't be recognised, to part them as was published; and
    simulated ones. Those that are there are not made again."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {name: prepared / name for name in REAL}
    if scale.first is not None:
        found = {
            name: _made(
                folder / f"{name}-first.parquet", lambda path=path: [first(read_table(path), scale.first)]
            )
            for name, path in found.items()
        }
    without_names = _made(
        folder / "nameless.parquet", lambda: [nameless(read_table(path)) for path in found.values()]
    )
    simulations = {
        group: _made(
            folder / f"{group}.parquet",
            lambda group=group: [to_table(simulated(SIMULATED[group], scale), group)],
        )
        for group in SIMULATED
    }
    return found | {"nameless": without_names} | simulations


def _made(path: Path, tables: Callable[[], list[Any]]) -> Path:
    if not path.exists():
        write_table(tables(), path)
    return path


def simulated(coupling: str, scale: Scale) -> Any:
    return simulate(scale.simulated, (20, 80), COUPLINGS[coupling], 7)


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


def train(task: Task, runs: Path) -> str:
    """Train a run, or go on with it, unless it is finished."""
    from entrain_training.train import fit

    run = runs / task.group / task.name
    if not (run / "config.json").exists():
        fit(task.tables, run, task.settings, resume=(run / "settings.json").exists())
    return f"{task.group}/{task.name}"


def evaluated(
    folder: Path, runs: Sequence[Path], tables: Sequence[Path], shuffles: int, jobs: int, title: str
) -> Results:
    """The results in `folder`, made anew where a run is newer."""
    kept = folder / "results.json"
    if kept.exists() and all((run / "config.json").stat().st_mtime < kept.stat().st_mtime for run in runs):
        return Results.model_validate_json(kept.read_text(encoding="utf-8"))
    results = evaluate(runs, tables, n_shuffles=shuffles, jobs=jobs)
    write(results, folder, title)
    return results


def optimum(coupling: str, scale: Scale, results: Results, run: Path) -> Optimum:
    """The best losses possible on the very conversations that the run was tested on."""
    from entrain_training.finished import Run

    tested = {name for _, name in Run.read(run).split["test"]}
    conversations = [c for c in simulated(coupling, scale) if c.id in tested]
    return Optimum(
        coupling, results,
        {fed: score(conversations, COUPLINGS[coupling], hear_own=fed == "recorded") for fed in ("recorded", "free")},
    )  # fmt: skip


TITLES = {
    HONEST: "Rate in English talk: variants and ablations",
    PUBLISHED: "Under the conditions of the published table",
    SPJALLROMUR: "Rate in Icelandic talk",
    **{group: f"Simulated conversations, coupling {name}" for group, name in SIMULATED.items()},
}


def make(prepared: Path, out: Path, scale: Scale, jobs: int, say: Callable[[str], None]) -> Path:
    """All of it; returns the page."""
    tables = make_tables(prepared, out / "tables", scale)
    tasks, runs = plan(tables, scale), out / "runs"
    warnings.filterwarnings(
        "ignore", "A worker was restarted"
    )  # loky's, where a process has grown by 300 MB, as ours do
    with processes(jobs) as executor:
        for i, name in enumerate(executor.map(partial(train, runs=runs), tasks), 1):
            say(f"trained {i} of {len(tasks)}: {name}")
    of = {
        group: [runs / t.group / t.name for t in tasks if t.group == group]
        for group in (HONEST, PUBLISHED, *SIMULATED)
    }
    of[HONEST].sort(key=lambda run: run.name != DEFAULT)  # drawn first
    of[SPJALLROMUR] = [runs / HONEST / DEFAULT]
    ground = {
        HONEST: [tables[name] for name in ENGLISH], PUBLISHED: [tables[name] for name in REAL],
        SPJALLROMUR: [tables[name] for name in REAL], **{group: [tables[group]] for group in SIMULATED},
    }  # fmt: skip
    found: dict[str, Results] = {}
    for group, where in ground.items():
        found[group] = evaluated(
            out / group, of[group], where, scale.shuffles, min(jobs, len(of[group])), TITLES[group]
        )
        say(f"evaluated {group}: {out / group / 'results.html'}")
    optima = [optimum(name, scale, found[group], of[group][0]) for group, name in SIMULATED.items()]
    return write_index(out, found[HONEST], found[PUBLISHED], found[SPJALLROMUR], optima, TITLES)


def main(
    prepared: Annotated[Path, typer.Argument(help="Folder of prepared tables: ami, primock57, spjallromur.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for runs and pages.")] = Path("results"),
    quick: Annotated[bool, typer.Option(help="Tiny networks, one epoch: to see that it works.")] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="Trainings at once (default: one a core).")] = None,
) -> None:
    """Train and evaluate everything on the results page. Stop it whenever you like: the same command goes on."""
    from entrain.cli import clear_errors

    console = Console(stderr=True)
    with clear_errors():
        page = make(
            prepared,
            out,
            QUICK if quick else FULL,
            jobs or cores(),
            lambda line: console.print(line, highlight=False),
        )
    print(f"Now open {page} in a browser.")


if __name__ == "__main__":
    typer.run(main)
