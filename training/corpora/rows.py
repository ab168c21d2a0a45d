"""Rows of the text files that corpora are made of, each knowing its file and line."""

from __future__ import annotations

import csv
import gzip
import math
import re
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TextIO

from entrain_training.corpora import CorpusError

TIME = r"(-?\d+(?:\.\d*)?)"  # seconds, as the transcripts write them


@dataclass(frozen=True)
class Row:
    """A row of a CSV table: its cells by column."""

    path: Path
    line: int
    cells: Mapping[str, str]

    @property
    def where(self) -> str:
        return f"{self.path}, line {self.line}"

    def text(self, column: str) -> str:
        """The cell without spaces around it; empty where the table has no such column."""
        return self.cells.get(column, "").strip()

    def required(self, column: str) -> str:
        return self.text(column) or self.refuse(f"{column} is empty.")

    def number(self, column: str) -> float | None:
        """None where the cell is empty or the table has no such column."""
        cell = self.text(column)
        if not cell:
            return None
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            self.refuse(f"{column} is {cell!r}; it must be a number, or empty where it is not known.")
        return value

    def seconds(self, column: str) -> float:
        value = self.number(column)
        return self.refuse(f"{column} is empty.") if value is None else value

    def refuse(self, why: str) -> NoReturn:
        raise CorpusError(f"{self.where}: {why}")


def csv_rows(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Iterator[Row]:
    """The rows of a CSV file with a header (.csv or .csv.gz, UTF-8). Raises `CorpusError` for other columns than these, a row
    with more or fewer cells than the header, and a file that is damaged or cut off."""
    with opened(path) as file:
        reader = csv.reader(file)
        columns = [name.strip() for name in next(reader, None) or []]
        _check_columns(path, columns, required, optional)
        for cells in reader:
            if cells and len(cells) != len(columns):
                raise CorpusError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells, but the header has {len(columns)} columns. "
                    "Is the file cut off, or a comma not in quotes?"
                )
            if cells:
                yield Row(path, reader.line_num, dict(zip(columns, cells, strict=True)))


def header(path: Path) -> list[str]:
    """A CSV file's columns; none where it can't be read."""
    try:
        with opened(path) as file:
            return [name.strip() for name in next(csv.reader(file), None) or []]
    except CorpusError:
        return []


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Where it is, and the text, of each line that is not blank. Raises `CorpusError` where it is not UTF-8."""
    with opened(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield f"{path}, line {number}", line.strip()


def timed(
    path: Path, form: re.Pattern[str], example: str, skipped: list[str]
) -> Iterator[tuple[float, float, list[str]]]:
    """Start and end in seconds, and the other groups, of each line of the `form`; comments (#) apart, the others are added to
    `skipped`, and those whose times are negative or reversed."""
    for where, line in lines(path):
        found = form.fullmatch(line)
        if found:
            start, end, *rest = found.groups()
            start_s, end_s = float(start), float(end)
            if 0 <= start_s <= end_s:
                yield start_s, end_s, rest
            else:
                skipped.append(f"{where}: from {start} to {end} s is no time")
        elif not line.startswith("#"):
            skipped.append(f"{where}: {line!r} is not like {example!r}")


@contextmanager
def opened(path: Path) -> Generator[TextIO, None, None]:
    """The file as text, unpacked if it ends in .gz; `CorpusError` for all that goes wrong in reading it."""
    try:
        open_: Any = gzip.open if path.suffix == ".gz" else open
        with open_(path, "rt", encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path} is not UTF-8 ({error.reason} at byte {error.start}); convert it."
        ) from error
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise CorpusError(f"{path} can't be read: {error}. Is the copy whole?") from error


def _check_columns(path: Path, columns: list[str], required: Sequence[str], optional: Sequence[str]) -> None:
    allowed = f"Required: {', '.join(required)}. Allowed as well: {', '.join(optional)}."
    if missing := [name for name in required if name not in columns]:
        raise CorpusError(
            f"{path} has no column {', '.join(missing)} (it has {', '.join(columns)}). {allowed}"
        )
    if unknown := [name for name in columns if name not in (*required, *optional)]:
        raise CorpusError(f"{path} has an unknown column {', '.join(map(repr, unknown))}. {allowed}")
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise CorpusError(f"{path} has the column {', '.join(twice)} more than once.")
