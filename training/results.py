"""The results page: train what is not trained yet, evaluate it, and set it beside what was published and what is best possible.

    python -m entrain_training.results PREPARED --out results        an hour on two cores; goes on where it was stopped

PREPARED has the tables that `entrain prepare` made of ami.csv.gz, primock57.csv.gz and spjallromur.csv.gz, a folder each. To train or
evaluate something anew, delete its folder.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from entrain_training.aims import DEFAULT, Optimum
from entrain_training.coupling import COUPLINGS
from entrain_training.engines import cores, processes
from entrain_training.evaluate import evaluate
from entrain_training.findings import Results
from entrain_training.finished import EvaluationError, Run
from entrain_training.index import write_index
from entrain_training.optimal import score
from entrain_training.page import write
from entrain_training.plan import (
    FULL,
    HONEST,
    PUBLISHED,
    QUICK,
    REAL,
    SIMULATED,
    Scale,
    Task,
    make_tables,
    plan,
    simulated,
)
from entrain_training.run import recorded

EVERYWHERE = "everywhere"
TITLES = {
    HONEST: "Rate in English talk: variants and ablations",
    EVERYWHERE: "Rate in each of the three corpora",
    PUBLISHED: "Under the conditions of the published table",
    **{group: f"Simulated conversations, coupling {name}" for group, name in SIMULATED.items()},
}
"""Folder of a page → its title."""


def make(prepared: Path, out: Path, scale: Scale, jobs: int, say: Callable[[str], None]) -> Path:
    """All of it; returns the page."""
    warnings.filterwarnings(
        "ignore", "A worker was restarted"
    )  # loky's, where a process grew by 300 MB, as ours do
    tables = make_tables(prepared, out / "tables", scale)
    tasks, runs = plan(tables, scale), out / "runs"
    with processes(jobs) as executor:
        for i, name in enumerate(executor.map(partial(train, runs=runs), tasks), 1):
            say(f"trained {i} of {len(tasks)}: {name}")
    real, english = [tables[name] for name in REAL], [tables[name] for name in REAL if name != "spjallromur"]
    of = {
        group: [runs / group / t.name for t in tasks if t.group == group]
        for group in dict.fromkeys(t.group for t in tasks)
    }
    of[HONEST].sort(key=lambda run: run.name != DEFAULT)  # it stands first, and is drawn
    of[EVERYWHERE] = [runs / HONEST / DEFAULT]
    ground = {HONEST: english, EVERYWHERE: real, PUBLISHED: real} | {
        group: [tables[group]] for group in SIMULATED
    }
    found: dict[str, Results] = {}
    for group, title in TITLES.items():
        found[group] = judge(
            out / group, of[group], ground[group], scale.shuffles, min(jobs, len(of[group])), title
        )
        say(f"evaluated {group}: {out / group / 'results.html'}")
    optima = [optimum(group, scale, found[group], of[group][0]) for group in SIMULATED]
    return write_index(out, found[HONEST], found[PUBLISHED], found[EVERYWHERE], optima, TITLES)


def train(task: Task, runs: Path) -> str:
    """Train a run, or go on with it, unless it is finished. Raises `EvaluationError` for one that was trained otherwise."""
    from entrain_training.train import fit

    run = runs / task.group / task.name
    if not (run / "config.json").exists():
        fit(task.tables, run, task.settings, resume=(run / "settings.json").exists())
    elif recorded(run)[1] != task.settings:
        raise EvaluationError(f"{run} was trained with other settings. Delete it, or give another --out.")
    return f"{task.group}/{task.name}"


def judge(
    folder: Path, runs: Sequence[Path], tables: Sequence[Path], shuffles: int, jobs: int, title: str
) -> Results:
    """The results in `folder`; made anew, and their page, where a run is newer."""
    kept = folder / "results.json"
    if kept.exists() and all((run / "config.json").stat().st_mtime < kept.stat().st_mtime for run in runs):
        return Results.model_validate_json(kept.read_text(encoding="utf-8"))
    results = evaluate(runs, tables, n_shuffles=shuffles, jobs=jobs)
    write(results, folder, title)
    return results


def optimum(group: str, scale: Scale, results: Results, run: Path) -> Optimum:
    """The best losses possible on the very conversations that the run was tested on."""
    tested, coupling = {name for _, name in Run.read(run).split["test"]}, COUPLINGS[SIMULATED[group]]
    conversations = [c for c in simulated(group, scale) if c.id in tested]
    losses = {fed: score(conversations, coupling, hear_own=fed == "recorded") for fed in ("recorded", "free")}
    return Optimum(SIMULATED[group], results, losses)


def main(
    prepared: Annotated[Path, typer.Argument(help="Folder of prepared tables: ami, primock57, spjallromur.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for runs and pages.")] = Path("results"),
    quick: Annotated[
        bool, typer.Option(help="Tiny networks, one epoch, in OUT/quick: does it work?")
    ] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="Trainings at once (default: one a core).")] = None,
) -> None:
    """Train and evaluate everything on the results page. Stop it whenever you like: the same command goes on."""
    from entrain.cli import clear_errors

    def say(line: str) -> None:
        Console(stderr=True).print(line, highlight=False, soft_wrap=True)

    with clear_errors():
        scale, folder = (QUICK, out / "quick") if quick else (FULL, out)
        page = make(prepared, folder, scale, jobs or cores(), say)
    print(f"Now open {page} in a browser.")


if __name__ == "__main__":
    typer.run(main)
