"""The table of turns, read and written: one row a turn, a conversation's rows together, in order of their starts.

What is not known is null, never NaN; the column `missing` says why. Columns: `columns.py`; what is refused: `check.py`.
"""

from __future__ import annotations

import uuid
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from entrain_training.check import check, check_version
from entrain_training.columns import TableError, schema
from entrain_training.mel import N_VALUES, MelFrames

pa: Any = import_module("pyarrow")
pq: Any = import_module("pyarrow.parquet")

FILE = "turns.parquet"
BATCH_BYTES = 64 << 20  # of a row group: so much is in memory at once while writing


def read_table(path: str | Path, mel: bool = True) -> Any:
    """The turns of a file, or of the folder that `entrain prepare` wrote, as a checked `pyarrow.Table`.

    `mel=False` leaves the spectrograms on the disk. Raises `TableError` for no such file, one that is not Parquet, another
    schema or version, no turns, and all that `check` refuses.
    """
    path = Path(path)
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise TableError(f"there is no {path}. Make it with: entrain prepare CORPUS {path.parent}")
    try:
        with pq.ParquetFile(path) as file:
            check_version(file.schema_arrow.metadata or {}, path)
            table = file.read([name for name in file.schema_arrow.names if mel or name != "mel"])
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"{path} can't be read ({error}). Make it again with: entrain prepare") from error
    check(table, path)
    if not table.num_rows:
        raise TableError(f"{path} has no turns. The prepare.json beside it says what was skipped or failed.")
    return table


def conversations(table: Any) -> list[tuple[int, int]]:
    """The rows of each conversation, whose rows stand together: the first, and the one after the last."""
    keys = list(zip(*(table[name].to_pylist() for name in ("corpus", "conv")), strict=True))
    edges = [i for i in range(len(keys)) if i == 0 or keys[i] != keys[i - 1]]
    return list(pairwise([*edges, len(keys)]))


def mel_frames(value: bytes) -> MelFrames:
    """One cell of the column `mel`, shape `(T, 160)`."""
    return np.frombuffer(value, "<f2").reshape(-1, N_VALUES)


def write_table(tables: Iterable[Any], path: Path, mel: bool = False, emotion: bool = False) -> int:
    """The tables one after another into one file, which is there whole or not at all; returns the number of rows."""
    target, n_rows = schema(mel, emotion), 0
    with replacing(path) as temporary, pq.ParquetWriter(temporary, target, compression="zstd") as writer:
        for batch in _batches(tables):
            writer.write_table(batch.replace_schema_metadata(target.metadata))
            n_rows += batch.num_rows
    return n_rows


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A name to write to. It becomes `path` in one step at the end; if writing fails, it goes and `path` stays as it was."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _batches(tables: Iterable[Any]) -> Iterator[Any]:
    batch: list[Any] = []
    n_bytes = 0
    for table in tables:
        batch.append(table)
        n_bytes += table.nbytes
        if n_bytes > BATCH_BYTES:
            yield pa.concat_tables(batch)
            batch, n_bytes = [], 0
    if batch:
        yield pa.concat_tables(batch)
