"""Is this a table of turns that can be trusted? The first row that can't is named."""

from __future__ import annotations

import json
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entrain.turn import FEATURES, SCHEMA
from entrain_training.columns import NULLABLE, REQUIRED, TABLE_VERSION, TableError, schema

pc: Any = import_module("pyarrow.compute")


def check(table: Any, name: str | Path) -> None:
    """Raises `TableError` for columns or types that are not ours, null where there must be none, NaN, times that are negative
    or run backwards, rows out of order or doubled, and a feature that is null without a reason. `name` is the file's."""
    check_columns(table, name)
    check_values(table, name)
    check_order(table, name)
    check_reasons(table, name)


def check_version(metadata: dict[bytes, bytes], name: str | Path) -> None:
    """By the file's own metadata: schema and version are ours."""
    found, version = (metadata.get(key, b"").decode() for key in (b"schema", b"table_version"))
    if found != SCHEMA:
        what = f"has the schema {found!r}" if found else "is no table of turns"
        raise TableError(f"{name} {what}; this entrain reads {SCHEMA!r}. Make it with: entrain prepare")
    if version != str(TABLE_VERSION):
        newer = version.isdecimal() and int(version) > TABLE_VERSION
        raise TableError(
            f"{name} is a table of version {version!r}; this entrain reads {TABLE_VERSION}. "
            + ("Upgrade entrain." if newer else "Make it again with: entrain prepare")
        )


def check_columns(table: Any, name: str | Path) -> None:
    """Each column once, of its type; `mel` and `emotion` may be absent."""
    known = schema(mel=True, emotion=True)
    for column in (*REQUIRED, *NULLABLE):
        if column not in table.column_names:
            raise TableError(f"{name} has no column {column!r}. Make it again with: entrain prepare")
    for field in table.schema:
        if field.name not in known.names:
            raise TableError(
                f"{name} has an unknown column {field.name!r}; allowed: {', '.join(known.names)}."
            )
        if table.column_names.count(field.name) > 1:
            raise TableError(f"{name} has the column {field.name!r} twice; leave one out.")
        kind = known.field(field.name).type
        if field.type != kind:
            raise TableError(f"{name}: the column {field.name!r} is {field.type}; {kind} is needed.")


def check_values(table: Any, name: str | Path) -> None:
    """No null where there must be none, no NaN, no impossible time."""
    refuse = partial(_refuse, table, name)
    for column in REQUIRED:
        refuse(table[column].is_null(), f"{column} is null")
    for column in (*NULLABLE, "start_s", "end_s", "duration_s", "pause_ratio"):
        bad = pc.invert(pc.is_finite(table[column]))
        refuse(bad, f"{column} is NaN or infinite; what is missing is null")
    if "emotion" in table.column_names:
        refuse(_improbable(table["emotion"]), "emotion has something that is no probability, 0 to 1")
    refuse(pc.less(table["start_s"], 0.0), "start_s is negative")
    refuse(pc.less(table["end_s"], table["start_s"]), "end_s is before start_s")


def _improbable(cells: Any) -> NDArray[np.bool_]:
    """Which rows `(N,)` have a probability that is none."""
    told = [[p for _, p in cell or []] for cell in cells.to_pylist()]
    return np.array([any(p is None or not 0 <= p <= 1 for p in of) for of in told], bool)


def check_order(table: Any, name: str | Path) -> None:
    """Conversations each in one piece, turns 0, 1 … with starts that don't fall, none doubled."""
    refuse = partial(_refuse, table, name)
    conversation = _codes(table, "corpus", "conv")
    number, start_s = table["turn"].to_numpy(), table["start_s"].to_numpy()
    goes_on = np.diff(conversation, prepend=-1) == 0
    again = ~goes_on & ~_first(conversation)
    refuse(again, "this conversation is further up already; each stands once, in one piece")
    step: Any = np.where(goes_on, np.diff(number, prepend=0), number + 1)
    refuse(step == 0, "this turn is there twice")
    refuse(step != 1, "turns are numbered 0, 1, 2 … in this order, and one is missing or misplaced")
    falls = goes_on & (np.diff(start_s, prepend=0.0) < 0)
    refuse(falls, "it starts before the turn above it; sort by start_s")
    doubled = ~_first(_codes(table, "corpus", "conv", "speaker", "start_s", "end_s", "text"))
    refuse(doubled, "the same speaker says the same at the same time in a turn further up")


def check_reasons(table: Any, name: str | Path) -> None:
    """`missing` tells why of each feature that is null, and of no other. Distinct cells only are parsed: they are few."""
    refuse = partial(_refuse, table, name)
    cells = table["missing"].combine_chunks().dictionary_encode()
    which = cells.indices.to_numpy()
    reasons = [_reasons(cell) for cell in cells.dictionary.to_pylist()]
    unreadable = np.array([told is None for told in reasons], bool)[which]
    refuse(unreadable, "missing is not JSON of feature → reason")
    for feature in FEATURES:
        told = np.array([feature in (told or {}) for told in reasons], bool)[which]
        null = table[feature].is_null().to_numpy()
        refuse(null & ~told, f"{feature} is null, and `missing` does not say why")
        refuse(told & ~null, f"{feature} has a value, and `missing` says that it has none")


def _reasons(cell: str) -> dict[str, str] | None:
    try:
        found: Any = json.loads(cell)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _codes(table: Any, *columns: str) -> NDArray[np.int64]:
    """A number for each row `(N,)`, from 0: the same where they agree in these columns."""
    codes: Any = np.zeros(table.num_rows, np.int64)
    for column in columns:
        values = table[column].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
        codes = np.unique(codes * (values.max(initial=0) + 1) + values, return_inverse=True)[1]
    return codes


def _first(codes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which rows `(N,)` are the first with their number."""
    first = np.zeros(len(codes), bool)
    first[np.unique(codes, return_index=True)[1]] = True
    return first


def _refuse(table: Any, name: str | Path, bad: Any, why: str) -> None:
    """An error that names the first row where `bad` `(N,)` holds; null does not."""
    mask: Any = bad if isinstance(bad, np.ndarray) else pc.fill_null(bad, False).to_numpy()
    rows = np.flatnonzero(mask)
    if not len(rows):
        return
    row = int(rows[0])
    corpus, conv, turn = (table[column][row].as_py() for column in ("corpus", "conv", "turn"))
    more = f" ({len(rows)} rows are so)" if len(rows) > 1 else ""
    raise TableError(f"{name}, row {row} ({corpus}, {conv}, turn {turn}): {why}{more}.")
