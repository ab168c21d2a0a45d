"""What an evaluation of the ears shows: sections of tables and figures → one page, Markdown and JSON, with commit, data and seeds."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from entrain import __version__
from entrain.turn import Record
from entrain_training.page import environment, table
from entrain_training.run import keep

Row = tuple[str, ...]


class Figure(Record):
    """A plot: SVG as `entrain.report.svg` makes it."""

    title: str
    svg: str
    alt: str
    """What it shows, for who can't see it."""


class Grid(Record):
    """A table; cells are text, already rounded."""

    title: str
    head: Row
    rows: tuple[Row, ...]


class Section(Record):
    """One evaluation. `figures` hold the plots, `data` every number, unrounded, JSON-able."""

    name: str
    """A short one for links, such as "vad"."""
    title: str
    note: str = ""
    """How it was measured, on what, with which seeds; the command."""
    grids: tuple[Grid, ...] = ()
    figures: tuple[Figure, ...] = ()
    left_out: tuple[str, ...] = ()
    """What was not evaluated or not used, and why."""
    data: dict[str, Any] = Field(default={})


def write(sections: Sequence[Section], folder: Path, title: str) -> Path:
    """Writes results.html, results.md and results.json to `folder`; returns the page."""
    about = {"entrain": __version__, "commit": commit()}
    content = {
        "results.json": Everything(about=about, sections=tuple(sections)).model_dump_json(indent=1) + "\n",
        "results.md": markdown(sections, title, about),
        "results.html": environment()
        .get_template("sections.html")
        .render(title=title, sections=sections, about=about),
    }
    for name, text in content.items():
        keep(folder / name, text.encode())
    return folder / "results.html"


class Everything(Record):
    about: dict[str, str]
    sections: tuple[Section, ...]


def read(folder: Path) -> tuple[Section, ...]:
    """What `write` wrote there."""
    return Everything.model_validate_json((folder / "results.json").read_text(encoding="utf-8")).sections


def markdown(sections: Sequence[Section], title: str, about: dict[str, str]) -> str:
    parts = [f"# {title}", f"entrain {about['entrain']}, commit {about['commit']}"]
    for section in sections:
        parts += [f"## {section.title}", *([section.note] if section.note else [])]
        for grid in section.grids:
            parts += [f"### {grid.title}", table(grid.head, grid.rows)]
        if section.left_out:
            parts += ["Left out:", "\n".join(f"- {line}" for line in section.left_out)]
    return "\n\n".join(parts) + "\n"


def commit() -> str:
    """Of the code that runs, with + where files differ from it; "unknown" outside a checkout."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + (
            "+" if git("status", "--porcelain", "--untracked-files=no") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
