"""Results → results.json (everything), results.md (the figures in short) and results.html (with plots)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from entrain import __version__
from entrain.report import number
from entrain.turn import FEATURES
from entrain_training import plots
from entrain_training.findings import Results, RunResult
from entrain_training.scores import ALL, CHOICES, FED
from entrain_training.sham import KINDS, Sham
from entrain_training.statistics import Estimate

N_DRAWN = 4  # runs whose courses and attention are drawn; the JSON has all
LABELS = dict(
    zip(FEATURES, ("pitch", "pitch range", "level", "rate", "jitter", "shimmer", "noise to harmonics"), strict=True)
)  # fmt: skip


def write(results: Results, folder: str | Path, title: str = "Results") -> Path:
    """Writes the three files to `folder`; returns the page. The same results give the same bytes."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("results.json", results.model_dump_json(indent=1) + "\n"),
        ("results.md", markdown(results, title)),
        ("results.html", html(results, title)),
    ):
        (folder / name).write_text(content, encoding="utf-8", newline="\n")
    return folder / "results.html"


def html(results: Results, title: str) -> str:
    """One self-contained page: no script, nothing from elsewhere."""
    return environment().get_template("results.html").render(
        title=title, results=results, drawn=results.runs[:N_DRAWN], fed=FED, choices=list(CHOICES), kinds=KINDS,
        version=__version__, labels=LABELS | {ALL: "all features"},
    )  # fmt: skip


def markdown(results: Results, title: str) -> str:
    """What the page's tables say, in short."""
    parts = [f"# {title}", told(results)]
    for turns in CHOICES:
        parts += [f"## {turns.capitalize()}", table(SUMMARY, [summary(run, turns) for run in results.runs])]
    if rows := [sham_row(run, row) for run in results.runs for row in first_shams(run)]:
        parts += ["## Beside sham partners", table(("run", "partner", "loss higher by, %", "p"), rows)]
    if rows := [
        (f"{p.run} under {p.other}", p.fed, p.turns, interval(p.less_percent), number(p.p, 4))
        for p in results.paired
    ]:
        parts += ["## One run against another", table(("", "fed", "turns", "loss lower by, %", "p"), rows)]
    if results.left_out:
        parts += ["## Not evaluated", "\n".join(f"- {line}" for line in results.left_out)]
    return "\n\n".join(parts) + "\n"


SUMMARY = (
    "run", "smooth L1", "R²", "NLL", "best trivial predictor", "its smooth L1", "skill over it, %", "skill running free, %",
)  # fmt: skip


def summary(run: RunResult, turns: str) -> tuple[str, ...]:
    """A row under SUMMARY; dashes where too few turns are so long."""
    row, free = run.find(turns=turns), run.find(turns=turns, fed="free")
    if row is None or free is None:
        return run.name, *["–"] * (len(SUMMARY) - 1)
    return (
        run.name, interval(row.smooth_l1, 1, 4), number(row.r2.value, 3), number(row.nll and row.nll.value, 3), row.best,
        number(row.trivial[row.best].smooth_l1, 4), interval(row.skill, 100), interval(free.skill, 100),
    )  # fmt: skip


def told(results: Results) -> str:
    run = results.runs[0]
    shared = {r.n_shared_speakers for r in results.runs}
    honest = (
        "no speaker of which was heard in training"
        if shared == {0}
        else f"up to {max(shared)} of whose speakers were heard in training"
    )
    return (
        f"The {results.part} part of {', '.join(results.tables)}: {run.n_conversations:,} conversations, {run.n_turns:,} turns, "
        f"{run.n_speakers} speakers, {honest}. Skill is 1 − loss / loss of the trivial predictor that is best on these very turns; "
        "loss is smooth L1 (β 1) of z. In brackets what holds 95 % of 2,000 draws of conversations."
    )


def first_shams(run: RunResult) -> list[Sham]:
    """Of each kind that over all corpora, which stands first."""
    return [next(row for row in run.sham if row.kind == kind) for kind in KINDS if run.sham]


def sham_row(run: RunResult, row: Sham) -> tuple[str, ...]:
    return run.name, row.kind, interval(row.more_percent), number(row.p, 4)


def interval(e: Estimate | None, times: float = 1.0, digits: int = 2) -> str:
    """A figure with its interval, as in 2.10 (1.04 to 3.15)."""
    if e is None:
        return number(None)
    value = number(times * e.value, digits)
    if e.low is None or e.high is None:
        return value
    return f"{value} ({number(times * e.low, digits)} to {number(times * e.high, digits)})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """As Markdown has it."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def environment() -> Any:
    """Jinja with what the templates call."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    jinja: Any = Environment(
        loader=PackageLoader("entrain_training"), autoescape=True, undefined=StrictUndefined
    )
    jinja.trim_blocks = jinja.lstrip_blocks = True
    jinja.globals.update(
        number=number, interval=interval, summary=summary, told=told, SUMMARY=SUMMARY, first_shams=first_shams,
        sham_row=sham_row, safe=Markup,
        plot={
            name: lambda *given, draw=getattr(plots, name): Markup(draw(*given))
            for name in ("forest", "shams", "calibrated", "lags", "course")
        },
    )  # fmt: skip
    return jinja
